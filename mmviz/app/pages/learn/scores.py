"""Lesson 2: the dot products of a query with its keys, and why they are divided by sqrt(d_k)."""

from __future__ import annotations

import html

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from mmviz.analysis.attention_steps import softmax_weights
from mmviz.analysis.similarity import effective_number_of_keys
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.app.pages.learn.query_picker import bars, pick_query
from mmviz.i18n.minus_sign import signed_text
from mmviz.i18n.page import say

POWERS = tuple(k / 20 for k in range(21))
"""The dot products are divided by d_k to this power; 0.5 is the square root of Vaswani et al. 2017, section 3.2.1."""
_SHOWN_TERMS = 5


def scores(context: LessonContext) -> None:
    """One dot product term by term, and the softmax of all of them by the power of d_k that divides them."""
    picked = pick_query(context)
    if picked is None:
        return
    steps, keys, dot_products = picked.steps, picked.keys, picked.scores
    d_k = steps.query.shape[-1]
    with picked.place, context.in_part("terms", "key"):
        key = context.choice("key", range(len(keys)), int(dot_products.argmax()), lambda k: picked.labels[k])
    with context.in_part("terms"):
        terms = steps.query[picked.head, picked.query].astype(float) * steps.key[picked.head, key].astype(float)
        st.html(f"<div class='sum'>{html.escape(_sum_text(terms))} = <b>{signed_text(dot_products[key], 3)}</b></div>")
        if context.is_large:  # on the page the weights stand below
            bars(context, keys, dot_products, "before", key)
        context.number("depth", f"{d_k}, √{d_k} = {d_k**0.5:.2f}")
    with picked.place, context.in_part("weights", "power"):
        power = context.slider("power", POWERS, 0.5, lambda p: f"{p:.2f}")
    with context.in_part("weights"):
        scaled = dot_products / d_k**power
        weights = softmax_weights(scaled)
        bars(context, keys, weights, "after", key)
        first, second, third = st.columns(3)
        with first:
            context.number("spread", f"{dot_products.std():.2f} → {scaled.std():.2f}")
        with second:
            context.number("largest", f"{weights.max():.3f}")
        with third:
            context.number("effective", f"{effective_number_of_keys(weights):.1f}", of=len(keys))


def _sum_text(terms: NDArray[np.float64]) -> str:
    """The largest terms of a dot product, and the sum of the others."""
    order = np.argsort(-np.abs(terms))
    shown = " ".join(signed_text(terms[k]) for k in order[:_SHOWN_TERMS])
    rest = order[_SHOWN_TERMS:]
    return say("learn-scores-terms", shown=shown, rest=signed_text(terms[rest].sum()), count=len(rest))
