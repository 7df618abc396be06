"""Lesson 8: attention while a model learns, one that is taught now and the bundled one."""

from __future__ import annotations

from functools import lru_cache

import streamlit as st

from mmviz.analysis.training_timeline import unpack
from mmviz.app.components import widgets
from mmviz.app.components.viewer import alone
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.app.pages.learn.live_training import teaching
from mmviz.assets_path import assets_dir
from mmviz.backends.replay import ReplayBackend
from mmviz.explain import run_sample
from mmviz.i18n.language import current
from mmviz.i18n.page import say
from mmviz.inputs.examples import Example, load_gallery
from mmviz.report.training_timeline import TrainingViewerData
from mmviz.types import MmvizError

PARTS = ("teach", "bundled")
FOLLOWED = ("spoken-place", "said")
"""The gallery trios that were followed along training."""


def learning(desk: LessonContext) -> None:
    """Either of the two models."""
    if desk.switch("part", PARTS, PARTS[0], lambda one: say(f"learn-learning-part-{one}")) == "teach":
        teaching(desk)
    else:
        _bundled(desk)


def _bundled(desk: LessonContext) -> None:
    """The linked viewer with the attention of every moment of training."""
    examples = [next(example for example in load_gallery() if example.id == name) for name in FOLLOWED]
    left, right = st.columns([1, 2.2], gap="medium", vertical_alignment="bottom")
    with left:
        example = desk.choice("trio", examples, examples[0], lambda one: one.question)
    try:
        scene = _scene(example.id)
    except (MmvizError, ValueError):  # other weights have come since it was recorded
        widgets.note(say("learn-learning-none"), "remark")
        return
    with right:
        widgets.note(say("learn-learning-bundled-intro"))
    alone(f"learn-moments-{example.id}", _sent(example.id, current()))
    _numbers(desk, example, scene)


def _numbers(desk: LessonContext, example: Example, scene: TrainingViewerData) -> None:
    found = scene.learning
    answer = next((k for k, answer in enumerate(found.answers) if example.is_right(answer)), 0)
    for (code, moment), column in zip((("first", 0), ("last", -1)), st.columns(2), strict=True):
        with column:
            value = float(found.probabilities[moment, answer])
            desk.number(code, f"{value:.1%}", answer=found.answers[answer])


@lru_cache(maxsize=len(FOLLOWED))
def _scene(name: str) -> TrainingViewerData:
    """The attention of a trio along training, on the tokens of its recorded run.

    Raises ``MmvizError`` where the recordings are of other weights, ``ValueError`` where the tokens are others.
    """
    example = next(example for example in load_gallery() if example.id == name)
    run = run_sample(example.sample(), backend=ReplayBackend(assets_dir() / "gallery" / "runs"), relevance=True)
    return TrainingViewerData(run, unpack((assets_dir() / "learning" / f"{name}.npz").read_bytes()))


@lru_cache(maxsize=2 * len(FOLLOWED))
def _sent(name: str, language: str) -> bytes:
    """What the viewer is sent: once made, the same bytes for every visitor who reads that language."""
    return _scene(name).to_bytes()
