"""Lesson 4: every step from queries and keys to the output, in the viewer, on the vectors of the model."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from mmviz.analysis.attention_steps import largest_difference
from mmviz.analysis.map_refs import last_map
from mmviz.app.components import widgets
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.app.pages.learn.steps_viewer import calculator
from mmviz.app.selection import Selection, with_map
from mmviz.explain import Run
from mmviz.i18n.page import say


def output(context: LessonContext) -> None:
    """The calculator, and the largest difference between its steps and the outputs of the model."""
    state, run = context.runner.state, context.run_with_steps()
    if run is None:
        return
    difference = context.runner.measure(("difference",), lambda *_: largest_difference(run.record))
    if difference is None:
        return
    widgets.note(say("learn-output-below"))
    key = f"learn-output-start-{run.record.id}-{state.lesson_serial}"
    start: Selection | None = st.session_state.setdefault(key, _start(run, state.selection))
    state.selection = calculator(run, "learn-calculator", start) or state.selection
    context.number("difference", f"{difference:.1e}")


def _start(run: Run, selection: Selection | None) -> Selection | None:
    """The selection with a single head, since no model computes a mean over heads."""
    if selection is None or selection.map_ref.head is not None:
        return selection
    is_flow = selection.map_ref.layer is None
    number = last_map(run.record) if is_flow else run.record.map_number(selection.map_ref)
    return with_map(replace(selection, versus=()), run, run.record.map_ref(number, 0), "from")
