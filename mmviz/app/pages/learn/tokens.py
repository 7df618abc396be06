"""Lesson 1: a picture, a text and a sound become tokens, which lie in one common space."""

from __future__ import annotations

import html
from collections import Counter

import numpy as np
import streamlit as st

from mmviz.analysis.similarity import cosine_similarity, width
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.app.pages.learn.query_picker import bars, keys_of
from mmviz.figures.theme import MODALITY_COLOURS
from mmviz.i18n.page import say
from mmviz.types import Modality


def tokens(desk: LessonContext) -> None:
    """How many tokens each encoder makes; which tokens lie near a chosen one as they enter the first layer."""
    stream = keys_of(desk, 0)
    counts = Counter(token.modality for token in stream)
    st.html(_counted(counts))
    run = desk.stepped()
    if run is None:
        return
    steps = run.record.steps
    labels = desk.tokens(desk.run.record.maps[0].keys)
    words = [k for k, token in enumerate(stream) if token.modality is Modality.TEXT]
    chosen = desk.choice("token", range(len(stream)), words[-1] if words else 0, lambda k: labels[k])
    alike = cosine_similarity(steps[0], chosen)
    bars(desk, stream, alike, "near", chosen)
    first, second, third = st.columns(3)
    with first:
        desk.number("count", str(len(stream)))
    with second:
        desk.number("width", str(width(steps[0])))
    others = np.where(np.arange(len(stream)) == chosen, -np.inf, alike)
    most = int(others.argmax())
    with third:
        desk.number("nearest", f"{alike[most]:.2f}", token=labels[chosen], other=labels[most])


def _counted(counts: Counter[Modality]) -> str:
    """From what each modality came, and how many tokens it is."""
    cells = "".join(
        f"<div style='border-top:4px solid {MODALITY_COLOURS[modality]}'><b>{counts[modality]}</b>"
        f"<span>{html.escape(say(f'learn-tokens-of-{modality}'))}</span></div>"
        for modality in Modality
        if counts[modality]
    )
    return f"<div class='encoders'>{cells}</div>"
