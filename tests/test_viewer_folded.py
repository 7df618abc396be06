"""Padding in the viewer, in a real browser: many tokens as one chip, each of them still to be chosen by its number."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from made_up_tokens import ANSWER  # noqa: E402
from playwright.sync_api import Browser, expect  # noqa: E402
from records import PAIR, TEXT, frames, record, words  # noqa: E402
from viewer_page import ViewerPage, say, showing  # noqa: E402

from mmviz.explain import Run  # noqa: E402
from mmviz.figures.colour_scale import short  # noqa: E402
from mmviz.types import AudioInput, Modality, Sample, Token  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.browser]
PADDING = 60


def padded() -> Run:
    """A run whose sound is followed by padding, and that by eight tokens of which nothing is known."""
    tokens = [ANSWER, *words(), *frames(6)]
    tokens += [Token(Modality.SPECIAL, "padding") for _ in range(PADDING)]
    tokens += [Token(Modality.SPECIAL, str(k)) for k in range(len(tokens), len(tokens) + 8)]
    sound = AudioInput(np.sin(np.arange(8000) / 9).astype(np.float32), 16_000, 0.5)
    return Run(Sample(text=TEXT, audio=sound), record({"all": tokens}, [(*PAIR, 0, 2)]))


@pytest.fixture(scope="module")
def viewer(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ViewerPage]:
    with showing(browser, tmp_path_factory.mktemp("padded")) as show:
        yield show(padded())


def test_padding_is_one_chip_with_its_mean_and_chooses_all(viewer: ViewerPage) -> None:
    run = padded()
    first = next(k for k, token in enumerate(run.tokens) if token.label == "padding")
    last = first + PADDING - 1
    row = run.record.maps[0].weights.mean(0, dtype=np.float64)[run.answer_query]
    chips = viewer.panel("text").locator(".chips.special .chip")
    assert chips.locator(".word").all_inner_texts() == [
        "answer", say("folded-padding", count=PADDING), say("folded-numbers", count=8, first=last + 1, last=last + 8)
    ]  # fmt: skip
    chip = chips.nth(1)
    expect(chip.locator(".amount")).to_have_text(short(float(row[first : last + 1].mean())))
    chip.click()
    viewer.shows(tokens=range(first, last + 1))
    viewer.says("readout", f"({PADDING} tokens)")
    expect(chip).to_have_attribute("data-pin", "first")
    chip.hover()
    within = run.record.maps[0].weights.mean(0, dtype=np.float64)[first : last + 1, first : last + 1].mean()
    viewer.says("readout", f"“{say('folded-padding', count=PADDING)}”: {within:.2g}"[:-1])
    chip.click()
    viewer.expect_pinned(False)


def test_a_padding_token_is_chosen_by_its_number(viewer: ViewerPage) -> None:
    run = padded()
    first = next(k for k, token in enumerate(run.tokens) if token.label == "padding")
    field = viewer.panel("text").get_by_label(say("folded-number", first=first, last=first + PADDING - 1))
    field.fill(str(first + 7))
    field.press("Enter")
    viewer.shows(tokens=[first + 7])
    viewer.expect_pinned(True)
    field.fill(str(first + PADDING))
    field.press("Enter")
    expect(field).to_have_js_property("validity.rangeOverflow", True)
    viewer.shows(tokens=[first + 7])
    field.press("ArrowDown")
    viewer.shows(map="0:mean")
    viewer.part("unpin").click()
    chip = viewer.panel("text").locator(".chips.special .chip").nth(1)
    chip.focus()
    viewer.page.keyboard.press("Enter")
    viewer.shows(tokens=range(first, first + PADDING))
    viewer.page.keyboard.press("Escape")
