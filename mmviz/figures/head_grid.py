"""The effect of every head, as a grid of layers and heads that can be clicked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from mmviz.figures.colour_scale import short
from mmviz.figures.theme import LEGEND_SPACE, layout, legend_bar, plain, theme
from mmviz.i18n.figures import tell

NEEDED, AGAINST = "#00224e", "#a8541a"
"""The ends of the scale: the answer needs the head; it is better off without. Both are dark, so zero is the ground."""
_NEEDED_DARK, _AGAINST_DARK = "#8fb8f0", "#f0a868"
_CELL = 34
_FULL = 16
"""Up to so many heads a layer the numbers are written into the cells."""


def head_grid(
    effects: NDArray[np.float64], layers: Sequence[str], title: str, note: str, unit: str, dark: bool = False
) -> go.Figure:
    """``effects`` ``[map, head]``, not a number where there is no head; ``layers`` names the maps.

    The scale runs from ``-m`` to ``m``, m the largest amount, 0 in the middle. Points, which can be clicked, lie over
    the cells; ``customdata`` of each is ``[map, head]``. Plotly tells clicks on points only.
    """
    most = float(np.nanmax(np.abs(effects), initial=0)) or 1.0
    heads = effects.shape[1]
    places = [(row, head) for row in range(len(effects)) for head in range(heads) if np.isfinite(effects[row, head])]
    colours = theme(dark)
    ends = (_NEEDED_DARK, _AGAINST_DARK) if dark else (NEEDED, AGAINST)
    figure = go.Figure(
        go.Heatmap(
            z=effects, x=list(range(heads)), y=list(range(len(effects))), zmin=-most, zmax=most, xgap=2, ygap=2,
            colorscale=[[0, ends[0]], [0.5, colours.ground], [1, ends[1]]],
            colorbar=legend_bar([-most, 0, most], [f"−{short(most)}", "0", f"+{short(most)}"], unit, dark),
            hoverinfo="skip",
        )
    )  # fmt: skip
    strong = np.abs(effects) > 0.55 * most
    ink = [colours.ground if strong[place] else colours.text for place in places]
    words = [f"{effects[place]:+.2f}".replace("-", "−") for place in places]
    figure.add_scatter(
        x=[head for _, head in places], y=[row for row, _ in places], customdata=places,
        mode="markers+text" if heads <= _FULL else "markers", text=words, textfont={"size": 12, "color": ink},
        marker={"size": _CELL - 6, "symbol": "square", "opacity": 0.01, "color": colours.text},
        selected={"marker": {"opacity": 0.01}}, unselected={"marker": {"opacity": 0.01}},
        hovertemplate=[f"{tell('head-hover', layer=plain(layers[row]), head=head + 1, amount=word)}<extra></extra>"
                       for (row, head), word in zip(places, words, strict=True)],
    )  # fmt: skip
    figure.update_layout(
        layout(title, note, dark, height=_CELL * len(effects) + 40),
        margin={"l": 70, "r": 12, "b": LEGEND_SPACE + 34},
        clickmode="event+select",
        dragmode=False,
    )
    axis = {"showgrid": False, "zeroline": False, "fixedrange": True}
    figure.update_xaxes(
        tickvals=list(range(heads)) if heads <= _FULL else None, title={"text": tell("head"), "standoff": 4},
        ticktext=[str(head + 1) for head in range(heads)] if heads <= _FULL else None, **axis,
    )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(layers))), ticktext=[plain(name) for name in layers], autorange="reversed", **axis
    )
    return figure
