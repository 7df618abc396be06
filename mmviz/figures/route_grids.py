"""Routes by windows of layers, as two grids of one shape: what cutting each changes, and the attention that it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from mmviz.figures.colour_scale import CIVIDIS, hex_colour, short, text_colour
from mmviz.figures.head_grid import effect_colours
from mmviz.figures.theme import LEGEND_SPACE, layout, legend_bar, plain, theme
from mmviz.i18n.minus_sign import signed_text

Mark = Literal["solid", "dot"]
"""The frame of a cell that stands out."""
_FRAME: dict[Mark, float] = {"solid": 2.5, "dot": 1.5}
"""Widths of the frames in pixels."""
_CELL = 30
_BOTTOM = LEGEND_SPACE + 38
"""Pixels at the bottom of a figure for the names of the columns, the title of their axis and the legend."""


def effect_grid(
    effects: NDArray[np.float64], routes: Sequence[str], windows: Sequence[str], texts: dict[str, str],
    hover: Sequence[Sequence[str]], breaks: Sequence[int] = (), marks: Sequence[tuple[int, int, Mark]] = (),
    dark: bool = False,
) -> go.Figure:  # fmt: skip
    """Returns a figure of ``effects`` ``[route, window]``, NaN where there is none, on a scale centred at 0.

    The scale runs from ``-m`` to ``m``, where m is the largest absolute effect. ``texts`` are those of ``title``,
    ``note``, ``unit`` and ``axis``; ``hover`` those of the cells. ``breaks``: rows that begin another group, set apart
    by a line. ``marks``: row, column and frame of the cells to frame. The ``customdata`` of the point over each cell is
    ``[route, window]``.
    """
    limit = float(np.nanmax(np.abs(effects), initial=0)) or 1.0
    colours = theme(dark)
    below, above = effect_colours(dark)
    scale = [[0, below], [0.5, colours.ground], [1, above]]
    bar = legend_bar([-limit, 0, limit], [f"−{short(limit)}", "0", f"+{short(limit)}"], texts["unit"], dark)
    heat = _heat(effects, -limit, limit, scale, bar)
    labels, inks = {}, {}
    for cell in zip(*np.nonzero(np.isfinite(effects)), strict=True):
        row, column = (int(index) for index in cell)
        labels[row, column] = signed_label(float(effects[row, column]))
        inks[row, column] = text_colour(effect_colour(float(effects[row, column]), limit, dark))
    figure = _grid(heat, labels, inks, routes, windows, texts, hover, breaks, dark)
    for row, column, frame in marks:
        figure.add_shape(
            type="rect", x0=column - 0.44, x1=column + 0.44, y0=row - 0.4, y1=row + 0.4,
            line={"color": colours.text if frame == "solid" else colours.muted, "width": _FRAME[frame], "dash": frame},
        )  # fmt: skip
    return figure


def share_grid(
    shares: NDArray[np.float64], routes: Sequence[str], windows: Sequence[str], texts: dict[str, str],
    hover: Sequence[Sequence[str]], breaks: Sequence[int] = (), dark: bool = False,
) -> go.Figure:  # fmt: skip
    """Returns a figure of ``shares`` ``[route, window]``, NaN where there is none, from 0 to the largest.

    The other parameters are those of `effect_grid`.
    """
    limit = float(np.nanmax(shares, initial=0)) or 1.0
    scale = [[step / (len(CIVIDIS) - 1), colour] for step, colour in enumerate(CIVIDIS)]
    bar = legend_bar([0, limit / 2, limit], ["0", short(limit / 2), short(limit)], texts["unit"], dark)
    labels, inks = {}, {}
    for cell in zip(*np.nonzero(np.isfinite(shares)), strict=True):
        row, column = (int(index) for index in cell)
        share = float(shares[row, column])
        labels[row, column] = f"{share:.2f}"
        inks[row, column] = text_colour(hex_colour(share, limit))
    return _grid(_heat(shares, 0, limit, scale, bar), labels, inks, routes, windows, texts, hover, breaks, dark)


def effect_colour(effect: float, limit: float, dark: bool) -> str:
    """Returns the colour of an effect on the scale from ``-limit`` to ``limit``, ``#rrggbb``, as Plotly draws it."""
    end = effect_colours(dark)[int(effect > 0)]
    share = min(1.0, abs(effect) / limit)
    channels = ((int(theme(dark).ground[k : k + 2], 16), int(end[k : k + 2], 16)) for k in (1, 3, 5))
    return "#" + bytes(round(ground + share * (last - ground)) for ground, last in channels).hex()


