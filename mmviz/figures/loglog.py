"""How amounts grow with the number of tokens: both axes logarithmic, so that a power is a straight line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import plotly.graph_objects as go

from mmviz.figures.curves import INK, INK_DARK
from mmviz.figures.theme import layout, plain, theme

Unit = Literal["s", "B"]
_UNITS: Mapping[Unit, Sequence[tuple[float, str]]] = {
    "s": ((1e-6, "µs"), (1e-3, "ms"), (1, "s"), (60, "min"), (3_600, "h")),
    "B": ((1, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB"), (1e15, "PB")),
}
_TICKS: Mapping[Unit, Sequence[float]] = {
    "s": (*(10.0**k for k in range(-6, 2)), *(60.0 * 10**k for k in range(2)), *(3_600.0 * 10**k for k in range(6))),
    "B": tuple(10.0**k for k in range(18)),
}
_DIGITS: Mapping[Unit, int] = {"s": 2, "B": 3}
_MOST_TICKS = 6
_STYLES = (("solid", "circle"), ("dash", "square"), ("solid", "diamond"))


@dataclass(frozen=True)
class Line:
    """``amounts`` measured at ``tokens``, ascending; ``ahead``: what is estimated for more tokens, if anything is."""

    name: str
    tokens: Sequence[int]
    amounts: Sequence[float]
    ahead: tuple[int, float] | None = None


def written(amount: float, unit: Unit) -> str:
    """Seconds with two digits that count, bytes with three, in the largest unit that fits: 15 ms, 2.16 TB."""
    digits = _DIGITS[unit]
    rounded = float(f"{amount:.{digits}g}")
    size, name = max((one for one in _UNITS[unit] if one[0] <= rounded * (1 + 1e-9)), default=_UNITS[unit][0])
    return f"{float(f'{amount / size:.{digits}g}'):,g} {name}"


def growth_figure(
    lines: Sequence[Line], at: int, unit: Unit, words: Mapping[str, str], dark: bool = False
) -> go.Figure:  # fmt: skip
    """A line for each of up to three; ``at``: the number of tokens to mark. ``words``: ``title``, ``note``,
    ``measured`` and ``estimated``, for people."""
    colours = theme(dark)
    inks = (colours.text, colours.muted, INK_DARK if dark else INK)
    figure = go.Figure()
    for line, ink, (dash, symbol) in zip(lines, inks, _STYLES, strict=False):
        parts = [(line.tokens, line.amounts, dash, symbol, "measured")]
        if line.ahead:
            more, amount = line.ahead
            parts.append(([line.tokens[-1], more], [line.amounts[-1], amount], "dot", f"{symbol}-open", "estimated"))
        for x, y, stroke, mark, how in parts:
            told = [f"{plain(line.name)}<br>{k:,}: {written(one, unit)}" for k, one in zip(x, y, strict=True)]
            figure.add_scatter(
                x=list(x), y=list(y), mode="lines+markers", name=plain(line.name), showlegend=how == "measured",
                line={"color": ink, "dash": stroke, "width": 2}, marker={"size": 7, "symbol": mark},
                text=told, hovertemplate=f"%{{text}} ({plain(words[how])})<extra></extra>",
            )  # fmt: skip
    every = [one for trace in figure.data for one in trace.y]
    reached = max(at, *(k for trace in figure.data for k in trace.x))
    first = min(at, *(k for trace in figure.data for k in trace.x))
    figure.add_shape(
        type="line", x0=at, x1=at, y0=0, y1=1, yref="paper", layer="below", line={"color": colours.line, "width": 6}
    )  # fmt: skip
    figure.update_layout(
        layout(words["title"], words["note"], dark, height=216, margin={"l": 58, "r": 14, "b": 76}),
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
    )
    axis = {"type": "log", "gridcolor": colours.line, "zeroline": False, "fixedrange": True}
    places = lines[0].tokens if reached <= lines[0].tokens[-1] else [10**k for k in range(2, 9)]
    figure.update_xaxes(
        range=_around(first, reached), tickvals=list(places), ticktext=[f"{k:,}" for k in places], **axis
    )
    ticks = _ticks(min(every), max(every), unit)
    figure.update_yaxes(
        range=_around(min(every), max(every)), tickvals=ticks, ticktext=[written(one, unit) for one in ticks], **axis
    )
    return figure


def _around(low: float, high: float) -> list[float]:
    """The range of a logarithmic axis, with some room."""
    room = 0.06 * math.log10(high / low) + 0.02
    return [math.log10(low) - room, math.log10(high) + room]


def _ticks(low: float, high: float, unit: Unit) -> list[float]:
    """At most `_MOST_TICKS` round amounts within the range."""
    found = [one for one in _TICKS[unit] if low <= one <= high]
    return found[:: math.ceil(len(found) / _MOST_TICKS) or 1]
