"""What several lessons share: where to ask, and how numbers over keys are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st
from numpy.typing import NDArray

from mmviz.app import widgets
from mmviz.app.learn.desk import Desk
from mmviz.app.texts import say
from mmviz.figures.keys import key_bars
from mmviz.types import Token


@dataclass(frozen=True)
class Place:
    """A query of a head: ``layer`` counts the maps of the run from 0."""

    layer: int
    head: int
    query: int


def usual_layer(desk: Desk) -> int:
    """The second layer: in later ones all is often given to one modality, and there is little to compare."""
    return min(1, len(desk.run.record.maps) - 1)


def place(desk: Desk) -> Place:
    """Boxes for layer, head and query; at first the answering token in the first head of the second layer."""
    maps = desk.run.record.maps
    first, second, third = st.columns([1, 1, 1.6], gap="small")
    with first:
        layer = desk.choice("layer", range(len(maps)), usual_layer(desk), lambda k: str(k + 1))
    with second:
        head = desk.choice("head", range(maps[layer].heads), 0, lambda k: str(k + 1))
    labels = desk.tokens(maps[layer].queries)
    with third:
        query = desk.choice("query", range(len(labels)), desk.run.asker, lambda k: labels[k])
    return Place(layer, head, query)


def is_long(desk: Desk) -> bool:
    """Whether the run is too long to hold all its weights, which the page then says."""
    if desk.run.record.is_long:
        widgets.note(say("learn-long"), "remark")
    return desk.run.record.is_long


def keys_of(desk: Desk, layer: int) -> tuple[Token, ...]:
    """The tokens that are asked in a layer."""
    record = desk.run.record
    return record.streams[record.maps[layer].keys]


def bars(desk: Desk, tokens: tuple[Token, ...], values: NDArray[Any], code: str, chosen: int | None = None) -> None:
    """A bar a key; the words are those of ``code`` and, for axis and note, ``code-axis`` and ``code-note``."""
    title, note, axis = (say(f"learn-{desk.lesson}-{code}{part}") for part in ("", "-note", "-axis"))
    widgets.heading(title)
    widgets.note(note)
    called = {token.modality: say(f"name-{token.modality}") for token in tokens}  # in the order of the bars
    figure = key_bars(tokens, values, axis, called, widgets.is_dark(), chosen)
    st.plotly_chart(figure, theme=None, config={"displayModeBar": False}, key=f"learn-{desk.lesson}-{code}")
