"""Lesson 10: what attention does not tell, and what a measured effect adds."""

from __future__ import annotations

import math
from dataclasses import replace

import streamlit as st

from mmviz.app.pages.debug.modality_effect import effect_html
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.app.pages.learn.query_picker import is_long
from mmviz.experiments.modality_shapley import given
from mmviz.experiments.runs import measure_modality_effect, modality_shares
from mmviz.i18n.page import say
from mmviz.types import AttentionRecord, UniformAttention


def limits(desk: LessonContext) -> None:
    """Attention beside effect; one modality taken away; attention made even."""
    bench, record = desk.bench, desk.run.record
    found = bench.measured(("effect", "learned"), lambda tell, stop: measure_modality_effect(
        bench.backend(), bench.request, "learned", tell, stop))  # fmt: skip
    evened = bench.measured(("evened",), lambda *_: _evened(desk))
    if found is None or evened is None:
        return
    if is_long(desk):
        return
    attention = modality_shares(record, desk.run.map_ref)
    st.html(effect_html(found, attention))
    there = given(desk.run.sample)
    options = (None, *there)
    gone = desk.choice(
        "gone", options, None, lambda one: say("learn-limits-nothing") if one is None else say(f"the-{one}")
    )
    everything = frozenset(there)
    columns = st.columns(4 if gone else 2)
    probability = math.exp(found.values[everything])
    with columns[0]:
        desk.number("with", f"{probability:.3f}", answer=found.answer)
    with columns[1]:
        same = next(answer.probability for answer in evened.answers if answer.label == found.answer)
        desk.number("evened", f"{same:.3f}", answer=found.answer)
    if gone:
        with columns[2]:
            desk.number("looks", f"{attention[gone]:.3f}", modality=say(f"the-{gone}"))
        with columns[3]:
            without = math.exp(found.values[everything - {gone}])
            desk.number("without", f"{without:.3f}", answer=found.answer, modality=say(f"the-{gone}"))


def _evened(desk: LessonContext) -> AttentionRecord:
    request = desk.bench.request
    (record,) = desk.bench.backend().run(
        [replace(request, changes=(*request.changes, UniformAttention()), relevance=False)]
    )
    return record
