"""Shared by several lessons: boxes to pick a query, and bars over its keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from streamlit.delta_generator import DeltaGenerator

from mmviz.analysis.answer_token import answer_token
from mmviz.analysis.attention_steps import scores
from mmviz.app.components import page_elements
from mmviz.app.components.glossary_text import glossary_note
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.figures.colour_scale import hex_colour, text_colour
from mmviz.figures.key_bars import STRONGEST, key_bars
from mmviz.i18n.page import say
from mmviz.types import MODALITIES, AttentionTensors, Token


@dataclass(frozen=True)
class PickedQuery:
    """One query of one head of one layer."""

    steps: AttentionTensors
    """Query, key, value and mask of the layer."""
    head: int
    """Index of the head."""
    query: int
    """Index of the query token."""
    keys: tuple[Token, ...]
    """The key tokens of the layer."""
    labels: Sequence[str]
    """Display names of ``keys``."""
    query_label: str
    """Display name of the query token."""
    place: DeltaGenerator
    """The place for one more control, beside those that picked the query."""

    @property
    def scores(self) -> NDArray[np.float64]:
        """Dot products of the query with every key, ``[key]``."""
        return scores(self.steps, self.head, self.query)


DEFAULT_LAYER = 1
"""The second layer: later layers often attend to one modality alone, and there is little to compare."""


def query_choice(context: LessonContext, number: int) -> int:
    """A box to choose a query of map ``number``, at first the answer token."""
    record = context.run.record
    stream = record.maps[number].queries
    labels = context.token_names(stream)
    return context.choice("query", range(len(labels)), answer_token(record, stream), lambda k: labels[k])


def pick_query(context: LessonContext) -> PickedQuery | None:
    """Select boxes for stack, layer, head and query, and a place for one more control.

    At first the answer token in the first head of the second layer.

    None as long as the run with its steps is not available (`LessonContext.run_with_steps`).
    """
    maps = context.run.record.maps
    stack = context.stack_choice()
    first, second, third, place = st.columns([1, 1, 1.6, 1.6], gap="small")
    with first:
        layer = context.map_choice("layer", stack, DEFAULT_LAYER)
    with second:
        head = context.choice("head", range(maps[layer].heads), 0, lambda k: str(k + 1))
    with third:
        query = query_choice(context, layer)
    run = context.run_with_steps()
    if run is None:
        return None
    key_names = context.token_names(maps[layer].keys)
    query_name = context.token_names(maps[layer].queries)[query]
    return PickedQuery(run.record.steps[layer], head, query, keys_of(context, layer), key_names, query_name, place)


def is_long(context: LessonContext) -> bool:
    """Whether the run is too long to hold all its attention weights, which the page then says."""
    if context.run.record.is_long:
        page_elements.note(say("learn-long"), "remark")
    return context.run.record.is_long


def keys_of(context: LessonContext, layer: int) -> tuple[Token, ...]:
    """The key tokens of a layer."""
    record = context.run.record
    return record.streams[record.maps[layer].keys]


def share_cells(shares: Iterable[float]) -> str:
    """Table cells of shares, on the colour scale from 0 to 1."""
    coloured = ((share, hex_colour(float(share), 1.0)) for share in shares)
    return "".join(
        f"<td style='background:{colour};color:{text_colour(colour)}'>{share:.3f}</td>" for share, colour in coloured
    )


def bars(
    context: LessonContext, tokens: tuple[Token, ...], values: NDArray[Any], code: str, selected: int | None = None
) -> None:
    """Bars of ``values`` over ``tokens``, with the texts ``CODE``, ``CODE-note`` and ``CODE-axis`` of the lesson."""
    title, note, axis = (say(f"learn-{context.lesson}-{code}{part}") for part in ("", "-note", "-axis"))
    page_elements.heading(title)
    if not context.is_large:
        glossary_note(note)
    present = {token.modality for token in tokens}
    modality_names = {modality: say(f"name-{modality}") for modality in MODALITIES if modality in present}
    texts = {"axis": axis, "all": say("learn-bars-all", count=len(tokens)),
             "strongest": say("learn-bars-strongest", count=min(STRONGEST, len(tokens)))}  # fmt: skip
    figure = key_bars(tokens, values, texts, modality_names, page_elements.is_dark(), selected, context.is_large)
    st.plotly_chart(
        figure, theme=None, config={"displayModeBar": False}, key=f"learn-{context.lesson}-{code}", alt=title
    )
