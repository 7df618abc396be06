"""How amounts grow with the number of tokens, on logarithmic axes, where a power is a straight line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import plotly.graph_objects as go

from mmviz.figures.faithfulness_curves import CURVE_COLOUR, CURVE_COLOUR_DARK
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
_MAX_TICKS = 6
_STYLES = (("solid", "circle"), ("dash", "square"), ("solid", "diamond"))


@dataclass(frozen=True)
class Series:
    """A quantity measured at several numbers of tokens."""

    name: str
    """Name in the legend."""
    tokens: Sequence[int]
    """Numbers of tokens, ascending."""
    amounts: Sequence[float]
    """The amount measured at each of ``tokens``."""
    estimate: tuple[int, float] | None = None
    """A larger number of tokens and the amount estimated for it."""


def format_quantity(amount: float, unit: Unit) -> str:
    """Returns seconds with two significant digits, bytes with three, in the largest unit that fits: 15 ms, 2.16 TB."""
    digits = _DIGITS[unit]
    rounded = float(f"{amount:.{digits}g}")
    size, name = max((scale for scale in _UNITS[unit] if scale[0] <= rounded * (1 + 1e-9)), default=_UNITS[unit][0])
    return f"{float(f'{amount / size:.{digits}g}'):,g} {name}"


def growth_figure(
    lines: Sequence[Series], at: int, unit: Unit, texts: Mapping[str, str], dark: bool = False
) -> go.Figure:  # fmt: skip
    """Returns a figure of up to three lines, with the number of tokens ``at`` marked.

    ``texts`` are those of ``title``, ``note``, ``measured`` and ``estimated``.
    """
    colours = theme(dark)
    line_colours = (colours.text, colours.muted, CURVE_COLOUR_DARK if dark else CURVE_COLOUR)
    figure = go.Figure()
    for line, line_colour, (dash, symbol) in zip(lines, line_colours, _STYLES, strict=False):
        parts = [(line.tokens, line.amounts, dash, symbol, "measured")]
        if line.estimate:
            tokens, amount = line.estimate
            parts.append(([line.tokens[-1], tokens], [line.amounts[-1], amount], "dot", f"{symbol}-open", "estimated"))
        for x, y, line_dash, marker, kind in parts:
            labels = [
                f"{plain(line.name)}<br>{tokens:,}: {format_quantity(amount, unit)}"
                for tokens, amount in zip(x, y, strict=True)
            ]
            figure.add_scatter(
                x=list(x), y=list(y), mode="lines+markers", name=plain(line.name), showlegend=kind == "measured",
                line={"color": line_colour, "dash": line_dash, "width": 2}, marker={"size": 7, "symbol": marker},
                text=labels, hovertemplate=f"%{{text}} ({plain(texts[kind])})<extra></extra>",
            )  # fmt: skip
    amounts = [amount for trace in figure.data for amount in trace.y]
    last = max(at, *(k for trace in figure.data for k in trace.x))
    first = min(at, *(k for trace in figure.data for k in trace.x))
    figure.add_shape(
        type="line", x0=at, x1=at, y0=0, y1=1, yref="paper", layer="below", line={"color": colours.line, "width": 6}
    )  # fmt: skip
    figure.update_layout(
        layout(texts["title"], texts["note"], dark, height=216, margin={"l": 58, "r": 14, "b": 76}),
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
    )
    axis = {"type": "log", "gridcolor": colours.line, "zeroline": False, "fixedrange": True}
    token_ticks = lines[0].tokens if last <= lines[0].tokens[-1] else [10**k for k in range(2, 9)]
    figure.update_xaxes(
        range=_axis_range(first, last), tickvals=list(token_ticks), ticktext=[f"{k:,}" for k in token_ticks], **axis
    )
    ticks = _ticks(min(amounts), max(amounts), unit)
    figure.update_yaxes(
        range=_axis_range(min(amounts), max(amounts)),
        tickvals=ticks,
        ticktext=[format_quantity(tick, unit) for tick in ticks],
        **axis,
    )
    return figure


def _axis_range(low: float, high: float) -> list[float]:
    """Returns the range of a logarithmic axis, with a margin."""
    margin = 0.06 * math.log10(high / low) + 0.02
    return [math.log10(low) - margin, math.log10(high) + margin]


def _ticks(low: float, high: float, unit: Unit) -> list[float]:
    """Returns at most `_MAX_TICKS` round amounts within the range."""
    ticks = [tick for tick in _TICKS[unit] if low <= tick <= high]
    return ticks[:: math.ceil(len(ticks) / _MAX_TICKS) or 1]
