"""An answer in the viewer, in a real browser: shares of words, several words together, and words as a sound plays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from playwright.sync_api import Browser, expect  # noqa: E402
from records import causal  # noqa: E402
from viewer_page import PATIENCE, Show, ViewerPage, grey_run, say, showing  # noqa: E402

from mmviz.explain import Run  # noqa: E402
from mmviz.figures.colour_scale import short  # noqa: E402
from mmviz.types import AttentionMap, Modality, Seconds, Token  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.browser]
RECORD_PLAYING = """(root) => {
  window.playing = new Set();
  const note = () => root.querySelectorAll(".chip.playing").forEach((chip) => window.playing.add(chip.dataset.token));
  new MutationObserver(note).observe(root, { subtree: true, attributes: true, attributeFilter: ["class"] });
}"""
WORDS = ("a", " cat", " sleeps")


def answered() -> Run:
    """A run of a causal model whose sound of 6 s has 12 moments, and which wrote three words at its end."""
    run = grey_run(layers=1)
    tokens = [*run.record.streams["all"], *(Token(Modality.TEXT, word) for word in WORDS)]
    weights = np.random.default_rng(7).random((3, len(tokens), len(tokens))).astype(np.float32)
    attn_map = AttentionMap("layer0", 0, "all", "all", causal(weights))
    made_by = {"answer": [1, 2, 3], "answer_token": ["all", len(tokens) - 4]}
    record = replace(run.record, streams={"all": tuple(tokens)}, maps=(attn_map,), made_by=made_by)
    return Run(run.sample, record)


@pytest.fixture(scope="module")
def show(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Show]:
    with showing(browser, tmp_path_factory.mktemp("answers")) as show:
        yield show


@pytest.fixture
def viewer(show: Show) -> ViewerPage:
    return show(answered())


def test_the_shares_of_a_word_are_those_of_the_token_before_it(viewer: ViewerPage) -> None:
    run = answered()
    shares = run.answer_shares()
    assert shares is not None and len(shares.words) == 3
    for word in (1, 2):
        viewer.point(shares.queries[word])
        text = viewer.part("answer-shares-readout")
        expect(text).to_contain_text(f"“{WORDS[word]}”, written from “{WORDS[word - 1]}”", timeout=PATIENCE)
        for group, share in zip(shares.groups, shares.shares[word], strict=True):
            name = {"text": say("group-prompt"), "answer": say("group-answer")}.get(group, "")
            expect(text).to_contain_text(f"{name or say(f'modality-{group}')} {short(share)}")
    lines = viewer.panel("answer-shares").locator("polyline")
    assert [line.get_attribute("data-group") for line in lines.all()] == list(shares.groups)
    viewer.leave()
    chart = viewer.panel("answer-shares").locator("svg")
    box = chart.bounding_box()
    assert box is not None
    chart.click(position={"x": box["width"] - 20, "y": 40})
    viewer.shows(tokens=[shares.queries[2]])
    viewer.expect_pinned(True)


def test_words_are_chosen_together_with_shift_and_ctrl(viewer: ViewerPage) -> None:
    run = answered()
    first, _, last = range(len(run.tokens) - 3, len(run.tokens))
    rows = run.record.maps[0].weights.mean(0, dtype=np.float64)
    viewer.click(first)
    viewer.token(last).click(modifiers=["Shift"])
    viewer.shows(tokens=[first, first + 1, last], versus=[])
    viewer.leave()
    viewer.expect_chips(rows[[first, first + 1, last]].mean(0))
    viewer.says("readout", "mean over “a”")
    viewer.token(first + 1).click(modifiers=["Control"])
    viewer.shows(tokens=[first, last])
    viewer.leave()
    viewer.expect_chips(rows[[first, last]].mean(0))


def test_words_are_framed_while_their_moment_plays(viewer: ViewerPage) -> None:
    run = answered()
    rows = run.record.maps[0].weights.mean(0, dtype=np.float64)
    moments = [k for k, token in enumerate(run.tokens) if isinstance(token.location, Seconds)]
    words = range(len(run.tokens) - 3, len(run.tokens))
    strongest = {word: moments[int(rows[word - 1, moments].argmax())] for word in words}
    word = min(strongest, key=lambda each: strongest[each])
    viewer.root.evaluate(RECORD_PLAYING)
    viewer.part("play").click()
    viewer.page.wait_for_function(f"() => playing.has('{word}')", timeout=PATIENCE)  # a busy machine may look too late
    viewer.part("play").click()
    expect(viewer.root.locator(".chip.playing")).to_have_count(0, timeout=PATIENCE)
    lit = {int(token) for token in viewer.page.evaluate("[...playing]")}
    seconds = float(viewer.panel("audio").locator(".time").inner_text().split()[0])
    begun = {each for each in words if run.tokens[strongest[each]].location.start <= seconds + 0.1}  # type: ignore[union-attr]
    assert word in lit and lit <= begun, "no word is lit before its moment"
