"""The lesson on attention while a model learns, without a browser: training beside the page, and the bundled model."""

from __future__ import annotations

import json
import threading
from typing import Any

import numpy as np
import pytest
from app_page import address, markup, notes, now, press, run, sent, visit
from streamlit.testing.v1 import AppTest

from mmviz.analysis.training_timeline import unpack
from mmviz.app.pages.learn import training as learning
from mmviz.assets_path import assets_dir
from mmviz.training.fit import conv_attention
from mmviz.training.fit.conv_attention import WORDS, Fitted, Recipe
from mmviz.viewer.codes import decode as amounts_of

TINY = Recipe(pictures=64, held_out=40, epochs=2)
FIT = conv_attention.fit


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conv_attention, "fit", lambda _, *watchers: FIT(TINY, *watchers))


def lesson(**more: str) -> AppTest:
    page = visit(page="learn", lesson="learning", **more)
    return page if "lesson" in address(page) and "learning" in now(page).learnt else press(page, "learn-show")


def ended(page: AppTest) -> AppTest:
    job = now(page).teaching
    assert job is not None and job.wait(240)
    return run(page)


def numbers(page: AppTest) -> dict[str, str]:
    return {one.label: one.value for one in page.metric}


def keys(page: AppTest) -> set[str]:
    return {str(one.key) for one in page.button}


def test_a_model_is_taught_and_every_epoch_can_be_looked_at(tiny: None) -> None:
    page = lesson()
    assert "attention" not in numbers(page) and "learn-start" in keys(page)
    assert "Conv 32, 3 × 3, ReLU" in markup(page)
    page = ended(press(page, "learn-start"))
    fitted: Fitted = now(page).teaching.result
    first, last = fitted.moments[0], fitted.moments[-1]
    assert numbers(page) == {
        "Held-out accuracy at the end": f"{last.accuracy:.2f}",
        "Attention on the drawing, before": f"{first.on_drawing:.2f}",
        "Attention on the drawing, at the end": f"{last.on_drawing:.2f}",
        "The drawing's share of positions": f"{fitted.area:.2f}",
    }
    assert "2 epochs of 64 pictures" in markup(page)
    (slider,) = page.select_slider
    assert slider.options == ["0", "1", "2"] and slider.value == 2
    slider.set_value(1)
    run(page)
    assert "After epoch 1" in markup(page) and address(page)["at-epoch"] == "1"
    shown = fitted.moments[1].probabilities
    for k, label in enumerate(fitted.shown.labels):
        best = int(shown[k].argmax())
        assert f"says “{WORDS[best]}”, {shown[k, best]:.2f}" in markup(page)
        assert f"<b>{WORDS[label]}</b>" in markup(page)


def test_the_curves_are_those_of_the_training(tiny: None) -> None:
    page = ended(press(lesson(), "learn-start"))
    fitted: Fitted = now(page).teaching.result
    loss, accuracy = (json.loads(one.proto.spec) for one in page.get("plotly_chart"))
    assert loss["data"][1]["x"] == [0, 1, 2]
    assert loss["data"][1]["y"] == pytest.approx([one.loss for one in fitted.moments])
    assert accuracy["data"][1]["y"] == pytest.approx([one.accuracy for one in fitted.moments])
    assert loss["data"][0]["y"] == pytest.approx([one.loss for one in fitted.stretches])
    assert accuracy["data"][0]["x"] == pytest.approx([one.epoch for one in fitted.stretches])


def test_while_it_learns_the_page_shows_how_far_it_is_and_stopping_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    further = threading.Event()

    def slow(_: None, tell: Any, stop: Any, grow: Any) -> Fitted:
        def told(done: int, of: int) -> None:
            tell(done, of)
            if done == 96:
                further.wait(240)

        return FIT(TINY, told, stop, grow)

    monkeypatch.setattr(conv_attention, "fit", slow)
    page = press(lesson(), "learn-start")
    job = now(page).teaching
    while job.done < 96:
        job.wait(0.1)
    run(page)
    (progress,) = [one.proto.text for one in page.get("progress")]
    assert progress.startswith("Epoch 2 of 2: 96 of 128 pictures")
    assert "Before training" in markup(page) and "After epoch 1" in markup(page) and not page.metric
    press(page, "learn-stop")
    further.set()
    page = ended(page)
    assert job.result.pictures == 96
    assert any("You stopped after 1.5 epochs" in note for note in notes(page, "remark"))
    assert page.select_slider[0].options == ["0", "1", "1.5"] and len(page.metric) == 4
    press(page, "learn-again")
    assert now(page).teaching is not job
    further.set()
    ended(page)


def test_each_visitor_teaches_a_model_of_their_own(tiny: None) -> None:
    one, other = lesson(), lesson()
    press(one, "learn-start")
    assert now(other).teaching is None
    press(other, "learn-start")
    ended(one)
    ended(other)
    assert now(one).teaching is not now(other).teaching
    assert numbers(one) == numbers(other) != {}, "of the same seed"
    press(one, f"trio-{learning.FOLLOWED[1]}")
    assert now(one).teaching.result is not None, "another run leaves it there"


def test_what_goes_wrong_is_said_without_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Fitted:
        raise RuntimeError("secret")

    monkeypatch.setattr(conv_attention, "fit", fail)
    page = ended(press(lesson(), "learn-start"))
    (note,) = notes(page, "refusal")
    assert "did not come to an end" in note and "secret" not in markup(page)
    assert "learn-again" in keys(page)


@pytest.mark.parametrize(("place", "name"), list(enumerate(learning.FOLLOWED)))
def test_the_bundled_model_is_shown_at_every_moment(place: int, name: str) -> None:
    page = lesson(**{"at-part": "1", "at-trio": str(place)})
    header, sections = sent(page)
    found = unpack((assets_dir() / "learning" / f"{name}.npz").read_bytes())
    assert header["moments"]["scenes"] == list(found.scenes) and header["planes"] == [f"{k}:mean" for k in range(6)]
    assert np.allclose(header["moments"]["probabilities"], found.probabilities, atol=1e-6)
    for moment in range(len(found.scenes)):
        for layer in range(6):
            section = sections[f"codes/{layer}:mean@{moment}"]
            assert section.decade is not None
            amounts = amounts_of(section.values, section.decade)
            assert np.allclose(amounts, found.weights[moment, layer], rtol=1e-3, atol=1e-9)
    answer = found.answers[0]
    assert numbers(page) == {
        f"Probability of “{answer}”, first moment": f"{found.probabilities[0, 0]:.1%}",
        f"Probability of “{answer}”, last moment": f"{found.probabilities[-1, 0]:.1%}",
    }


def test_what_was_recorded_of_other_weights_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(_: str) -> None:
        raise ValueError("other tokens")

    monkeypatch.setattr(learning, "_scene", other)
    page = lesson(**{"at-part": "1"})
    assert not page.get("bidi_component")
    assert any("does not fit the bundled model" in note for note in notes(page, "remark"))
