"""Lesson 2: a query is compared with every key by a dot product; why that is divided by sqrt(d_k)."""

from __future__ import annotations

import html

import numpy as np
import streamlit as st

from mmviz.analysis.attention_steps import weights_of
from mmviz.analysis.similarity import effective_number_of_keys
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.app.pages.learn.query_picker import bars, place
from mmviz.i18n.page import say

POWERS = tuple(k / 20 for k in range(21))
"""What the dot products are divided by: d_k to this power; the paper's square root is 0.5."""
_TERMS = 5


def scores(desk: LessonContext) -> None:
    """One dot product term by term, all of them, and what dividing does to the softmax."""
    here = place(desk)
    if here is None:
        return
    one, keys, raw = here.steps, here.keys, here.scores
    depth = one.query.shape[-1]
    left, right = st.columns(2, gap="medium")
    with left:
        key = desk.choice("key", range(len(keys)), int(raw.argmax()), lambda k: here.labels[k])
    with right:
        power = desk.slider("power", POWERS, 0.5, lambda p: f"{p:.2f}")
    terms = one.query[here.head, here.query].astype(float) * one.key[here.head, key].astype(float)
    st.html(f"<div class='sum'>{html.escape(_written(terms))} = <b>{raw[key]:.3f}</b></div>")
    divided = raw / depth**power
    weights = weights_of(divided)
    bars(desk, keys, weights, "after", key)
    first, second, third, fourth = st.columns(4)
    with first:
        desk.number("depth", f"{depth}, √{depth} = {depth**0.5:.2f}")
    with second:
        desk.number("spread", f"{raw.std():.2f} → {divided.std():.2f}")
    with third:
        desk.number("largest", f"{weights.max():.3f}")
    with fourth:
        desk.number("effective", f"{effective_number_of_keys(weights):.1f}", of=len(keys))


def _written(terms: np.ndarray) -> str:
    """The largest terms of a dot product, and what the others add up to."""
    order = np.argsort(-np.abs(terms))
    shown = " ".join(f"{terms[k]:+.2f}" for k in order[:_TERMS])
    return say("learn-scores-terms", shown=shown, rest=f"{terms[order[_TERMS:]].sum():+.2f}", count=len(terms) - _TERMS)
