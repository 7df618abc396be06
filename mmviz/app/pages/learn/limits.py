"""Lesson 10: what attention does not tell, and what the measured effect of a modality adds."""

from __future__ import annotations

import math
from dataclasses import replace

import streamlit as st

from mmviz.analysis.attributions import modality_shares
from mmviz.app.pages.debug.modality_effect import effect_html
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.app.pages.learn.query_picker import is_long
from mmviz.experiments.modality_shapley import measure_modality_effect
from mmviz.experiments.removals import present_modalities
from mmviz.i18n.page import say
from mmviz.types import AttentionRecord, UniformAttention


def limits(context: LessonContext) -> None:
    """Attention beside the measured effect; the answer without one modality, and under uniform attention."""
    runner, record = context.runner, context.run.record
    effect = runner.measure(("effect", "learned"), lambda tell, stop: measure_modality_effect(
        runner.backend(), runner.request, "learned", tell, stop))  # fmt: skip
    uniform = runner.measure(("uniform",), lambda *_: _run_with_uniform_attention(context))
    if effect is None or uniform is None:
        return
    if is_long(context):
        return
    attention = modality_shares(record, context.run.map_ref)
    st.html(effect_html(effect, attention))
    present = present_modalities(context.run.sample)
    removed = context.choice(
        "removed", (None, *present), None, lambda m: say("learn-limits-nothing") if m is None else say(f"the-{m}")
    )
    columns = st.columns(4 if removed else 2)
    with columns[0]:
        context.number("with", f"{math.exp(effect.values[frozenset(present)]):.3f}", answer=effect.answer)
    with columns[1]:
        probability = next(answer.probability for answer in uniform.answers if answer.label == effect.answer)
        context.number("uniform", f"{probability:.3f}", answer=effect.answer)
    if removed:
        with columns[2]:
            context.number("attention", f"{attention[removed]:.3f}", modality=say(f"the-{removed}"))
        with columns[3]:
            probability = math.exp(effect.values[frozenset(present) - {removed}])
            context.number("without", f"{probability:.3f}", answer=effect.answer, modality=say(f"the-{removed}"))


def _run_with_uniform_attention(context: LessonContext) -> AttentionRecord:
    request = context.runner.request
    (record,) = context.runner.backend().run(
        [replace(request, changes=(*request.changes, UniformAttention()), relevance=False, towers=False)]
    )
    return record
