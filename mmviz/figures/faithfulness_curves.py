"""Deletion and insertion curves beside the band of random orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from numpy.typing import NDArray

from mmviz.figures.theme import layout, plain, theme

CURVE_COLOUR = "#9a3e8f"
"""The curve of a method. No modality or amount has this colour; its contrast is 4.5 : 1 on light and dark pages."""
CURVE_COLOUR_DARK = "#e29ad8"


def curve_figure(
    curve: NDArray[Any], band: Sequence[NDArray[Any]], texts: Mapping[str, str], limits: tuple[float, float],
    dark: bool = False,
) -> go.Figure:  # fmt: skip
    """Returns a figure of one deletion or insertion curve over the fraction of tokens, from 0 to 1.

    ``curve`` is ``[step]``; ``band`` holds minimum, mean and maximum of the random orders, ``[step]`` each.
    ``texts`` are those of ``title``, ``note``, ``x`` and ``y`` (axes), ``curve`` and ``band`` (legend). ``limits`` are
    the least and the largest value that the axis holds, the same for figures that stand side by side.
    """
    colours = theme(dark)
    fractions = [k / (len(curve) - 1) for k in range(len(curve))]
    grey = "rgba(168,173,186,0.28)" if dark else "rgba(92,96,112,0.18)"
    curve_colour = CURVE_COLOUR_DARK if dark else CURVE_COLOUR
    low, mean, high = band
    hover = "%{x:.0%}: %{y:.2f}<extra></extra>"
    figure = go.Figure([
        go.Scatter(x=fractions, y=low, mode="lines", line={"width": 0}, hoverinfo="skip", showlegend=False),
        go.Scatter(x=fractions, y=high, mode="lines", line={"width": 0}, fill="tonexty", fillcolor=grey,
                   name=plain(texts["band"]), hoverinfo="skip"),
        go.Scatter(x=fractions, y=mean, mode="lines", line={"color": colours.muted, "dash": "dot", "width": 1.5},
                   showlegend=False, hovertemplate=hover),
        go.Scatter(x=fractions, y=curve, mode="lines+markers", line={"color": curve_colour, "width": 2.5},
                   marker={"size": 6}, name=plain(texts["curve"]), hovertemplate=hover),
    ])  # fmt: skip
    figure.update_layout(
        layout(texts["title"], texts["note"], dark, height=250, margin={"l": 52, "r": 12, "b": 76}),
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
    )
    axis = {"gridcolor": colours.line, "zeroline": False, "fixedrange": True}
    figure.update_xaxes(title={"text": plain(texts["x"]), "standoff": 4}, tickformat=".0%", range=[0, 1], **axis)
    margin = 0.06 * (limits[1] - limits[0])
    span = [limits[0] - margin, limits[1] + margin]
    figure.update_yaxes(title={"text": plain(texts["y"])}, range=span, **axis)
    return figure
