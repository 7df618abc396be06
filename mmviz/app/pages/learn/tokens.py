"""Lesson 1: image, text and audio become tokens in one common space."""

from __future__ import annotations

import html
from collections import Counter

import numpy as np
import streamlit as st

from mmviz.analysis.similarity import cosine_similarity, has_both, token_vectors
from mmviz.app.operator_config import BUNDLED
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.app.pages.learn.query_picker import bars, keys_of
from mmviz.figures.theme import MODALITY_COLOURS
from mmviz.i18n.page import say
from mmviz.models.cards import COMPARED
from mmviz.types import Modality


def tokens(context: LessonContext) -> None:
    """The number of tokens of each encoder, and the tokens most similar to a chosen one at the first layer.

    Where that attends from one stream to another, the tokens of both are compared.
    """
    record = context.run.record
    number = next(k for k, attn_map in enumerate(record.maps) if attn_map.stack == record.default_stack)
    first_map = record.maps[number]
    stream, labels = keys_of(context, number), context.token_names(first_map.keys)
    is_cross = first_map.queries != first_map.keys
    counts_part, near_part = context.in_part("counts"), context.in_part("near")
    counts = Counter(token.modality for token in stream)
    if is_cross:
        counts += Counter(token.modality for token in record.streams[first_map.queries])
    with counts_part:
        st.html(_counts_html(counts, context.runner.request.model in (BUNDLED, *COMPARED)))
    run = context.run_with_steps()
    if run is None:
        return
    steps = run.record.steps[number]
    vectors = token_vectors(steps, is_cross)
    if is_cross and has_both(steps):
        stream = (*record.streams[first_map.queries], *stream)
        labels = [*context.token_names(first_map.queries), *labels]
    text_tokens = [k for k, token in enumerate(stream) if token.modality is Modality.TEXT]
    with near_part:
        chosen = context.choice("token", range(len(stream)), text_tokens[-1] if text_tokens else 0, lambda k: labels[k])
    similarity = cosine_similarity(vectors, chosen)
    others = np.where(np.arange(len(stream)) == chosen, -np.inf, similarity)
    nearest = int(others.argmax())
    with near_part:
        bars(context, stream, similarity, "near", chosen)
        first, second, third = st.columns(3)
    if context.is_large:  # what is counted stands on a slide of its own
        first, second = counts_part.columns(2)
    with first:
        context.number("count", str(len(stream)))
    with second:
        context.number("width", str(vectors.shape[1]))
    with near_part if context.is_large else third:
        context.number("nearest", f"{similarity[nearest]:.2f}", token=labels[chosen], other=labels[nearest])


def _counts_html(counts: Counter[Modality], is_bundled: bool) -> str:
    """The number of tokens of each modality, and what they are made from: of other models than the bundled ones, that
    their own encoders give them."""
    code = "learn-tokens-of" if is_bundled else "learn-tokens-own"
    cells = "".join(
        f"<div style='border-top:4px solid {MODALITY_COLOURS[modality]}'><b>{counts[modality]}</b>"
        f"<span>{html.escape(say(f'{code}-{modality}'))}</span></div>"
        for modality in Modality
        if counts[modality]
    )
    return f"<div class='encoders'>{cells}</div>"
