"""Attention token by token: rows are queries, columns are keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from mmviz.figures.colour_scale import CIVIDIS, exceeds_scale, range_text
from mmviz.figures.text_wrapping import clipped
from mmviz.figures.theme import LEGEND_SPACE, MODALITY_COLOURS, colour_axis, layout, plain, theme
from mmviz.figures.token_labels import full_names, names
from mmviz.i18n.figures import tell
from mmviz.types import Modality, Token
from mmviz.types.token_bins import modality_runs

_STRIP = {"start": 2, "end": 10}
"""Distances of the coloured strips beside the axes from the plot, in pixels."""
_LABELS = {"x": 13, "y": 26}
"""So many labels fit along an axis without overlap, at a width of 340 px."""


def token_matrix(
    weights: NDArray[Any],
    query_tokens: Sequence[Token],
    key_tokens: Sequence[Token],
    title: str,
    scale_max: float,
    dark: bool = False,
    unit: str = "",
) -> go.Figure:
    """Returns a heat map of ``weights`` ``[query, key]``, with a strip of the modality colours along both axes.

    Weights above ``scale_max`` have the last colour. The hover text has both tokens, their locations and the exact
    weight. ``unit`` is that of the weights, by default an attention weight. Raises ``ValueError`` if the tokens do not
    fit the weights.
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
            hovertemplate=hover_template(unit, "%{z:.6g}"),
        )
    )
    figure.update_layout(
        layout(title, colour_note(unit, range_text(scale_max, weights)), dark, height=500),
        margin={"l": 92, "r": 12, "b": LEGEND_SPACE + 92},
        coloraxis=colour_axis(scale_max, CIVIDIS, unit, dark, exceeds_scale(weights, scale_max)),
        shapes=[
            *_strips(key_tokens, "x"),
            *_strips(query_tokens, "y"),
            *_separators(key_tokens, "x", dark),
            *_separators(query_tokens, "y", dark),
        ],
    )
    ticks: dict[str, Any] = {"type": "category", "ticks": "outside", "ticklen": 12, "tickcolor": "rgba(0,0,0,0)"}
    figure.update_xaxes(ticks | _ticks(key_tokens, "x"), range=[-0.5, len(key_tokens) - 0.5], tickangle=-90)
    figure.update_yaxes(ticks | _ticks(query_tokens, "y"), range=[len(query_tokens) - 0.5, -0.5])
    return figure


def hover_template(what: str, amount: str, more: str = "") -> str:
    """Returns the hover template of a cell: its query, its key, and ``what`` the ``amount`` is."""
    return tell("hover", query="%{y}", key="%{x}", what=what, amount=amount) + more + "<extra></extra>"


def colour_note(unit: str, range: str) -> str:
    """Returns the note of a matrix: what rows and columns are, and what the colours mean."""
    return tell("colour", direction=tell("direction"), unit=unit, range=range)


def _categories(tokens: Sequence[Token]) -> list[str]:
    """Returns full names with the position in front, so that no two are equal."""
    return [f"{index + 1}. {plain(place)}" for index, place in enumerate(full_names(tokens))]


def _ticks(tokens: Sequence[Token], axis: Literal["x", "y"]) -> dict[str, Any]:
    """Returns as many labels as fit: the first token of every modality, then words and special tokens, then others."""
    starts = {start for start, _ in modality_runs(tokens)}
    labelled = {Modality.TEXT, Modality.SPECIAL}
    order = sorted(range(len(tokens)), key=lambda i: (i not in starts, tokens[i].modality not in labelled, i))
    gap = len(tokens) / _LABELS[axis]
    shown: list[int] = []
    for index in order:
        if all(abs(index - other) >= gap for other in shown):
            shown.append(index)
    shown.sort()
    categories, labels = _categories(tokens), names(tokens)
    return {"tickvals": [categories[i] for i in shown], "ticktext": [plain(clipped(labels[i], 12)) for i in shown]}


def _strips(tokens: Sequence[Token], axis: Literal["x", "y"]) -> list[dict[str, Any]]:
    """Returns a strip in the modality's colour beside the plot, along ``axis``, for every run of one modality."""
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
            f"{other}0": -_STRIP["start"],
            f"{other}1": -_STRIP["end"],
            "fillcolor": MODALITY_COLOURS[tokens[first].modality],
            "line": {"width": 0},
        }
        for first, after in modality_runs(tokens)
    ]


def _separators(tokens: Sequence[Token], axis: Literal["x", "y"], dark: bool) -> list[dict[str, Any]]:
    """Returns a thin line across the whole plot wherever a run of one modality ends along ``axis``."""
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
        for _, after in modality_runs(tokens)[:-1]
    ]
