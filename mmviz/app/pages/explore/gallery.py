"""The gallery: a button for each bundled example, with its thumbnail."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import streamlit as st
from PIL import Image

from mmviz.app import resources, session_actions
from mmviz.app.components import page_elements
from mmviz.app.components.page_elements import BUTTON
from mmviz.app.draft import Draft
from mmviz.app.input_thumbnails import draw_waveform, webp_uri
from mmviz.app.session_state import State
from mmviz.explain import Run
from mmviz.figures.theme import theme
from mmviz.i18n.language import translated
from mmviz.i18n.page import say
from mmviz.inputs.examples import Example

STYLE_SHEETS = [Path(__file__).parents[2] / name for name in ("style.css", "lessons.css", "explore.css")]
THUMBNAIL = (248, 128)
"""Size in pixels, twice that on the page."""


def gallery(examples: Sequence[Example], saved: Sequence[Run]) -> None:
    """Draws the buttons: the runs of the file that the operator opened, and the examples."""
    with st.container(horizontal=True, key="gallery", gap="small"):
        for place, run in enumerate(saved):
            label = say("saved") if len(saved) == 1 else say("saved-of", number=place + 1, text=run.sample.text or "")
            st.button(
                page_elements.as_label(label), key=_saved_key(place), help=say("saved-help"), width="stretch",
                on_click=session_actions.show_saved_run, args=(run,),
            )  # fmt: skip
        for example in examples:
            st.button(
                page_elements.as_label(example.question), key=f"example-{example.id}", width="stretch",
                help=page_elements.as_label(translated(example.about)),
                on_click=session_actions.choose_example, args=(example,),
            )  # fmt: skip


def misanswered(examples: Sequence[Example]) -> list[Example] | None:
    """Returns the examples that the bundled model answers wrongly in its recorded runs.

    Returns None where some example has no recorded run, so that there is nothing to count.
    """
    runs = [(example, resources.recorded_run(example.id)) for example in examples]
    if any(run is None for _, run in runs):
        return None
    return [example for example, run in runs if run and not example.is_right(run.record.answers[0].label)]


def gallery_style(examples: Sequence[Example], wrong: Sequence[Example]) -> None:
    """Adds the page's style sheet with the thumbnails; examples answered wrongly get a red dot."""
    colours = theme(page_elements.is_dark())
    values = {"ink": colours.text, "muted": colours.muted, "ground": colours.ground}
    values |= {
        key: json.dumps(say(key), ensure_ascii=False) for key in ("drop", "drop-failed")
    }  # CSS has no \u escapes
    rules = [":root{" + "".join(f"--{name}:{value};" for name, value in values.items()) + "}"]
    for example in examples:
        rules.append(f".st-key-example-{example.id} {BUTTON}{{background-image:url({thumbnail(example)})}}")
    rules += [f".st-key-example-{example.id} {BUTTON}::before{{display:block}}" for example in wrong]
    sheets = "".join(sheet.read_text(encoding="utf-8") for sheet in STYLE_SHEETS)
    st.html(f"<style>{sheets}{''.join(rules)}</style>")


def _saved_key(place: int) -> str:
    return f"saved-{place}" if place else "saved"


def form_source(state: State, draft: Draft, saved: Sequence[Run]) -> str:
    """Returns the key of the button that the form's contents come from; ``saved``: the runs that
    have buttons of their own."""
    if state.is_saved:
        return next((_saved_key(place) for place, run in enumerate(saved) if run is state.run), "saved")
    return f"example-{state.example.id}" if state.example and draft.is_of(state.example) else "own"


def mark_source(key: str) -> None:
    """Frames the button with this key, or that of the visitor's own inputs."""
    key = "panel-own-toggle" if key == "own" else key
    st.html(f"<style>.st-key-{key} {BUTTON}{{border-color:var(--ink);box-shadow:0 0 0 1px var(--ink)}}</style>")


@lru_cache(maxsize=64)
def thumbnail(example: Example) -> str:
    """Returns the image beside the waveform of the audio, as far as the example has them, as a data URI."""
    canvas = Image.new("RGBA", THUMBNAIL, (0, 0, 0, 0))
    sample = example.sample()
    width, height = THUMBNAIL
    left = 0
    if sample.image:
        image = Image.fromarray(sample.image.pixels)
        image.thumbnail((width - (110 if sample.audio else 0), height))
        canvas.paste(image, (0, (height - image.height) // 2))
        left = image.width + 14
    if sample.audio:
        draw_waveform(canvas, sample.audio.wave, left)
    return webp_uri(canvas)
