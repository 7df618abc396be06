"""Lesson 5: the heads of a layer ask differently."""

from __future__ import annotations

import html
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from mmviz.analysis.modality_matrix import modality_matrix
from mmviz.analysis.similarity import effective_number_of_keys
from mmviz.app.components import widgets
from mmviz.app.pages.debug.modality_effect import chip
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.app.pages.learn.query_picker import is_long, keys_of, share_cells, usual_layer
from mmviz.experiments.head_ablation import js_distance
from mmviz.figures.image import data_uri, smaller, spotlight
from mmviz.figures.legend import amount_legend_html
from mmviz.i18n.page import say
from mmviz.types import PixelBox, Token

_MOST, _SIDE = 6, 260


def heads(desk: LessonContext) -> None:
    """What each head of a layer gives to the modalities for one query, and how unlike the heads are."""
    record = desk.run.record
    if is_long(desk):
        return
    left, right = st.columns([1, 2], gap="small")
    with left:
        number = desk.choice("layer", range(len(record.maps)), usual_layer(desk), lambda k: str(k + 1))
    found = record.maps[number]
    asking = desk.tokens(found.queries)
    with right:
        query = desk.choice(
            "query", range(len(asking)), min(desk.run.answer_query, len(asking) - 1), lambda k: asking[k]
        )
    keys, asked = keys_of(desk, number), desk.tokens(found.keys)
    rows = np.concatenate([found.weights[:, query], found.weights[:, query].mean(0, keepdims=True)]).astype(np.float64)
    matrices = [modality_matrix(row[None], [record.streams[found.queries][query]], keys) for row in rows]
    names = [str(k + 1) for k in range(found.heads)] + [say("learn-heads-mean")]
    body = ""
    for name, row, matrix in zip(names, rows, matrices, strict=True):
        cells, top = share_cells(matrix.sums[0]), asked[int(row.argmax())]
        body += (
            f"<tr><th scope='row'>{html.escape(name)}</th>{cells}<td>{html.escape(top)} {row.max():.3f}</td>"
            f"<td>{effective_number_of_keys(row):.1f}</td></tr>"
        )
    columns = "".join(f"<th scope='col'>{chip(modality)}</th>" for modality in matrices[0].keys)
    columns += "".join(f"<th scope='col'>{html.escape(say(f'learn-heads-{code}'))}</th>" for code in ("top", "counts"))
    caption = html.escape(say("learn-heads-caption", layer=number + 1, token=asking[query]))
    head = f"<th scope='col'>{html.escape(say('learn-heads-head'))}</th>"
    st.html(f"<table class='facts wide'><caption>{caption}</caption><tr>{head}{columns}</tr>{body}</table>")
    _lights(desk, keys, rows, names)
    pairs = [(js_distance(found.weights[a], found.weights[b]), a, b) for a, b in combinations(range(found.heads), 2)]
    if pairs:
        first, second = st.columns(2)
        for column, code, (distance, a, b) in ((first, "unlike", max(pairs)), (second, "like", min(pairs))):
            with column:
                desk.number(code, f"{distance:.3f}", first=a + 1, second=b + 1)


def _lights(desk: LessonContext, keys: Sequence[Token], rows: NDArray[np.float64], names: Sequence[str]) -> None:
    """What each head looks at in the picture, all on one scale; of as many heads as there is room for, and the mean."""
    picture, top = desk.run.sample.image, float(rows.max())
    if picture is None or not any(isinstance(token.location, PixelBox) for token in keys):
        return
    size, small = (picture.width, picture.height), smaller(picture.pixels, _SIDE)
    kept = [*range(min(len(names) - 1, _MOST)), len(names) - 1]
    cards = ""
    for place in kept:
        title = names[place] if place == len(names) - 1 else say("learn-heads-card", head=names[place])
        lit = data_uri(spotlight(small, keys, rows[place], top, size))
        named = html.escape(title)
        cards += f"<figure><img src='{lit}' alt='{named}'><figcaption>{named}</figcaption></figure>"
    legend = amount_legend_html(top, widgets.is_dark())
    st.html(f"<div class='lights'>{cards}</div>{legend}")
