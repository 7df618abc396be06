"""The effect of ablating each head, as a grid of maps and heads that can be clicked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from mmviz.figures.colour_scale import short
from mmviz.figures.theme import LEGEND_SPACE, layout, legend_bar, plain, theme
from mmviz.i18n.figures import tell
from mmviz.i18n.minus_sign import signed_text

NEEDED, AGAINST = "#00224e", "#a8541a"
"""The ends of the scale: the answer needs the head, or is more probable without it. 0 has the colour of the page."""
_NEEDED_DARK, _AGAINST_DARK = "#8fb8f0", "#f0a868"
_CELL = 34
_MAX_LABELLED = 16
"""Up to so many heads a map, the numbers are written into the cells."""


def effect_colours(dark: bool) -> tuple[str, str]:
    """Returns the ends of the scale of effects, `NEEDED` and `AGAINST`, for a dark or a light page."""
    return (_NEEDED_DARK, _AGAINST_DARK) if dark else (NEEDED, AGAINST)


def head_grid(
    effects: NDArray[np.float64], layers: Sequence[str], title: str, note: str, unit: str, dark: bool = False
) -> go.Figure:
    """Returns a figure of ``effects`` ``[map, head]``, NaN where a map has no such head. ``layers`` names the maps.

    The scale runs from ``-m`` to ``m``, where m is the largest absolute effect. Plotly reports clicks on points only,
    so that a transparent point lies over each cell; its ``customdata`` is ``[map, head]``.
    """
    limit = float(np.nanmax(np.abs(effects), initial=0)) or 1.0
    heads = effects.shape[1]
    cells = [(row, head) for row in range(len(effects)) for head in range(heads) if np.isfinite(effects[row, head])]
    colours = theme(dark)
    ends = effect_colours(dark)
    figure = go.Figure(
        go.Heatmap(
            z=effects, x=list(range(heads)), y=list(range(len(effects))), zmin=-limit, zmax=limit, xgap=2, ygap=2,
            colorscale=[[0, ends[0]], [0.5, colours.ground], [1, ends[1]]],
            colorbar=legend_bar([-limit, 0, limit], [f"−{short(limit)}", "0", f"+{short(limit)}"], unit, dark),
            hoverinfo="skip",
        )
    )  # fmt: skip
    is_dark_cell = np.abs(effects) > 0.55 * limit
    label_colours = [colours.ground if is_dark_cell[cell] else colours.text for cell in cells]
    labels = [signed_text(float(effects[cell])) for cell in cells]
    figure.add_scatter(
        x=[head for _, head in cells], y=[row for row, _ in cells], customdata=cells,
        mode="markers+text" if heads <= _MAX_LABELLED else "markers", text=labels,
        textfont={"size": 12, "color": label_colours},
        marker={"size": _CELL - 6, "symbol": "square", "opacity": 0.01, "color": colours.text},
        selected={"marker": {"opacity": 0.01}}, unselected={"marker": {"opacity": 0.01}},
        hovertemplate=[f"{tell('head-hover', layer=plain(layers[row]), head=head + 1, amount=label)}<extra></extra>"
                       for (row, head), label in zip(cells, labels, strict=True)],
    )  # fmt: skip
    figure.update_layout(
        layout(title, note, dark, height=_CELL * len(effects) + 40),
        margin={"l": 70, "r": 12, "b": LEGEND_SPACE + 34},
        clickmode="event+select",
        dragmode=False,
    )
    axis = {"showgrid": False, "zeroline": False, "fixedrange": True}
    figure.update_xaxes(
        tickvals=list(range(heads)) if heads <= _MAX_LABELLED else None, title={"text": tell("head"), "standoff": 4},
        ticktext=[str(head + 1) for head in range(heads)] if heads <= _MAX_LABELLED else None, **axis,
    )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(layers))), ticktext=[plain(name) for name in layers], autorange="reversed", **axis
    )
    return figure
