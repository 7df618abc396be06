"""The moments of a sound after each layer: a strip of colours for each layer, over the seconds of the sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from numpy.typing import NDArray

from mmviz.figures.colour_scale import CIVIDIS
from mmviz.figures.theme import layout, plain, theme
from mmviz.figures.token_labels import names
from mmviz.types import Token

_ROW = 18
_MAX_TICKS = 8


def sound_figure(
    tokens: Sequence[Token], amounts: NDArray[Any], scale_max: float, hovers: Sequence[Sequence[str]] | None,
    layers: Sequence[str], texts: Mapping[str, str], dark: bool = False,
) -> go.Figure:  # fmt: skip
    """Returns a figure with a strip for each layer, a cell for each of ``tokens``, in the order of the model.

    ``amounts`` are ``[layer, token]``, from 0 to ``scale_max``, which has the last colour; ``hovers`` are the texts of
    the cells, None for none. ``layers`` names the strips. ``texts`` are those of ``x`` and ``y`` (axes).
    """
    labels = names(tokens)
    count = len(tokens)
    ticks = list(range(0, count, -(-count // _MAX_TICKS)))
    figure = go.Figure(
        go.Heatmap(
            z=amounts, x=list(range(count)), y=list(range(len(layers))), zmin=0, zmax=scale_max, ygap=2,
            colorscale=[[k / (len(CIVIDIS) - 1), colour] for k, colour in enumerate(CIVIDIS)], showscale=False,
            text=None if hovers is None else [[plain(text) for text in row] for row in hovers],
            hovertemplate=None if hovers is None else "%{text}<extra></extra>",
            hoverinfo="skip" if hovers is None else None,
        )
    )  # fmt: skip
    figure.update_layout(
        layout("", "", dark, height=_ROW * len(layers) + 40, margin={"l": 64, "r": 12, "t": 4, "b": 44}),
        dragmode=False,
    )
    axis = {"showgrid": False, "zeroline": False, "fixedrange": True, "linecolor": theme(dark).line}
    figure.update_xaxes(
        title={"text": plain(texts["x"]), "standoff": 4}, tickvals=ticks, ticktext=[labels[k] for k in ticks],
        tickangle=0, **axis,
    )  # fmt: skip
    step = -(-len(layers) // 40)
    figure.update_yaxes(
        title={"text": plain(texts["y"])}, tickvals=list(range(0, len(layers), step)),
        ticktext=[plain(name) for name in layers[::step]], autorange="reversed", **axis,
    )  # fmt: skip
    return figure
