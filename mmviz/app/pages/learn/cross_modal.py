"""Lesson 6: who asks whom."""

from __future__ import annotations

import html

import numpy as np
import streamlit as st

from mmviz.analysis.modality_matrix import ModalityMatrix, crossing, modality_matrix
from mmviz.app.components import widgets
from mmviz.app.pages.debug.modality_effect import chip
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.app.pages.learn.query_picker import is_long, share_cells
from mmviz.i18n.page import say
from mmviz.types import Modality


def asks(desk: LessonContext) -> None:
    """Attention between modalities in one layer, and how much of it crosses."""
    record = desk.run.record
    if is_long(desk):
        return
    number = desk.choice("map", range(len(record.maps)), len(record.maps) - 1, lambda k: f"{k + 1}")
    found = record.maps[number]
    queries, keys = record.streams[found.queries], record.streams[found.keys]
    code = "self" if found.queries == found.keys else "cross"
    widgets.note(say(f"learn-asks-{code}", name=number + 1, queries=len(queries), count=len(keys)))
    matrix = modality_matrix(found.weights.mean(0, dtype=np.float64), queries, keys)
    st.html(_table(matrix))
    share, even = crossing(matrix)
    first, second, third = st.columns(3)
    with first:
        desk.number("crossing", f"{share:.3f}")
    with second:
        desk.number("even", f"{even:.3f}")
    across = [
        (float(matrix.sums[row, column]), asking, asked)
        for row, asking in enumerate(matrix.queries)
        for column, asked in enumerate(matrix.keys)
        if Modality.SPECIAL not in (asking, asked) and asking != asked
    ]
    if across:
        most, asking, asked = max(across)
        with third:
            names = {"from": say(f"name-{asking}"), "to": say(f"name-{asked}")}
            desk.number("most", f"{most:.3f}", **names)


def _table(matrix: ModalityMatrix) -> str:
    """Sums by modality, coloured from 0 to 1."""
    heads = "".join(f"<th scope='col'>{chip(modality)}</th>" for modality in matrix.keys)
    rows = ""
    for modality, sums in zip(matrix.queries, matrix.sums, strict=True):
        rows += f"<tr><th scope='row'>{chip(modality)}</th>{share_cells(sums)}</tr>"
    total = sum(matrix.counts)
    shares = "".join(f"<td>{count / total:.3f}</td>" for count in matrix.counts)
    rows += f"<tr class='sum'><th scope='row'>{html.escape(say('learn-asks-evenly'))}</th>{shares}</tr>"
    caption = html.escape(say("learn-asks-caption"))
    return f"<table class='facts wide'><caption>{caption}</caption><tr><td></td>{heads}</tr>{rows}</table>"
