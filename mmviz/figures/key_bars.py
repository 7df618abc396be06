"""A number for every key as bars, coloured by modality: all keys in one row, and the largest by name beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from mmviz.figures.colour_scale import checked_amounts, short
from mmviz.figures.large_type import SIZE
from mmviz.figures.theme import MODALITY_COLOURS, layout, plain, theme
from mmviz.figures.token_labels import names
from mmviz.types import MODALITIES, Modality, Token

STRONGEST = 10
"""So many of the largest bars stand beside their names."""
_NAMED = 0.62
"""Where the bars with names begin, as a share of the width; their names stand to the left of it."""
_NUMBER = 0.16
"""The width of a number beside a bar, as a share of the bars with names."""
_HEIGHT, _LARGE_HEIGHT = 205, 340


def key_bars(
    tokens: Sequence[Token],
    values: NDArray[Any],
    texts: Mapping[str, str],
    modality_names: Mapping[Modality, str],
    dark: bool = False,
    selected: int | None = None,
    large: bool = False,
) -> go.Figure:
    """Returns a figure with a bar for each token, in the order of `mmviz.types.MODALITIES`, and the largest by name.

    ``values`` are ``[token]`` and may be negative. ``texts`` are those of ``axis`` (title of the axis, with the unit),
    ``all`` and ``strongest`` (titles of the two parts). ``modality_names`` are the names of the modalities in the
    legend. ``selected`` is a token to outline, which is named in any case. ``large`` sets the type for a room.

    Raises ``ValueError`` if the values do not fit the tokens.
    """
    heights = checked_amounts(tokens, values, 1.0)
    colours, labels = theme(dark), [plain(name) for name in names(tokens)]
    order = sorted(range(len(tokens)), key=lambda k: MODALITIES.index(tokens[k].modality))
    rows = named_tokens(heights, selected)
    size, height = (SIZE, _LARGE_HEIGHT) if large else (12, _HEIGHT)
    figure = go.Figure()
    for modality, name in modality_names.items():
        places = [place for place, k in enumerate(order) if tokens[k].modality is modality]
        _add_bars(figure, places, [order[place] for place in places], heights, labels, modality, plain(name), selected,
                  colours.text, size)  # fmt: skip
        own_rows = [row for row, k in enumerate(rows) if tokens[k].modality is modality]
        _add_bars(figure, own_rows, [rows[row] for row in own_rows], heights, labels, modality, plain(name), selected,
                  colours.text, size, named=True)  # fmt: skip
    margin = {"l": 5 * size, "r": 4 * size, "t": 2 * size, "b": 3 * size}
    figure.update_layout(
        layout("", "", dark, height=height, margin=margin), font_size=size, showlegend=True, bargap=0.12,
        barmode="overlay", height=height,
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom", "font": {"size": size}},
    )  # fmt: skip
    low, high = min(0.0, float(np.min(heights))), max(0.0, float(np.max(heights)))
    space = (high - low or 1.0) * 0.05
    named_low = min(0.0, *(float(heights[k]) for k in rows))
    named_low -= (high - named_low) * _NUMBER * (named_low < 0)  # else numbers of negative bars cover the names
    amounts = {"gridcolor": colours.line, "zerolinecolor": colours.muted, "fixedrange": True,
               "tickfont": {"size": size}}  # fmt: skip
    figure.update_layout(
        xaxis={"domain": [0, 0.42], "showticklabels": False, "showgrid": False, "zeroline": False, "fixedrange": True,
               "range": [-1, len(tokens)]},
        yaxis={"title": {"text": plain(texts["axis"])}, "nticks": 5,
               "range": [low - space * (low < 0), high + space], **amounts},
        xaxis2={"domain": [_NAMED, 1], "anchor": "y2", "showticklabels": False, "range": [named_low, high + space],
                **amounts},
        yaxis2={"anchor": "x2", "tickvals": list(range(len(rows))), "ticktext": [labels[k] for k in rows],
                "tickfont": {"size": size}, "showgrid": False, "zeroline": False, "fixedrange": True,
                "range": [len(rows) - 0.5, -0.5]},
    )  # fmt: skip
    for x, code in ((0, "all"), (_NAMED, "strongest")):
        figure.add_annotation(
            text=plain(texts[code]), x=x, y=1, xref="paper", yref="paper", xanchor="left", yanchor="bottom",
            showarrow=False, font={"size": size, "color": colours.muted},
        )  # fmt: skip
    return figure


def named_tokens(values: NDArray[np.float64], selected: int | None = None) -> list[int]:
    """Returns the tokens whose bars have names, the largest value first; ``selected`` last where it is not among them.

    ``values`` are ``[token]``.
    """
    rows = [int(k) for k in np.argsort(-values, kind="stable")[:STRONGEST]]
    return rows if selected is None or selected in rows else [*rows[: STRONGEST - 1], selected]


def _add_bars(
    figure: go.Figure, places: Sequence[int], indices: Sequence[int], values: NDArray[np.float64],
    labels: Sequence[str], modality: Modality, name: str, selected: int | None, outline: str, size: int,
    named: bool = False,
) -> None:  # fmt: skip
    """Adds the bars of one modality: upright in the row of all tokens, or level beside their names."""
    if not places:
        return
    amounts = values[list(indices)]
    axes: dict[str, Any] = {"x": list(places), "y": amounts, "width": 0.9}
    if named:
        axes = {"y": list(places), "x": amounts, "xaxis": "x2", "yaxis": "y2", "orientation": "h", "width": 0.8,
                "text": [short(float(amount)) for amount in amounts], "textposition": "outside",
                "textfont": {"size": size}, "constraintext": "none", "cliponaxis": False}  # fmt: skip
    widths = [1.5 if k == selected else 0.0 for k in indices]
    figure.add_bar(
        **axes, name=name, showlegend=not named, customdata=[labels[k] for k in indices],
        marker={"color": MODALITY_COLOURS[modality], "line": {"color": outline, "width": widths}},
        hovertemplate=f"%{{customdata}}: %{{{'x' if named else 'y'}:.4g}}<extra></extra>",
    )  # fmt: skip
