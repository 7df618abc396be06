"""Lesson 4: every step from queries and keys to the output: one path in pictures, and all of it in the viewer."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from mmviz.analysis.answer_maps import KINDS
from mmviz.analysis.attention_steps import attention_weights, largest_difference
from mmviz.analysis.available_maps import last_map
from mmviz.analysis.query_key_walkthrough import attention_path
from mmviz.app.components import page_elements
from mmviz.app.components.glossary_text import glossary_note
from mmviz.app.components.query_key_walkthrough import animated_path
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.app.pages.learn.query_picker import pick_query
from mmviz.app.pages.learn.steps_viewer import calculator
from mmviz.app.selection import Selection, with_map
from mmviz.explain import Run
from mmviz.i18n.minus_sign import scientific_text
from mmviz.i18n.page import say
from mmviz.report.answer_maps import map_card


def output(context: LessonContext) -> None:
    """The path through one key, and on the page the calculator and the largest difference from the model's outputs."""
    if context.part == "maps":
        _first_maps(context.run)
        return
    picked = pick_query(context)
    if picked is None:
        return
    steps, head, query = picked.steps, picked.head, picked.query
    weights = attention_weights(steps, head, query)
    if picked.labels[query : query + 1] == [picked.query_label]:  # another token than itself shows more
        weights[query] = -1
    with picked.place:
        key = context.choice("key", range(len(picked.keys)), int(weights.argmax()), lambda k: picked.labels[k])
    if not context.is_large:
        page_elements.heading(say("learn-path-heading"))
    modalities = [token.modality for token in picked.keys]
    widget_key = "learn-path-slide" if context.is_large else "learn-path"
    path = attention_path(steps, head, query, key)
    animated_path(path, picked.query_label, picked.labels, modalities, context.part, widget_key)
    if not context.is_large:
        _calculator(context)


def _first_maps(run: Run) -> None:
    """A slide of the two maps with which the viewer begins; the viewer with its calculator is higher than a slide."""
    with st.container(horizontal=True, gap="small", key="slide-maps"):
        for kind in KINDS:
            with st.container(key=f"slide-{kind.replace('_', '-')}"):
                st.html(map_card(run, kind, page_elements.is_dark(), is_compact=True))
    glossary_note(say("learn-slide-viewer"))


def _calculator(context: LessonContext) -> None:
    """The viewer with the calculator, which is higher than a slide."""
    state, run = context.runner.state, context.run_with_steps()
    if run is None:
        return
    difference = context.runner.measure(("difference",), lambda *_: largest_difference(run.record))
    if difference is None:
        return
    context.number("difference", scientific_text(difference))
    glossary_note(say("learn-output-below"))
    key = f"learn-output-start-{run.record.id}-{state.lesson_serial}"
    start: Selection | None = st.session_state.setdefault(key, _start(run, state.selection))
    state.selection = calculator(run, "learn-calculator", start) or state.selection


def _start(run: Run, selection: Selection | None) -> Selection | None:
    """The selection with a single head, since no model computes a mean over heads."""
    if selection is None or selection.map_ref.head is not None:
        return selection
    is_flow = selection.map_ref.layer is None
    number = last_map(run.record) if is_flow else run.record.map_number(selection.map_ref)
    return with_map(replace(selection, versus=()), run, run.record.map_ref(number, 0), "from")
