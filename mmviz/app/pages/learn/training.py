"""Lesson 8: attention during training, of a model that is trained now and of the bundled one."""

from __future__ import annotations

from functools import lru_cache

import streamlit as st

from mmviz.app.components import page_elements
from mmviz.app.components.viewer import static_viewer
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.app.pages.learn.live_training import live_training
from mmviz.app.pages.learn.recorded_training import correct_answer, recorded_curves, recorded_images
from mmviz.assets_path import assets_dir
from mmviz.backends.replay import ReplayBackend
from mmviz.explain import run_sample
from mmviz.i18n.language import current_language
from mmviz.i18n.page import say
from mmviz.inputs.examples import Example, load_gallery
from mmviz.io.training_timeline_file import unpack
from mmviz.report.viewer_timeline import TrainingViewerData
from mmviz.types import MmvizError

PARTS = ("live", "bundled")
EXAMPLES = ("spoken-place", "said")
"""Ids of the gallery examples whose attention was recorded during training."""


def training(context: LessonContext) -> None:
    """A small model trained now, or the bundled one."""
    if context.is_large:
        _slides(context)
    elif context.switch("part", PARTS, PARTS[0], lambda part: say(f"learn-training-part-{part}")) == "live":
        live_training(context)
    else:
        _bundled(context)


def _slides(context: LessonContext) -> None:
    """The training now, its pictures, and the recorded training of the bundled model, each on a slide of its own."""
    live_training(context)
    try:
        recorded = [(example, _viewer_data(example.id)) for example in map(_example, EXAMPLES)]
    except (MmvizError, ValueError):  # the weights have changed since the recording
        with context.in_part("bundled"):
            page_elements.note(say("learn-training-none"), "remark")
        return
    if context.runner.state.training_job is None:
        with context.in_part("live", "recorded"):
            recorded_curves(recorded)
    with context.in_part("bundled"):
        recorded_images(*recorded[0])


def _bundled(context: LessonContext) -> None:
    """The linked viewer with the attention of every recorded snapshot of training."""
    examples = list(map(_example, EXAMPLES))
    left, right = st.columns([1, 2.2], gap="medium", vertical_alignment="bottom")
    with left:
        example = context.choice("example", examples, examples[0], lambda example: example.question)
    try:
        data = _viewer_data(example.id)
    except (MmvizError, ValueError):  # the weights have changed since the recording
        page_elements.note(say("learn-training-none"), "remark")
        return
    with right:
        page_elements.note(say("learn-training-bundled-intro"))
    static_viewer(f"learn-snapshots-{example.id}", _payload(example.id, current_language()))
    _numbers(context, example, data)


def _numbers(context: LessonContext, example: Example, data: TrainingViewerData) -> None:
    timeline = data.timeline
    answer = correct_answer(example, data)
    for (code, snapshot), column in zip((("first", 0), ("last", -1)), st.columns(2), strict=True):
        with column:
            probability = float(timeline.probabilities[snapshot, answer])
            context.number(code, f"{probability:.1%}", answer=timeline.answers[answer])


def _example(name: str) -> Example:
    return next(example for example in load_gallery() if example.id == name)


@lru_cache(maxsize=len(EXAMPLES))
def _viewer_data(name: str) -> TrainingViewerData:
    """The attention of an example during training, on the tokens of its recorded run.

    Raises:
        MmvizError: The run was recorded with other weights.
        ValueError: The run has other tokens.
    """
    run = run_sample(_example(name).sample(), backend=ReplayBackend(assets_dir() / "gallery" / "runs"), relevance=True)
    return TrainingViewerData(run, unpack((assets_dir() / "learning" / f"{name}.npz").read_bytes()))


@lru_cache(maxsize=2 * len(EXAMPLES))
def _payload(name: str, language: str) -> bytes:
    """The bytes for the viewer, which are the same for every visitor who reads ``language``."""
    return _viewer_data(name).to_bytes()
