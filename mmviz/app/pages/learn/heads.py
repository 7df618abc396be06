"""Lesson 5: the heads of a layer attend to different keys."""

from __future__ import annotations

import html
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from mmviz.analysis.modality_matrix import ModalityMatrix, modality_matrix
from mmviz.analysis.similarity import effective_number_of_keys, js_distance
from mmviz.app.components import page_elements
from mmviz.app.components.page_elements import chip
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.app.pages.learn.query_picker import DEFAULT_LAYER, is_long, keys_of, query_choice, share_cells
from mmviz.figures.image import data_uri, downscaled, spotlight
from mmviz.figures.legend import amount_legend_html
from mmviz.i18n.page import say
from mmviz.types import PixelBox, Token

_MAX_IMAGES, _IMAGE_SIDE = 6, 260


def heads(context: LessonContext) -> None:
    """What each head of a layer attends to, for one query, and the distances between the heads."""
    record = context.run.record
    if is_long(context):
        return
    stack = context.stack_choice()
    left, right = st.columns([1, 2], gap="small")
    with left:
        layer = context.map_choice("layer", stack, DEFAULT_LAYER)
    attention_map = record.maps[layer]
    queries = context.token_names(attention_map.queries)
    with right:
        query = query_choice(context, layer)
    keys, labels = keys_of(context, layer), context.token_names(attention_map.keys)
    weights = attention_map.weights
    rows = np.concatenate([weights[:, query], weights[:, query].mean(0, keepdims=True)]).astype(np.float64)
    names = [str(k + 1) for k in range(attention_map.heads)] + [say("learn-heads-mean")]
    caption = say("learn-heads-caption", layer=attention_map.layer + 1, token=queries[query])
    matrices = [modality_matrix(row[None], [record.streams[attention_map.queries][query]], keys) for row in rows]
    with context.in_part("table"):
        st.html(_table(rows, matrices, names, labels, caption))
        numbers = st.container()
    with context.in_part("images"):
        _images(context, keys, rows, names)
    heads_of = range(attention_map.heads)
    pairs = [(js_distance(weights[a], weights[b]), a, b) for a, b in combinations(heads_of, 2)]
    if pairs:
        for column, code, (distance, a, b) in zip(
            numbers.columns(2), ("unlike", "like"), (max(pairs), min(pairs)), strict=True
        ):
            with column:
                context.number(code, f"{distance:.3f}", first=a + 1, second=b + 1)


def _table(
    rows: NDArray[np.float64], matrices: Sequence[ModalityMatrix], names: Sequence[str], labels: Sequence[str],
    caption: str,
) -> str:  # fmt: skip
    """A row for each head and the mean: shares by modality, the strongest key, the effective number of keys."""
    body = ""
    for name, row, matrix in zip(names, rows, matrices, strict=True):
        strongest = f"{html.escape(labels[int(row.argmax())])} {row.max():.3f}"
        body += (
            f"<tr><th scope='row'>{html.escape(name)}</th>{share_cells(matrix.sums[0])}<td>{strongest}</td>"
            f"<td>{effective_number_of_keys(row):.1f}</td></tr>"
        )
    columns = f"<th scope='col'>{html.escape(say('learn-heads-head'))}</th>"
    columns += "".join(f"<th scope='col'>{chip(modality)}</th>" for modality in matrices[0].keys)
    headings = [say("learn-heads-top"), say("learn-heads-effective")]
    columns += "".join(f"<th scope='col'>{html.escape(heading)}</th>" for heading in headings)
    table = "<table class='facts wide' tabindex='0'>"
    return f"{table}<caption>{html.escape(caption)}</caption><tr>{columns}</tr>{body}</table>"


def _images(context: LessonContext, keys: Sequence[Token], rows: NDArray[np.float64], names: Sequence[str]) -> None:
    """The image under the attention of the first heads and of their mean, all on one scale."""
    image, largest = context.run.sample.image, float(rows.max())
    if image is None or not any(isinstance(token.location, PixelBox) for token in keys):
        return
    size, thumbnail = (image.width, image.height), downscaled(image.pixels, _IMAGE_SIDE)
    mean = len(names) - 1
    figures = ""
    for index in (*range(min(mean, _MAX_IMAGES)), mean):
        title = html.escape(names[index] if index == mean else say("learn-heads-card", head=names[index]))
        source = data_uri(spotlight(thumbnail, keys, rows[index], largest, size))
        figures += f"<figure><img src='{source}' alt='{title}'><figcaption>{title}</figcaption></figure>"
    legend = amount_legend_html(largest, page_elements.is_dark())
    st.html(f"<div class='head-images'>{figures}</div>{legend}")
