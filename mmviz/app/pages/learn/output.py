"""Lesson 4: every step from queries and keys to the output, in the viewer, on the model's own vectors."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from mmviz.analysis.attention_steps import largest_difference
from mmviz.app.components import widgets
from mmviz.app.pages.learn.calculator import calculator
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.app.selection import Selection
from mmviz.explain import Run
from mmviz.i18n.page import say
from mmviz.types import MapRef


def output(desk: LessonContext) -> None:
    """The calculator, and how far every head's steps lie from what the model computed."""
    now, run = desk.bench.now, desk.stepped()
    if run is None:
        return
    difference = desk.bench.measured(("difference",), lambda *_: largest_difference(run.record))
    if difference is None:
        return
    widgets.note(say("learn-output-below"))
    key = f"learn-output-start-{run.record.id}-{now.visits}"
    start: Selection | None = st.session_state.setdefault(key, _start(run, now.selection))
    now.selection = calculator(run, "learn-calculator", start) or now.selection
    desk.number("difference", f"{difference:.1e}")


def _start(run: Run, seen: Selection | None) -> Selection | None:
    """A single head, since a mean of heads is nothing that is computed."""
    if seen is None or seen.map_ref.head is not None:
        return seen
    layer = run.record.maps[-1].layer if seen.map_ref.layer is None else seen.map_ref.layer
    return replace(seen, map_ref=MapRef("attention", layer, 0), direction="from", versus=())
