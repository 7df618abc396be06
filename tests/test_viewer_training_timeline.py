"""Attention as it is learned, in a real browser: the slider over training shows what was recorded at each moment."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from viewer_page import Seen, Show, three  # noqa: E402

from mmviz.analysis.training_timeline import TrainingTimeline, unpack  # noqa: E402
from mmviz.assets_path import assets_dir  # noqa: E402
from mmviz.backends.replay import ReplayBackend  # noqa: E402
from mmviz.explain import Run, run_sample  # noqa: E402
from mmviz.figures.colour_scale import short  # noqa: E402
from mmviz.figures.token_labels import names  # noqa: E402
from mmviz.inputs.examples import load_gallery  # noqa: E402
from mmviz.report.training_timeline import TrainingViewerData  # noqa: E402

pytestmark = pytest.mark.slow
expect = sync_api.expect
STREAM = "tokens"


@lru_cache(maxsize=2)
def recorded(name: str) -> tuple[Run, TrainingTimeline]:
    example = next(example for example in load_gallery() if example.id == name)
    run = run_sample(example.sample(), backend=ReplayBackend(assets_dir() / "gallery" / "runs"), relevance=True)
    return run, unpack((assets_dir() / "learning" / f"{name}.npz").read_bytes())


def opened(show: Show, folder: Path, name: str = "said", **options: object) -> Seen:
    path = folder / f"{name}.html"
    path.write_text(TrainingViewerData(*recorded(name)).to_html(), encoding="utf-8")
    return show(path, **options)


def go(seen: Seen, moment: int) -> None:
    """Move the slider, as a hand does."""
    seen.part("moments").locator("input").fill(str(moment))
    seen.shows(moment=moment)


def shown(seen: Seen) -> dict[int, str]:
    """Amounts under the words, once what is due has been drawn."""
    seen.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return seen.chips(STREAM)


@pytest.mark.parametrize("name", ["said", "spoken-place"])
def test_every_moment_shows_what_was_recorded_then(show: Show, tmp_path: Path, name: str) -> None:
    run, found = recorded(name)
    called = names(run.record.streams[STREAM])
    seen = opened(show, tmp_path, name)
    last = len(found.scenes) - 1
    seen.shows(plane="5:mean", tokens=[0], moment=last)
    word = next(k for k, label in enumerate(found.labels) if label in ("robot", "right"))
    seen.click(word, STREAM)
    seen.leave()
    for moment in (last, 0, last // 2, last - 1):
        go(seen, moment)
        expected = found.weights[moment, 5, word].astype(np.float64)
        assert shown(seen) == {token: short(float(expected[token])) for token in seen.chips(STREAM)}
        best = int(expected.argmax())
        assert f"“{called[best]}” {three(float(expected[best]))}" in seen.part("readout").inner_text()
        assert seen.part("moment").inner_text() == f"after {found.scenes[moment]:,} scenes"
        answers = seen.part("moments").locator(".one").all_inner_texts()
        for words, answer, probability in zip(answers, found.answers, found.probabilities[moment], strict=True):
            assert words.split() == [answer, f"{probability * 100:.1f}", "%"]
    seen.small("2:mean").click()
    seen.leave()
    assert shown(seen) == {token: short(float(found.weights[last - 1, 2, word, token])) for token in seen.chips(STREAM)}


def test_the_scales_stay_the_same(show: Show, tmp_path: Path) -> None:
    _, found = recorded("spoken-place")
    seen = opened(show, tmp_path, "spoken-place")
    drawn, scales = [], set()
    for moment in (0, 8, 17):
        go(seen, moment)
        shown(seen)
        drawn.append(seen.all_drawn())
        notes = [seen.panel(name).locator(".note").first.inner_text() for name in ("matrix", "overview")]
        scales.add((seen.part("legend").inner_text(), *notes))
    assert len(scales) == 1, "of every moment"
    placed = [token.location is not None for token in recorded("spoken-place")[0].record.streams[STREAM]]
    assert short(float(found.weights[:, 5, 0, placed].max())) in seen.part("legend").inner_text()
    assert short(float(found.weights[:, 5].max())) in next(iter(scales))[1]
    for name in ("picture", "overview", "matrix"):
        assert len({one[name] for one in drawn}) == 3, f"{name} follows"


def test_time_goes_by_keyboard_and_leaves_the_layer_alone(show: Show, tmp_path: Path) -> None:
    seen = opened(show, tmp_path)
    slider = seen.part("moments").locator("input")
    slider.focus()
    for key, moment in (("ArrowLeft", 16), ("ArrowDown", 15), ("ArrowRight", 16), ("Home", 0), ("End", 17)):
        seen.page.keyboard.press(key)
        seen.shows(moment=moment, plane="5:mean")
    expect(slider).to_have_attribute("aria-valuetext", "after 192,208 scenes")
    assert slider.get_attribute("aria-label") == "Time of training"


def test_it_plays_from_the_beginning_to_the_end_and_can_be_stopped(show: Show, tmp_path: Path) -> None:
    _, found = recorded("said")
    seen = opened(show, tmp_path)
    seen.root.evaluate("""(root) => {
      window.passed = [];
      new MutationObserver(() => window.passed.push(Number(root.dataset.moment))).observe(
        root, { attributeFilter: ["data-moment"] });
    }""")
    play = seen.part("moments").get_by_role("button")
    expect(play).to_have_text("Play training")
    play.click()
    expect(play).to_have_text("Pause training")
    seen.page.wait_for_function("() => window.passed.length > 3")  # a busy machine may see a later one first
    play.click()
    expect(play).to_have_text("Play training")
    at = int(seen.root.get_attribute("data-moment") or -1)
    seen.page.wait_for_timeout(1500)
    seen.shows(moment=at)
    play.click()
    seen.shows(moment=len(found.scenes) - 1)
    expect(play).to_have_text("Play training")
    assert seen.page.evaluate("window.passed") == list(range(len(found.scenes)))


def test_it_does_not_play_by_itself_for_those_who_want_no_motion(show: Show, tmp_path: Path) -> None:
    seen = opened(show, tmp_path, reduced_motion="reduce")
    expect(seen.part("moments").locator("button")).to_be_hidden()
    go(seen, 4)


def test_other_runs_have_no_time(show: Show) -> None:
    seen = show(recorded("said")[0])
    expect(seen.part("moments")).to_be_hidden()


def test_tokens_that_are_others_are_refused() -> None:
    run, _ = recorded("said")
    with pytest.raises(ValueError, match="not those that were recorded"):
        TrainingViewerData(run, recorded("spoken-place")[1])
