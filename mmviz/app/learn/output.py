"""Lesson 4: every step from queries and keys to the output, in the viewer, on the model's own vectors."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from mmviz.analysis.select import Way
from mmviz.analysis.steps import largest_difference
from mmviz.app import widgets
from mmviz.app.learn.calculator import calculator
from mmviz.app.learn.desk import Desk
from mmviz.app.selection import Selection
from mmviz.app.texts import say
from mmviz.explain import Run


def output(desk: Desk) -> None:
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
    if seen is None or seen.way.method == "head":
        return seen
    layer = run.record.maps[-1].layer if seen.way.layer is None else seen.way.layer
    return replace(seen, way=Way("head", layer, 0), direction="from", versus=())
