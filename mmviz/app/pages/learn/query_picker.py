"""What several lessons share: where to ask, and how numbers over keys are drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from mmviz.analysis.attention_steps import scores
from mmviz.app.components import widgets
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.figures.colour_scale import hex_colour, ink
from mmviz.figures.key_bars import key_bars
from mmviz.i18n.page import say
from mmviz.types import AttentionSteps, Token


@dataclass(frozen=True)
class Place:
    """A query of a head in a layer: its ``steps``, the ``keys`` that are asked, and what they are called."""

    steps: AttentionSteps
    head: int
    query: int
    keys: tuple[Token, ...]
    labels: Sequence[str]

    @property
    def scores(self) -> NDArray[np.float64]:
        """The query's dot products with every key, ``[key]``."""
        return scores(self.steps, self.head, self.query)


def usual_layer(desk: LessonContext) -> int:
    """The second layer: in later ones all is often given to one modality, and there is little to compare."""
    return min(1, len(desk.run.record.maps) - 1)


def place(desk: LessonContext) -> Place | None:
    """Boxes for layer, head and query; at first the answering token in the first head of the second layer. None until
    the steps are there, or where there are none."""
    maps = desk.run.record.maps
    first, second, third = st.columns([1, 1, 1.6], gap="small")
    with first:
        layer = desk.choice("layer", range(len(maps)), usual_layer(desk), lambda k: str(k + 1))
    with second:
        head = desk.choice("head", range(maps[layer].heads), 0, lambda k: str(k + 1))
    labels = desk.tokens(maps[layer].queries)
    with third:
        query = desk.choice("query", range(len(labels)), desk.run.answer_query, lambda k: labels[k])
    run = desk.stepped()
    if run is None:
        return None
    return Place(run.record.steps[layer], head, query, keys_of(desk, layer), desk.tokens(maps[layer].keys))


def is_long(desk: LessonContext) -> bool:
    """Whether the run is too long to hold all its weights, which the page then says."""
    if desk.run.record.is_long:
        widgets.note(say("learn-long"), "remark")
    return desk.run.record.is_long


def keys_of(desk: LessonContext, layer: int) -> tuple[Token, ...]:
    """The tokens that are asked in a layer."""
    record = desk.run.record
    return record.streams[record.maps[layer].keys]


def share_cells(shares: Iterable[float]) -> str:
    """Cells of a table, coloured from 0 to 1."""
    grounds = ((share, hex_colour(float(share), 1.0)) for share in shares)
    return "".join(f"<td style='background:{ground};color:{ink(ground)}'>{share:.3f}</td>" for share, ground in grounds)


def bars(
    desk: LessonContext, tokens: tuple[Token, ...], values: NDArray[Any], code: str, chosen: int | None = None
) -> None:
    """A bar a key; the words are those of ``code`` and, for axis and note, ``code-axis`` and ``code-note``."""
    title, note, axis = (say(f"learn-{desk.lesson}-{code}{part}") for part in ("", "-note", "-axis"))
    widgets.heading(title)
    widgets.note(note)
    called = {token.modality: say(f"name-{token.modality}") for token in tokens}  # in the order of the bars
    figure = key_bars(tokens, values, axis, called, widgets.is_dark(), chosen)
    st.plotly_chart(figure, theme=None, config={"displayModeBar": False}, key=f"learn-{desk.lesson}-{code}")
