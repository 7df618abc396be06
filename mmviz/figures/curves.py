"""Deletion and insertion curves beside the band of random orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from numpy.typing import NDArray

from mmviz.figures.theme import layout, plain, theme

INK = "#9a3e8f"
"""The curve of the way of looking: none of the colours of modalities or amounts, 4.5 : 1 on light and dark ground."""
INK_DARK = "#e29ad8"


def curve_figure(
    curve: NDArray[Any], band: Sequence[NDArray[Any]], words: Mapping[str, str], dark: bool = False
) -> go.Figure:  # fmt: skip
    """``curve`` ``[step]`` over equal shares of the tokens from 0 to 1; ``band``: least, mean and largest of the random
    orders, ``[step]`` each. ``words``: ``title``, ``note``, ``x``, ``y``, ``curve`` and ``band``, for people."""
    colours = theme(dark)
    share = [k / (len(curve) - 1) for k in range(len(curve))]
    grey = "rgba(168,173,186,0.28)" if dark else "rgba(92,96,112,0.18)"
    low, mean, high = band
    hover = "%{x:.0%}: %{y:.2f}<extra></extra>"
    figure = go.Figure([
        go.Scatter(x=share, y=low, mode="lines", line={"width": 0}, hoverinfo="skip", showlegend=False),
        go.Scatter(x=share, y=high, mode="lines", line={"width": 0}, fill="tonexty", fillcolor=grey,
                   name=plain(words["band"]), hoverinfo="skip"),
        go.Scatter(x=share, y=mean, mode="lines", line={"color": colours.muted, "dash": "dot", "width": 1.5},
                   showlegend=False, hovertemplate=hover),
        go.Scatter(x=share, y=curve, mode="lines+markers", line={"color": INK_DARK if dark else INK, "width": 2.5},
                   marker={"size": 6}, name=plain(words["curve"]), hovertemplate=hover),
    ])  # fmt: skip
    figure.update_layout(
        layout(words["title"], words["note"], dark, height=250, margin={"l": 52, "r": 12, "b": 76}),
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
    )
    axis = {"gridcolor": colours.line, "zeroline": False, "fixedrange": True}
    figure.update_xaxes(title={"text": plain(words["x"]), "standoff": 4}, tickformat=".0%", range=[0, 1], **axis)
    figure.update_yaxes(title={"text": plain(words["y"])}, **axis)
    return figure
