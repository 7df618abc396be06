"""Who looks at whom: token by token, and modality by modality. Rows ask, columns are asked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.colors import diverging

from mmviz.figures.amounts import CIVIDIS, UNIT, beyond, exact, hex_colour, ink, range_words, short
from mmviz.figures.places import MODALITY_NAMES, names, places
from mmviz.figures.theme import LEGEND_SPACE, MODALITY_COLOURS, colour_axis, layout, legend_bar, plain, theme
from mmviz.types import Modality, Token

DIRECTION = "Rows ask, columns are asked."
_STRIP = {"from": 2, "to": 10}
"""The coloured strips beside the axes, pixels from the plot."""
_LABELS = {"x": 13, "y": 26}
"""So many labels fit along an axis without touching, at a width of 340 px."""
_RATIO_LIMIT = 8.0
_RATIO_COLOURS = diverging.PiYG[::-1]
_Part = Literal["sums", "per_token", "ratio"]
_TITLES: dict[_Part, tuple[str, str]] = {
    "sums": ("Attention between modalities", "Total share of attention, mean over the asking tokens."),
    "per_token": ("Attention per token asked", "The total divided by the number of tokens asked."),
    "ratio": ("Compared with uniform attention", "1 is what uniform attention would give."),
}


def token_matrix(
    weights: NDArray[Any],
    query_tokens: Sequence[Token],
    key_tokens: Sequence[Token],
    title: str,
    scale_max: float,
    dark: bool = False,
) -> go.Figure:
    """Every weight of ``weights`` ``[query, key]`` as a cell, with a strip of the modality colour along both axes.

    Cells with more than ``scale_max`` have the last colour; the hover has both tokens, their places and the exact
    weight.
    """
    if weights.shape != (len(query_tokens), len(key_tokens)):
        raise ValueError(f"weights {list(weights.shape)} for {len(query_tokens)} queries, {len(key_tokens)} keys")
    figure = go.Figure(
        go.Heatmap(
            z=np.asarray(weights, dtype=np.float32),
            x=_categories(key_tokens),
            y=_categories(query_tokens),
            coloraxis="coloraxis",
            hovertemplate="asks: %{y}<br>is asked: %{x}<br>" + UNIT + ": %{z:.6g}<extra></extra>",
        )
    )
    figure.update_layout(
        layout(title, f"{DIRECTION} Colour: {UNIT}, {range_words(scale_max, weights)}.", dark, height=500),
        margin={"l": 92, "r": 12, "b": LEGEND_SPACE + 92},
        coloraxis=colour_axis(scale_max, CIVIDIS, UNIT, dark, beyond(weights, scale_max)),
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


def modality_figure(
    values: NDArray[Any],
    queries: Sequence[Modality],
    keys: Sequence[Modality],
    counts: Sequence[int],
    which: _Part,
    scale_max: float | None = None,
    dark: bool = False,
) -> go.Figure:
    """One array of a modality matrix, ``values`` ``[queries, keys]``, every number printed in its cell.

    ``counts`` are the tokens of each of ``keys``: totals grow with them. The colours go from 0 to ``scale_max``
    (left out: 1 for sums, the largest value per token); a ratio has two-sided colours on a log2 scale around 1,
    from 1/8 to 8.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (len(queries), len(keys)) or len(counts) != len(keys):
        raise ValueError(f"values {list(values.shape)} for {len(queries)} rows, {len(keys)} columns")
    title, note = _TITLES[which]
    if which == "ratio":
        shown = np.log2(np.clip(values, 1 / _RATIO_LIMIT, _RATIO_LIMIT))
        axis = _ratio_axis(dark)
        colours = [[_ratio_colour(value) for value in row] for row in shown]
        scale = "Colour: 1/8 to 8, on a log2 scale."
    else:
        scale_max = scale_max or (1.0 if which == "sums" else float(values.max()) or 1.0)
        shown = values
        unit = UNIT + (" per token" if which == "per_token" else "")
        axis = colour_axis(scale_max, CIVIDIS, unit, dark, beyond(values, scale_max))
        colours = [[hex_colour(value, scale_max) for value in row] for row in values]
        scale = f"Colour: {range_words(scale_max, values)}."
    rows = [MODALITY_NAMES[modality] for modality in queries]
    columns = [MODALITY_NAMES[modality] for modality in keys]
    figure = go.Figure(
        go.Heatmap(
            z=shown,
            x=columns,
            y=rows,
            customdata=[[exact(value) for value in row] for row in values],
            coloraxis="coloraxis",
            hovertemplate="asks: %{y}<br>is asked: %{x}<br>%{customdata}<extra></extra>",
            xgap=2,
            ygap=2,
        )
    )
    for r, c in np.ndindex(values.shape):
        figure.add_annotation(
            x=c,
            y=r,
            text=plain(short(float(values[r, c]))),
            showarrow=False,
            font={"size": 15, "color": ink(colours[r][c])},
        )
    figure.update_layout(
        layout(title, f"{note} {DIRECTION} {scale}", dark, height=130 + 52 * len(rows)),
        margin={"l": 70, "r": 12, "b": LEGEND_SPACE + 54},
        coloraxis=axis,
        shapes=[*_strips(list(keys), "x"), *_strips(list(queries), "y")],
    )
    figure.update_xaxes(
        type="category",
        tickvals=columns,
        ticktext=[
            f'{name}<br><span style="font-size:10px">{count} token{"s" * (count != 1)}</span>'
            for name, count in zip(columns, counts, strict=True)
        ],
        tickangle=0,
        ticklen=12,
        range=[-0.5, len(columns) - 0.5],
    )
    figure.update_yaxes(type="category", ticklen=12, range=[len(rows) - 0.5, -0.5])
    figure.update_xaxes(ticks="outside", tickcolor="rgba(0,0,0,0)", showgrid=False, zeroline=False)
    figure.update_yaxes(ticks="outside", tickcolor="rgba(0,0,0,0)", showgrid=False, zeroline=False)
    return figure


