"""Lesson 3: softmax makes shares of the scores; temperature and mask."""

from __future__ import annotations

import numpy as np
import streamlit as st

from mmviz.analysis.attention_steps import mask_of, scaled, weights_of
from mmviz.analysis.similarity import effective_number_of_keys
from mmviz.app.components import widgets
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.app.pages.learn.query_picker import bars, place
from mmviz.i18n.page import say
from mmviz.types import Modality

TEMPERATURES = tuple(round(10 ** (k / 10), 2) for k in range(-10, 11))


def softmax(desk: LessonContext) -> None:
    """The weights of one query, by temperature, with some modalities masked."""
    here = place(desk)
    if here is None:
        return
    one, keys = here.steps, here.keys
    there = [modality for modality in Modality if any(token.modality is modality for token in keys)]
    left, right = st.columns(2, gap="medium")
    with left:
        temperature = desk.slider("temperature", TEMPERATURES, 1.0, lambda t: f"{t:g}")
    with right:
        masked = desk.several("masked", there, lambda modality: say(f"name-{modality}"))
    divided = scaled(one, here.scores)
    gone = np.array([token.modality in masked for token in keys])
    if gone.all():
        widgets.note(say("learn-softmax-all-masked"), "remark")
        return
    own = mask_of(one, here.head, here.query)
    weights = weights_of(divided, temperature, np.where(gone, -np.inf, 0.0 if own is None else own))
    bars(desk, keys, weights, "weights")
    columns = st.columns(2 + len(there))
    with columns[0]:
        desk.number("effective", f"{effective_number_of_keys(weights):.1f}", of=len(keys))
    with columns[1]:
        desk.number("largest", f"{weights.max():.3f}")
    for column, modality in zip(columns[2:], there, strict=True):
        share = float(weights[[token.modality is modality for token in keys]].sum())
        with column:
            desk.number("share", f"{share:.3f}", modality=say(f"name-{modality}"))
