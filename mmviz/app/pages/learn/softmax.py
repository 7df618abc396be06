"""Lesson 3: from scores to attention weights: softmax, temperature and mask."""

from __future__ import annotations

import numpy as np

from mmviz.analysis.attention_steps import mask_row, scale_scores, softmax_weights
from mmviz.analysis.similarity import effective_number_of_keys
from mmviz.app.components import page_elements
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.app.pages.learn.query_picker import bars, pick_query
from mmviz.i18n.page import say
from mmviz.types import Modality

TEMPERATURES = tuple(round(10 ** (k / 10), 2) for k in range(-10, 11))


def softmax(context: LessonContext) -> None:
    """The attention weights of one query, by temperature, with some modalities masked."""
    picked = pick_query(context)
    if picked is None:
        return
    steps, keys = picked.steps, picked.keys
    present = [modality for modality in Modality if any(token.modality is modality for token in keys)]
    with picked.place:
        temperature = context.slider("temperature", TEMPERATURES, 1.0, lambda t: f"{t:g}")
    masked = context.several("masked", present, lambda modality: say(f"name-{modality}"))
    scaled = scale_scores(steps, picked.scores)
    is_masked = np.array([token.modality in masked for token in keys])
    if is_masked.all():
        page_elements.note(say("learn-softmax-all-masked"), "remark")
        return
    model_mask = mask_row(steps, picked.head, picked.query)
    mask = np.where(is_masked, -np.inf, 0.0 if model_mask is None else model_mask)
    weights = softmax_weights(scaled, temperature, mask)
    with context.in_part("weights"):
        bars(context, keys, weights, "weights")
    columns = context.in_part("sums").columns(2 + len(present))
    with columns[0]:
        context.number("effective", f"{effective_number_of_keys(weights):.1f}", of=len(keys))
    with columns[1]:
        context.number("largest", f"{weights.max():.3f}")
    for column, modality in zip(columns[2:], present, strict=True):
        share = float(weights[[token.modality is modality for token in keys]].sum())
        with column:
            context.number("share", f"{share:.3f}", modality=say(f"name-{modality}"))