def signed_label(effect: float) -> str:
    """Returns an effect with its sign and two decimals, such as −0.41; "0" where it rounds to 0."""
    label = signed_text(effect)
    return "0" if label[1:] == "0.00" else label


def _width(text: str) -> float:
    """Returns about how many pixels a name needs; Chinese characters are twice as wide."""
    return sum(12.5 if ord(letter) > 0x2E7F else 6.2 for letter in text)


def _heat(
    values: NDArray[np.float64], least: float, most: float, scale: list[list[Any]], bar: dict[str, Any]
) -> go.Heatmap:
    rows, columns = values.shape
    return go.Heatmap(
        z=values, x=list(range(columns)), y=list(range(rows)), zmin=least, zmax=most, xgap=2, ygap=2, colorscale=scale,
        colorbar=bar, hoverinfo="skip",
    )  # fmt: skip


def _grid(
    heat: go.Heatmap, labels: dict[tuple[int, int], str], inks: dict[tuple[int, int], str], routes: Sequence[str],
    windows: Sequence[str], texts: dict[str, str], hover: Sequence[Sequence[str]],
    breaks: Sequence[int], dark: bool,
) -> go.Figure:  # fmt: skip
    """Returns the grid with a number in each cell. A transparent point lies over each, since only points are clicked.

    The last window, that of all layers, stands apart by a line.
    """
    figure = go.Figure(heat)
    cells = list(labels)
    figure.add_scatter(
        x=[column for _, column in cells], y=[row for row, _ in cells], customdata=[list(cell) for cell in cells],
        mode="markers+text", text=[labels[cell] for cell in cells],
        textfont={"size": 12, "color": [inks[cell] for cell in cells]},
        marker={"size": _CELL - 4, "symbol": "square", "opacity": 0.01, "color": theme(dark).text},
        selected={"marker": {"opacity": 0.01}}, unselected={"marker": {"opacity": 0.01}},
        hovertemplate=[f"{hover[row][column]}<extra></extra>" for row, column in cells],
    )  # fmt: skip
    figure.update_layout(
        layout(texts["title"], texts["note"], dark, height=_CELL * len(routes) + _BOTTOM),
        margin={"l": 8 + max(map(_width, routes), default=0), "r": 8, "b": _BOTTOM, "autoexpand": False},
        clickmode="event+select",
        dragmode=False,
    )
    axis = {"showgrid": False, "zeroline": False, "fixedrange": True, "ticks": ""}
    figure.update_xaxes(
        tickvals=list(range(len(windows))), ticktext=[plain(name) for name in windows],
        range=[-0.5, len(windows) - 0.5], title={"text": plain(texts["axis"]), "standoff": 4}, **axis,
    )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(routes))), ticktext=[plain(name) for name in routes],
        range=[len(routes) - 0.5, -0.5], **axis,
    )  # fmt: skip
    line = {"color": theme(dark).muted, "width": 1.5}
    if len(windows) > 1:
        figure.add_vline(x=len(windows) - 1.5, line=line)
    for row in breaks:
        figure.add_hline(y=row - 0.5, line=line)
    return figure


def align(*figures: go.Figure) -> None:
    """Gives figures that stand side by side the same space above, so that their rows are at one height."""
    top = max(figure.layout.margin.t for figure in figures)
    for figure in figures:
        figure.update_layout(height=figure.layout.height + top - figure.layout.margin.t, margin={"t": top})
