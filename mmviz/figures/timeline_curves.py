"""The probability of answers along the training of a model, as it was recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from mmviz.figures.faithfulness_curves import CURVE_COLOUR, CURVE_COLOUR_DARK
from mmviz.figures.theme import layout, plain, theme

_DASHES = ("solid", "dot", "dash", "dashdot")


def timeline_figure(
    scenes: Sequence[int], probabilities: Mapping[str, Sequence[float]], texts: Mapping[str, str], dark: bool = False
) -> go.Figure:
    """Returns a line for each key of ``probabilities``, its legend, over the training scenes until each checkpoint.

    ``probabilities`` hold as many values, 0 to 1, as there are ``scenes``. ``texts`` are those of ``title``, ``note``
    and ``x`` (axis).
    """
    colours = theme(dark)
    figure = go.Figure()
    for number, (name, values) in enumerate(probabilities.items()):
        colour = colours.muted if number else CURVE_COLOUR_DARK if dark else CURVE_COLOUR
        figure.add_scatter(
            x=list(scenes), y=list(values), mode="lines+markers", name=plain(name), marker={"size": 8},
            line={"color": colour, "width": 2.5, "dash": _DASHES[number % len(_DASHES)]},
            hovertemplate="%{x:,}: %{y:.2f}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(
        layout(texts["title"], texts["note"], dark, height=240, margin={"l": 40, "r": 10, "b": 58}),
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
    )
    axis = {"gridcolor": colours.line, "zeroline": False, "fixedrange": True}
    figure.update_xaxes(title=plain(texts["x"]), rangemode="tozero", tickformat=",", **axis)
    figure.update_yaxes(range=[0, 1.02], nticks=6, **axis)
    return figure
