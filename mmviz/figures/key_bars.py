"""A number for every key as bars, in the order of the tokens, coloured by modality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from mmviz.figures.colour_scale import checked_amounts
from mmviz.figures.theme import MODALITY_COLOURS, layout, plain, theme
from mmviz.figures.token_labels import names
from mmviz.types import Modality, Token


def key_bars(
    tokens: Sequence[Token],
    values: NDArray[Any],
    axis: str,
    modality_names: Mapping[Modality, str],
    dark: bool = False,
    selected: int | None = None,
) -> go.Figure:
    """Returns a figure with a bar for each token.

    ``values`` are ``[token]`` and may be negative. ``axis`` is the title of their axis, with the unit.
    ``modality_names`` are the names of the modalities in the legend. ``selected`` is a token to outline.

    Raises ``ValueError`` if the values do not fit the tokens.
    """
    heights = checked_amounts(tokens, values, 1.0)
    colours, labels = theme(dark), names(tokens)
    figure = go.Figure()
    for modality, name in modality_names.items():
        indices = [k for k, token in enumerate(tokens) if token.modality is modality]
        if indices:
            outline = [1.5 if k == selected else 0.0 for k in indices]
            figure.add_bar(
                x=indices, y=heights[indices], name=plain(name), customdata=[plain(labels[k]) for k in indices],
                marker={"color": MODALITY_COLOURS[modality], "line": {"color": colours.text, "width": outline}},
                hovertemplate="%{customdata}: %{y:.4g}<extra></extra>",
            )  # fmt: skip
    figure.update_layout(
        layout("", "", dark, height=200, margin={"l": 56, "r": 8, "t": 6, "b": 44}),
        showlegend=True, bargap=0.08, barmode="overlay",
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
    )  # fmt: skip
    figure.update_xaxes(showticklabels=False, showgrid=False, fixedrange=True, range=[-1, len(tokens)])
    low, high = min(0.0, float(np.min(heights))), max(0.0, float(np.max(heights)))
    margin = (high - low or 1.0) * 0.05
    figure.update_yaxes(
        title={"text": plain(axis)}, gridcolor=colours.line, zerolinecolor=colours.muted, fixedrange=True,
        range=[low - margin * (low < 0), high + margin],
    )  # fmt: skip
    return figure