def _categories(tokens: Sequence[Token]) -> list[str]:
    """Full names with the position in front: what the hover shows, and no two alike."""
    return [f"{index + 1}. {plain(place)}" for index, place in enumerate(places(tokens))]


def _ticks(tokens: Sequence[Token], axis: Literal["x", "y"]) -> dict[str, Any]:
    """As many labels as fit: the first token of every modality, then words and special tokens, then the others."""
    starts = {band[1] for band in _bands([token.modality for token in tokens])}
    worded = {Modality.TEXT, Modality.OTHER}
    order = sorted(range(len(tokens)), key=lambda i: (i not in starts, tokens[i].modality not in worded, i))
    gap = len(tokens) / _LABELS[axis]
    chosen: list[int] = []
    for index in order:
        if all(abs(index - other) >= gap for other in chosen):
            chosen.append(index)
    chosen.sort()
    categories, labels = _categories(tokens), names(tokens)
    clipped = [label if len(label) <= 12 else label[:11] + "…" for label in labels]
    return {"tickvals": [categories[i] for i in chosen], "ticktext": [plain(clipped[i]) for i in chosen]}


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


def _ratio_axis(dark: bool) -> dict[str, Any]:
    limit = float(np.log2(_RATIO_LIMIT))
    last = len(_RATIO_COLOURS) - 1
    return {
        "cmin": -limit,
        "cmax": limit,
        "colorscale": [[i / last, colour] for i, colour in enumerate(_RATIO_COLOURS)],
        "colorbar": legend_bar([-limit, 0, limit], ["1/8 or less", "1", "8 or more"], "times uniform attention", dark),
    }


def _ratio_colour(power: float) -> str:
    """The colour of ``2 ** power``, ``#rrggbb``, as Plotly draws it."""
    stops = np.array([[int(part) for part in colour[4:-1].split(",")] for colour in _RATIO_COLOURS])
    limit = np.log2(_RATIO_LIMIT)
    at = np.linspace(-limit, limit, len(stops))
    return "#" + bytes(round(float(np.interp(power, at, stops[:, channel]))) for channel in range(3)).hex()
