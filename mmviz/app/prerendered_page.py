"""What the page shows before Streamlit has loaded: its frame, and the recorded run that it opens with. No Streamlit."""

from __future__ import annotations

import html
from functools import lru_cache
from pathlib import Path

from mmviz.assets_path import assets_dir
from mmviz.explain import Run, run_sample
from mmviz.figures.image import data_uri, downscaled, spotlight
from mmviz.i18n.language import Language, use_language
from mmviz.i18n.page import say
from mmviz.inputs.examples import Example, load_gallery
from mmviz.report.answer_maps import map_title, shown_map
from mmviz.types import MmvizError

SIDE = 200
"""Longer side of the picture in pixels; a few thousand bytes."""
STYLE_SHEET = Path(__file__).with_name("prerendered_page.css")


@lru_cache(maxsize=64)
def loading_html(language: Language, example_id: str | None) -> bytes:
    """Returns the placeholder as HTML, with the recorded answer and picture of an example.

    Of the first one where ``example_id`` names none; the frame alone where it is None.
    """
    with use_language(language):
        return _page(example_id).encode()


def _page(example_id: str | None) -> str:
    example = None
    if example_id is not None:
        examples = load_gallery()
        example = next((example for example in examples if example.id == example_id), examples[0])
    shown = "" if example is None else _recorded(example)
    text = html.escape(say("loading-recorded" if shown else "loading-page"))
    return (
        f"<style>{STYLE_SHEET.read_text(encoding='utf-8')}</style><div id='mmviz-placeholder'><p class='title'>"
        f"{html.escape(say('title'))}</p><p role='status'>{text}</p>{shown}<div class='block'></div></div>"
    )


def _recorded(example: Example) -> str:
    """Returns question, answer and picture of the recorded run of an example; "" where there is none."""
    from mmviz.backends.replay import ReplayBackend

    try:
        run = run_sample(example.sample(), backend=ReplayBackend(assets_dir() / "gallery" / "runs"))
    except MmvizError:
        return ""
    answer = run.record.answers[0].label if run.record.answers else ""
    return (
        f"<p class='question'>{html.escape(example.question)}</p><p class='first-answer'>{html.escape(answer)}</p>"
        f"{_picture(run)}"
    )


def _picture(run: Run) -> str:
    shown, image = shown_map(run, "reads_from"), run.sample.image
    if image is None or isinstance(shown, MmvizError):
        return ""
    amounts = shown.map.amounts.clip(0)
    lit = spotlight(downscaled(image.pixels, SIDE), shown.keys, amounts, shown.scale_max, (image.width, image.height))
    title = html.escape(map_title("reads_from"))
    return f"<figure><figcaption>{title}</figcaption><img src='{data_uri(lit)}' alt='{title}'></figure>"
