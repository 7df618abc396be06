"""Amounts on the grid of a picture's patches, or on the parts of a sound in a row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from mmviz.figures.colour_scale import CIVIDIS, short
from mmviz.figures.theme import LEGEND_SPACE, layout, legend_bar, plain
from mmviz.i18n.figures import tell

_CELL, _LARGEST = 46, 300
"""Height of a row, and of a whole grid at most, in pixels."""
_AXIS = 38
"""Height of the names of the columns and of the title of their axis."""
_LOWEST = 160
"""Height of a grid at least: Plotly moves the legend into a lower one."""
_NARROWEST = 340
"""Width that title and legend need."""


def places_grid(
    amounts: NDArray[np.float64], texts: dict[str, str], hover: Sequence[Sequence[str]],
    columns: Sequence[str] = (), dark: bool = False,
) -> go.Figure:  # fmt: skip
    """Returns a figure of ``amounts`` ``[row, column]``, NaN where there is none, from 0 to the largest.

    ``texts`` are those of ``title``, ``note`` and ``unit``, and of ``axis`` where ``columns`` are named; ``hover`` has
    those of the cells, as HTML. Without ``columns`` the figure has a width of its own, so that its cells are square.
    """
    limit = float(np.nanmax(amounts, initial=0)) or 1.0
    unit = tell("unit-range", unit=texts["unit"], range=tell("range", most=short(limit)))
    heat = go.Heatmap(
        z=amounts, zmin=0, zmax=limit, xgap=1, ygap=1, text=[list(row) for row in hover],
        colorscale=[[step / (len(CIVIDIS) - 1), colour] for step, colour in enumerate(CIVIDIS)],
        colorbar=legend_bar([0, limit / 2, limit], ["0", short(limit / 2), short(limit)], unit, dark),
        hovertemplate="%{text}<extra></extra>", hoverongaps=False,
    )  # fmt: skip
    side = min(_CELL, _LARGEST / len(amounts))
    bottom = LEGEND_SPACE + (_AXIS if columns else 0)
    figure = go.Figure(heat)
    figure.update_layout(
        layout(texts["title"], texts["note"], dark, height=max(_LOWEST, round(side * len(amounts))) + bottom),
        margin={"l": 8, "r": 8, "b": bottom, "autoexpand": False}, dragmode=False,
        width=None if columns else max(_NARROWEST, round(side * amounts.shape[1]) + 16),
    )  # fmt: skip
    axis = {"showgrid": False, "zeroline": False, "fixedrange": True, "ticks": ""}
    ticks = {"tickvals": list(range(len(columns))), "ticktext": [plain(name) for name in columns]} if columns else {}
    title = {"title": {"text": plain(texts["axis"]), "standoff": 4}} if columns else {}
    figure.update_xaxes(showticklabels=bool(columns), **ticks, **title, **axis)
    figure.update_yaxes(showticklabels=False, range=[len(amounts) - 0.5, -0.5], **axis)
    return figure
