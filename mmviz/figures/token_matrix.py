"""Who looks at whom, token by token. Rows ask, columns are asked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from mmviz.figures.colour_scale import CIVIDIS, beyond, range_words
from mmviz.figures.text_wrapping import clipped
from mmviz.figures.theme import LEGEND_SPACE, MODALITY_COLOURS, colour_axis, layout, plain, theme
from mmviz.figures.token_labels import names, places
from mmviz.i18n.figures import tell
from mmviz.types import Modality, Token

_STRIP = {"from": 2, "to": 10}
"""The coloured strips beside the axes, pixels from the plot."""
_LABELS = {"x": 13, "y": 26}
"""So many labels fit along an axis without touching, at a width of 340 px."""


def token_matrix(
    weights: NDArray[Any],
    query_tokens: Sequence[Token],
    key_tokens: Sequence[Token],
    title: str,
    scale_max: float,
    dark: bool = False,
    unit: str = "",
) -> go.Figure:
    """Every weight of ``weights`` ``[query, key]`` as a cell, with a strip of the modality colour along both axes.

    Cells with more than ``scale_max`` have the last colour; the hover has both tokens, their places and the exact
    weight. ``unit`` is that of the weights, by default an attention weight.
    """
    unit = unit or tell("unit")
    if weights.shape != (len(query_tokens), len(key_tokens)):
        raise ValueError(f"weights {list(weights.shape)} for {len(query_tokens)} queries, {len(key_tokens)} keys")
    figure = go.Figure(
        go.Heatmap(
            z=np.asarray(weights, dtype=np.float32),
            x=_categories(key_tokens),
            y=_categories(query_tokens),
            coloraxis="coloraxis",
            hovertemplate=hover(unit, "%{z:.6g}"),
        )
    )
    figure.update_layout(
        layout(title, colour_note(unit, range_words(scale_max, weights)), dark, height=500),
        margin={"l": 92, "r": 12, "b": LEGEND_SPACE + 92},
        coloraxis=colour_axis(scale_max, CIVIDIS, unit, dark, beyond(weights, scale_max)),
        shapes=[
            *_strips([token.modality for token in key_tokens], "x"),
            *_strips([token.modality for token in query_tokens], "y"),
            *_separators(key_tokens, "x", dark),
            *_separators(query_tokens, "y", dark),
        ],
    )
    ticks: dict[str, Any] = {"type": "category", "ticks": "outside", "ticklen": 12, "tickcolor": "rgba(0,0,0,0)"}
    figure.update_xaxes(ticks | _ticks(key_tokens, "x"), range=[-0.5, len(key_tokens) - 0.5], tickangle=-90)
    figure.update_yaxes(ticks | _ticks(query_tokens, "y"), range=[len(query_tokens) - 0.5, -0.5])
    return figure


def hover(what: str, amount: str, more: str = "") -> str:
    """Returns the hover template of a cell: its query, its key, and ``what`` the ``amount`` is."""
    return tell("hover", query="%{y}", key="%{x}", what=what, amount=amount) + more + "<extra></extra>"


def colour_note(unit: str, range: str) -> str:
    """Who asks whom, and what the colours mean."""
    return tell("colour", direction=tell("direction"), unit=unit, range=range)


def _categories(tokens: Sequence[Token]) -> list[str]:
    """Full names with the position in front: what the hover shows, and no two alike."""
    return [f"{index + 1}. {plain(place)}" for index, place in enumerate(places(tokens))]


def _ticks(tokens: Sequence[Token], axis: Literal["x", "y"]) -> dict[str, Any]:
    """As many labels as fit: the first token of every modality, then words and special tokens, then the others."""
    starts = {band[1] for band in _bands([token.modality for token in tokens])}
    worded = {Modality.TEXT, Modality.SPECIAL}
    order = sorted(range(len(tokens)), key=lambda i: (i not in starts, tokens[i].modality not in worded, i))
    gap = len(tokens) / _LABELS[axis]
    chosen: list[int] = []
    for index in order:
        if all(abs(index - other) >= gap for other in chosen):
            chosen.append(index)
    chosen.sort()
    categories, labels = _categories(tokens), names(tokens)
    return {"tickvals": [categories[i] for i in chosen], "ticktext": [plain(clipped(labels[i], 12)) for i in chosen]}


def _bands(modalities: Sequence[Modality]) -> list[tuple[Modality, int, int]]:
    """Stretches of one modality: (modality, first index, index after the last)."""
    found = []
    at = 0
    for modality, members in groupby(modalities):
        length = len(list(members))
        found.append((modality, at, at + length))
        at += length
    return found


def _strips(modalities: Sequence[Modality], axis: Literal["x", "y"]) -> list[dict[str, Any]]:
    """A strip in the modality's colour beside the plot, along ``axis``, for every stretch of one modality."""
    other = "y" if axis == "x" else "x"
    return [
        {
            "type": "rect",
            f"{axis}ref": axis,
            f"{axis}0": first - 0.5,
            f"{axis}1": after - 0.5,
            f"{other}ref": "paper",
            f"{other}sizemode": "pixel",
            f"{other}anchor": 0,
            f"{other}0": -_STRIP["from"],
            f"{other}1": -_STRIP["to"],
            "fillcolor": MODALITY_COLOURS[modality],
            "line": {"width": 0},
        }
        for modality, first, after in _bands(modalities)
    ]


def _separators(tokens: Sequence[Token], axis: Literal["x", "y"], dark: bool) -> list[dict[str, Any]]:
    """A thin line through the whole plot wherever along ``axis`` one modality ends."""
    other = "y" if axis == "x" else "x"
    return [
        {
            "type": "line",
            f"{axis}ref": axis,
            f"{axis}0": after - 0.5,
            f"{axis}1": after - 0.5,
            f"{other}ref": "paper",
            f"{other}0": 0,
            f"{other}1": 1,
            "line": {"width": 1, "color": theme(dark).ground},
        }
        for _, _, after in _bands([token.modality for token in tokens])[:-1]
    ]
