"""Attention along training, in a real browser: the slider shows what was recorded at each checkpoint."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from viewer_page import Show, ViewerPage, three_digits  # noqa: E402

from mmviz.assets_path import assets_dir  # noqa: E402
from mmviz.backends.replay import ReplayBackend  # noqa: E402
from mmviz.explain import Run, run_sample  # noqa: E402
from mmviz.figures.colour_scale import short  # noqa: E402
from mmviz.figures.token_labels import names  # noqa: E402
from mmviz.inputs.examples import load_gallery  # noqa: E402
from mmviz.io.training_timeline_file import TrainingTimeline, unpack  # noqa: E402
from mmviz.report.viewer_timeline import TrainingViewerData  # noqa: E402

pytestmark = pytest.mark.slow
expect = sync_api.expect
STREAM = "tokens"
COUNT_INTERVALS = """
window.intervals = new Set();
const { setInterval: start, clearInterval: stop } = window;
window.setInterval = (work, wait) => {
  const id = start(work, wait / 4);
  window.intervals.add(id);
  return id;
};
window.clearInterval = (id) => {
  window.intervals.delete(id);
  stop(id);
};
"""
"""Counts the timers that run, and lets them run four times as fast."""


@lru_cache(maxsize=2)
def recorded(name: str) -> tuple[Run, TrainingTimeline]:
    """Returns the recorded run of a gallery example, and its timeline."""
    example = next(example for example in load_gallery() if example.id == name)
    run = run_sample(example.sample(), backend=ReplayBackend(assets_dir() / "gallery" / "runs"), relevance=True)
    return run, unpack((assets_dir() / "learning" / f"{name}.npz").read_bytes())


def open_timeline(show: Show, folder: Path, name: str = "said", **options: object) -> ViewerPage:
    path = folder / f"{name}.html"
    path.write_text(TrainingViewerData(*recorded(name)).to_html(), encoding="utf-8")
    return show(path, **options)


def go_to(viewer: ViewerPage, checkpoint: int) -> None:
    """Moves the slider."""
    viewer.part("timeline").locator("input").fill(str(checkpoint))
    viewer.shows(checkpoint=checkpoint)


def painted_chips(viewer: ViewerPage) -> dict[int, str]:
    """Returns the amounts under the words, after the next animation frame."""
    viewer.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return viewer.chips(STREAM)


@pytest.mark.parametrize("name", ["said", "spoken-place"])
def test_every_checkpoint_shows_what_was_recorded(show: Show, tmp_path: Path, name: str) -> None:
    run, timeline = recorded(name)
    token_names = names(run.record.streams[STREAM])
    viewer = open_timeline(show, tmp_path, name)
    last = len(timeline.scenes) - 1
    viewer.shows(map="5:mean", tokens=[0], checkpoint=last)
    word = next(k for k, label in enumerate(timeline.labels) if label in ("robot", "right"))
    viewer.click(word, STREAM)
    viewer.leave()
    for checkpoint in (last, 0, last // 2, last - 1):
        go_to(viewer, checkpoint)
        expected = timeline.weights[checkpoint, 5, word].astype(np.float64)
        assert painted_chips(viewer) == {token: short(float(expected[token])) for token in viewer.chips(STREAM)}
        best = int(expected.argmax())
        assert f"“{token_names[best]}” {three_digits(float(expected[best]))}" in viewer.part("readout").inner_text()
        assert viewer.part("checkpoint").inner_text() == f"after {timeline.scenes[checkpoint]:,} scenes"
        answers = viewer.part("timeline").locator(".answer").all_inner_texts()
        for text, answer, probability in zip(
            answers, timeline.answers, timeline.probabilities[checkpoint], strict=True
        ):
            assert text.split() == [answer, f"{probability * 100:.1f}%"]
    viewer.thumbnail("2:mean").click()
    viewer.leave()
    assert painted_chips(viewer) == {
        token: short(float(timeline.weights[last - 1, 2, word, token])) for token in viewer.chips(STREAM)
    }


def test_the_colour_scales_are_the_same_at_every_checkpoint(show: Show, tmp_path: Path) -> None:
    _, timeline = recorded("spoken-place")
    viewer = open_timeline(show, tmp_path, "spoken-place")
    drawn, scales = [], set()
    for checkpoint in (0, 3, 7):
        go_to(viewer, checkpoint)
        painted_chips(viewer)
        drawn.append(viewer.all_drawn())
        notes = [viewer.panel(name).locator(".note").first.inner_text() for name in ("matrix", "overview")]
        scales.add((viewer.part("legend").inner_text(), *notes))
    assert len(scales) == 1, "of every checkpoint"
    is_located = [token.location is not None for token in recorded("spoken-place")[0].record.streams[STREAM]]
    assert short(float(timeline.weights[:, 5, 0, is_located].max())) in viewer.part("legend").inner_text()
    assert short(float(timeline.weights[:, 5].max())) in next(iter(scales))[1]
    for name in ("image", "overview", "matrix"):
        assert len({canvases[name] for canvases in drawn}) == 3, f"{name} follows"


def test_arrow_keys_move_the_slider_and_leave_the_layer_alone(show: Show, tmp_path: Path) -> None:
    viewer = open_timeline(show, tmp_path)
    slider = viewer.part("timeline").locator("input")
    slider.focus()
    for key, checkpoint in (("ArrowLeft", 6), ("ArrowDown", 5), ("ArrowRight", 6), ("Home", 0), ("End", 7)):
        viewer.page.keyboard.press(key)
        viewer.shows(checkpoint=checkpoint, map="5:mean")
    expect(slider).to_have_attribute("aria-valuetext", "after 180,432 scenes")
    assert slider.get_attribute("aria-label") == "Training timeline"


def test_training_plays_to_the_end_and_can_be_paused(show: Show, tmp_path: Path) -> None:
    _, timeline = recorded("said")
    viewer = open_timeline(show, tmp_path, script=COUNT_INTERVALS)
    play = viewer.part("timeline").get_by_role("button")
    play.evaluate("(button) => { window.play = button; }")
    viewer.root.evaluate("""(root) => {
      window.passed = [];
      new MutationObserver(() => {
        window.passed.push(Number(root.dataset.checkpoint));
        if (window.passed.length === 4) window.play.click();  // from outside, a busy machine clicks after the end
      }).observe(root, { attributeFilter: ["data-checkpoint"] });
    }""")
    expect(play).to_have_text("Play training")
    play.click()
    viewer.page.wait_for_function("() => window.passed.length > 3")
    expect(play).to_have_text("Play training")
    assert viewer.page.evaluate("window.passed") == [0, 1, 2, 3]
    assert viewer.page.evaluate("window.intervals.size") == 0, "a paused timeline has no timer"
    play.click()
    viewer.shows(checkpoint=len(timeline.scenes) - 1)
    expect(play).to_have_text("Play training")
    assert viewer.page.evaluate("window.passed") == list(range(len(timeline.scenes)))


def test_with_reduced_motion_it_does_not_play(show: Show, tmp_path: Path) -> None:
    viewer = open_timeline(show, tmp_path, reduced_motion="reduce")
    expect(viewer.part("timeline").locator("button")).to_be_hidden()
    go_to(viewer, 4)


def test_other_runs_have_no_timeline(show: Show) -> None:
    viewer = show(recorded("said")[0])
    expect(viewer.part("timeline")).to_be_hidden()


def test_tokens_of_another_example_are_refused() -> None:
    run, _ = recorded("said")
    with pytest.raises(ValueError, match="not those that were recorded"):
        TrainingViewerData(run, recorded("spoken-place")[1])
