"""Lesson 6: self-attention, cross-attention, and which modality attends to which."""

from __future__ import annotations

import html

import numpy as np
import streamlit as st

from mmviz.analysis.modality_matrix import ModalityMatrix, cross_modal_share, modality_matrix
from mmviz.app.components.glossary_text import glossary_note
from mmviz.app.components.page_elements import chip
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.app.pages.learn.query_picker import is_long, share_cells
from mmviz.app.pages.learn.words_and_moments import words_and_moments
from mmviz.i18n.page import say
from mmviz.types import Modality


def cross_modal(context: LessonContext) -> None:
    """Attention between modalities in one layer; of a model that writes down speech, also when its words are spoken."""
    with context.in_part("layer"):
        _layer(context)
    with context.in_part("moments"):
        words_and_moments(context)


def _layer(context: LessonContext) -> None:
    """Attention between modalities in one layer, mean over its heads, and how much of it crosses modalities."""
    record = context.run.record
    if is_long(context):
        return
    attention_map = record.maps[context.map_choice("map", context.stack_choice())]
    queries, keys = record.streams[attention_map.queries], record.streams[attention_map.keys]
    code = "self" if attention_map.queries == attention_map.keys else "cross"
    glossary_note(say(f"learn-cross-modal-{code}", name=attention_map.layer + 1, queries=len(queries), count=len(keys)))
    matrix = modality_matrix(attention_map.weights.mean(0, dtype=np.float64), queries, keys)
    st.html(_table(matrix))
    share, uniform_share = cross_modal_share(matrix)
    first, second, third = st.columns(3)
    with first:
        context.number("crossing", f"{share:.3f}")
    with second:
        context.number("uniform", f"{uniform_share:.3f}")
    pairs = [
        (float(matrix.sums[row, column]), query, key)
        for row, query in enumerate(matrix.queries)
        for column, key in enumerate(matrix.keys)
        if Modality.SPECIAL not in (query, key) and query != key
    ]
    if pairs:
        largest, query, key = max(pairs)
        with third:
            names = {"from": say(f"name-{query}"), "to": say(f"name-{key}")}
            context.number("most", f"{largest:.3f}", **names)


def _table(matrix: ModalityMatrix) -> str:
    """Sums of attention by modality of the key, and the same under uniform attention."""
    columns = "".join(f"<th scope='col'>{chip(modality)}</th>" for modality in matrix.keys)
    rows = ""
    for modality, sums in zip(matrix.queries, matrix.sums, strict=True):
        rows += f"<tr><th scope='row'>{chip(modality)}</th>{share_cells(sums)}</tr>"
    total = sum(matrix.counts)
    shares = "".join(f"<td>{count / total:.3f}</td>" for count in matrix.counts)
    rows += f"<tr class='sum'><th scope='row'>{html.escape(say('learn-cross-modal-uniform-row'))}</th>{shares}</tr>"
    caption = html.escape(say("learn-cross-modal-caption"))
    table = "<table class='facts wide' tabindex='0'>"
    return f"{table}<caption>{caption}</caption><tr><td></td>{columns}</tr>{rows}</table>"
