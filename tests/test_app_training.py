"""The lesson on attention during training, without a browser: live training, and the bundled model."""

from __future__ import annotations

import json
import threading
from typing import Any

import numpy as np
import pytest
from app_page import address, markup, notes, now, payload, press, run, visit
from streamlit.testing.v1 import AppTest

from mmviz.app.pages.learn import live_training, training
from mmviz.assets_path import assets_dir
from mmviz.i18n.page import say
from mmviz.io.training_timeline_file import unpack
from mmviz.training.fit import train_conv_attention
from mmviz.training.fit.train_conv_attention import WORDS, Recipe, TrainingRun
from mmviz.viewer.quantization import decode as amounts_of

pytestmark = pytest.mark.slow

TINY = Recipe(images=64, held_out=40, epochs=2)
FIT = train_conv_attention.fit


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_conv_attention, "fit", lambda _, *watchers: FIT(TINY, *watchers))


def lesson(**params: str) -> AppTest:
    page = visit(page="learn", lesson="training", **params)
    return page if "lesson" in address(page) and "training" in now(page).answered_lessons else press(page, "learn-show")


def finished(page: AppTest) -> AppTest:
    job = now(page).training_job
    assert job is not None and job.wait(240)
    return run(page)


def numbers(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


def keys(page: AppTest) -> set[str]:
    return {str(button.key) for button in page.button}


def test_every_epoch_of_a_finished_training_can_be_shown(tiny: None) -> None:
    page = lesson()
    assert not numbers(page) and "learn-start" in keys(page)
    assert "Conv 32, 3 × 3, ReLU" in markup(page)
    page = finished(press(page, "learn-start"))
    training_run: TrainingRun = now(page).training_job.result
    first, last = training_run.snapshots[0], training_run.snapshots[-1]
    assert numbers(page) == {
        say("learn-training-right"): f"{last.accuracy:.2f}",
        say("learn-training-on-before"): f"{first.on_drawing:.2f}",
        say("learn-training-on-after"): f"{last.on_drawing:.2f}",
        say("learn-training-area"): f"{training_run.area:.2f}",
    }
    finished_text = say("learn-training-finished", epochs=2, pictures=64, seconds=training_run.seconds)
    assert finished_text in markup(page)
    (slider,) = page.select_slider
    assert slider.options == ["0", "1", "2"] and slider.value == 2
    slider.set_value(1)
    run(page)
    assert say("learn-training-after", epoch="1") in markup(page) and address(page)["at-epoch"] == "1"
    probabilities = training_run.snapshots[1].probabilities
    for k, label in enumerate(training_run.tracked.labels):
        best = int(probabilities[k].argmax())
        prediction = say("learn-training-prediction", word=WORDS[best], probability=float(probabilities[k, best]))
        assert prediction in markup(page)
        assert f"<b>{WORDS[label]}</b>" in markup(page)


def test_the_curves_are_those_of_the_training(tiny: None) -> None:
    page = finished(press(lesson(), "learn-start"))
    training_run: TrainingRun = now(page).training_job.result
    loss, accuracy = (json.loads(chart.proto.spec) for chart in page.get("plotly_chart"))
    assert loss["data"][1]["x"] == [0, 1, 2]
    assert loss["data"][1]["y"] == pytest.approx([snapshot.loss for snapshot in training_run.snapshots])
    assert accuracy["data"][1]["y"] == pytest.approx([snapshot.accuracy for snapshot in training_run.snapshots])
    assert loss["data"][0]["y"] == pytest.approx([point.loss for point in training_run.points])
    assert accuracy["data"][0]["x"] == pytest.approx([point.epoch for point in training_run.points])


def test_the_page_shows_progress_and_a_stopped_training_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    paused, resume = threading.Event(), threading.Event()

    def fit_with_pause(_: None, progress: Any, stop: Any, partial: Any) -> TrainingRun:
        def pausing_progress(done: int, of: int) -> None:
            progress(done, of)
            if done == 96:
                paused.set()
                assert resume.wait(240)

        return FIT(TINY, pausing_progress, stop, partial)

    monkeypatch.setattr(train_conv_attention, "fit", fit_with_pause)
    page = press(lesson(), "learn-start")
    job = now(page).training_job
    assert paused.wait(240)
    run(page)
    (progress,) = [element.proto.text for element in page.get("progress")]
    assert all(number in progress for number in ("2", "96", "128"))
    assert say("learn-training-before") in markup(page) and not page.metric
    assert say("learn-training-after", epoch="1") in markup(page)
    with monkeypatch.context() as patch:
        patch.setattr(live_training.session, "current_state", lambda: now(page))
        live_training._start()
    assert now(page).training_job is job, "the second click of two begins no other training"
    press(page, "learn-stop")
    resume.set()
    page = finished(page)
    assert job.result.images == 96
    assert any(say("learn-training-stopped", epochs=1.5) in note for note in notes(page, "remark"))
    assert page.select_slider[0].options == ["0", "1", "1.5"] and len(page.metric) == 4
    press(page, "learn-again")
    assert now(page).training_job is not job
    resume.set()
    finished(page)


def test_each_visitor_trains_a_model_of_their_own(tiny: None) -> None:
    page, other = lesson(), lesson()
    press(page, "learn-start")
    assert now(other).training_job is None
    press(other, "learn-start")
    finished(page)
    finished(other)
    assert now(page).training_job is not now(other).training_job
    assert numbers(page) == numbers(other) != {}, "of the same seed"
    press(page, f"example-{training.EXAMPLES[1]}")
    assert now(page).training_job.result is not None, "another run leaves it there"


def test_an_error_of_training_gets_a_note_without_its_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> TrainingRun:
        raise RuntimeError("secret")

    monkeypatch.setattr(train_conv_attention, "fit", fail)
    page = finished(press(lesson(), "learn-start"))
    (note,) = notes(page, "error")
    assert say("learn-training-failed") in note and "secret" not in markup(page)
    assert "learn-again" in keys(page)


@pytest.mark.parametrize(("index", "name"), list(enumerate(training.EXAMPLES)))
def test_the_viewer_of_the_bundled_model_has_every_snapshot(index: int, name: str) -> None:
    page = lesson(**{"at-part": "1", "at-example": str(index)})
    header, sections = payload(page)
    timeline = unpack((assets_dir() / "learning" / f"{name}.npz").read_bytes())
    assert header["timeline"]["scenes"] == list(timeline.scenes)
    assert header["map_refs"] == [f"{k}:mean" for k in range(6)]
    assert np.allclose(header["timeline"]["probabilities"], timeline.probabilities, atol=1e-6)
    for snapshot in range(len(timeline.scenes)):
        for layer in range(6):
            section = sections[f"codes/{layer}:mean@{snapshot}"]
            assert section.decade is not None
            amounts = amounts_of(section.values, section.decade)
            assert np.allclose(amounts, timeline.weights[snapshot, layer], rtol=1e-3, atol=1e-9)
    answer = timeline.answers[0]
    assert numbers(page) == {
        say(f"learn-training-{code}", answer=answer): f"{timeline.probabilities[snapshot, 0]:.1%}"
        for code, snapshot in (("first", 0), ("last", -1))
    }


def test_slides_show_every_checkpoint_of_the_bundled_model() -> None:
    page = visit(page="learn", lesson="training", present="5")
    timelines = [unpack((assets_dir() / "learning" / f"{name}.npz").read_bytes()) for name in training.EXAMPLES]
    (chart,) = (json.loads(chart.proto.spec) for chart in page.get("plotly_chart"))
    for line, timeline, answer in zip(chart["data"], timelines, ("fire", "yes"), strict=True):
        assert line["x"] == list(timeline.scenes) and line["name"].endswith(f"? {answer}")
        assert line["y"] == pytest.approx(timeline.probabilities[:, timeline.answers.index(answer)].tolist())
    shown, timeline = markup(page), timelines[0]
    for scenes, probability in zip(timeline.scenes, timeline.probabilities[:, 0], strict=True):
        assert say("learn-training-recorded-after", scenes=scenes) in shown and f"“fire” {probability:.1%}; " in shown


def test_recordings_of_other_weights_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(_: str) -> None:
        raise ValueError("other tokens")

    monkeypatch.setattr(training, "_viewer_data", other)
    page = lesson(**{"at-part": "1"})
    assert not page.get("bidi_component")
    assert any(say("learn-training-none") in note for note in notes(page, "remark"))
