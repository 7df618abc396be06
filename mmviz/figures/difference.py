"""The difference of two runs, A minus B, on a diverging scale centred at 0: on image, text, audio and matrices.

0 has the colour of the page. Orange is more in A, purple more in B; equal distances from 0 have about equal contrast.
"""

from __future__ import annotations

import html
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from mmviz.figures.colour_scale import exact, hex_colour, short, text_colour
from mmviz.figures.heat_strip import strip_cells
from mmviz.figures.signed_colours import diverging, signed, signed_rgb
from mmviz.figures.split_at_tokens import split_at_tokens
from mmviz.figures.theme import FONT, LEGEND_SPACE, colour_axis, layout, legend_bar, theme
from mmviz.figures.token_labels import full_names
from mmviz.figures.token_matrix import colour_note, hover_template, token_matrix
from mmviz.i18n.figures import modality_name, tell
from mmviz.types import Modality, Token

_BOTTOM = LEGEND_SPACE + 58
"""Pixels at the bottom of a figure for the names of the columns, the title of their axis and the legend."""


def signed_strip_html(
    tokens: Sequence[Token], values: NDArray[Any], largest: float, modality: Modality, dark: bool
) -> str:
    """Returns `mmviz.figures.heat_strip.strip_html` for signed ``values`` ``[token]``. Cells with NaN are hatched."""
    cells = strip_cells(tokens, modality, lambda k: _exact_text(values[k]), lambda k: _ground(values[k], largest, dark))
    frame = f"box-shadow:inset 0 0 0 1px {theme(dark).line}"
    return f"<div style='display:flex;height:14px;border-radius:3px;overflow:hidden;position:relative'>{cells}" + (
        f"<i style='position:absolute;inset:0;border-radius:3px;pointer-events:none;{frame}'></i></div>"
    )


def lit_text_html(
    text: str | None, tokens: Sequence[Token], amounts: NDArray[Any], scale_max: float, selected: Collection[int] = ()
) -> str:
    """Returns the words of a text on the colours of ``amounts`` ``[token]``, from 0 to ``scale_max``.

    The words ``selected`` have a frame. The result is empty if there are no words.
    """
    chips = {
        k: (hex_colour(amount, scale_max), short(float(amount)), exact(amount)) for k, amount in enumerate(amounts)
    }
    return _text_html(text, tokens, chips, {}, selected)


def signed_text_html(
    text: str | None, tokens: Sequence[Token], values: NDArray[Any], largest: float, dark: bool,
    others: Mapping[int, str],
) -> str:  # fmt: skip
    """Returns the words of A on the colours of signed ``values`` ``[token]``, NaN for words without a partner in B.

    ``others`` are the words of B that correspond to different words of A, by the index of the token of A.
    """
    chips = {
        k: (_ground(value, largest, dark), signed(value) if np.isfinite(value) else "–", _exact_text(value))
        for k, value in enumerate(map(float, values))
    }
    return _text_html(text, tokens, chips, others, ())


def _text_html(
    text: str | None, tokens: Sequence[Token], chips: Mapping[int, tuple[str, str, str]], others: Mapping[int, str],
    selected: Collection[int],
) -> str:  # fmt: skip
    """Returns a chip for each word: its background, its number, and its location and exact value in the ``title``.

    ``chips`` are the background, number and exact value of each token.
    """
    titles = full_names(tokens)
    parts = []
    for word, k in split_at_tokens(text, tokens):
        if k is None:
            if word.strip():
                parts.append(f"<span class='between'>{html.escape(word)}</span>")
            continue
        ground, number, exact_value = chips[k]
        style = f"background:{ground}" + (f";color:{text_colour(ground)}" if ground.startswith("#") else "")
        other = f"<span class='other'>B: {html.escape(others[k])}</span>" if k in others else ""
        parts.append(
            f"<span class='chip{' chosen' if k in selected else ''}' data-token='{k}' "
            f"title='{html.escape(tell('token-amount', place=titles[k], amount=exact_value))}'>"
            f"<span class='word' style='{style}'>{html.escape(word)}"
            f"</span>{other}<span class='number'>{number}</span></span>"
        )
    return f"<div class='compare-words'>{''.join(parts)}</div>" if parts else ""


def signed_legend_html(largest: float, dark: bool, unit: str = "") -> str:
    """Returns a bar of the diverging colours, with its range, its unit and the meaning of its ends."""
    colours = theme(dark)
    most, unit = short(largest), unit or tell("unit")
    label, title, below, above = (
        html.escape(tell(f"minus-{code}", unit=unit, most=most)) for code in ("label", "unit", "more-b", "more-a")
    )
    return (
        f"<div role='img' aria-label='{label}' "
        f"style='display:inline-flex;align-items:center;gap:8px;flex-wrap:wrap;color:{colours.text};"
        f"font:12px {FONT};font-variant-numeric:tabular-nums'>"
        f"<span>{title}</span>"
        f"<span style='display:inline-flex;align-items:center;gap:8px'><span>{below}</span>"
        f"<span style='width:120px;height:10px;border:1px solid {colours.line};"
        f"background:linear-gradient(to right,{','.join(diverging(dark))})'></span>"
        f"<span>{above}</span></span></div>"
    )


def signed_modalities(
    sums: NDArray[Any], per_token: NDArray[Any], queries: Sequence[Modality], keys: Sequence[Modality], title: str,
    largest: float, dark: bool = False, unit: str = "",
) -> go.Figure:  # fmt: skip
    """Returns a heat map of A minus B from modality to modality.

    ``sums`` ``[row, column]`` are colours and numbers, ``per_token`` is in the hover text.
    Raises ``ValueError`` if the arrays do not fit the modalities.
    """
    if not sums.shape == per_token.shape == (len(queries), len(keys)):
        raise ValueError(f"sums {list(sums.shape)} for {len(queries)} and {len(keys)} modalities")
    columns, rows = ([modality_name(modality) for modality in side] for side in (keys, queries))
    figure = go.Figure(
        go.Heatmap(
            z=sums, x=columns, y=rows, coloraxis="coloraxis", xgap=2, ygap=2,
            customdata=[[[signed(v), signed(p)] for v, p in zip(*row, strict=True)]
                        for row in zip(sums, per_token, strict=True)],
            hovertemplate=hover_template(
                tell("minus"), "%{customdata[0]}", "<br>" + tell("minus-token", amount="%{customdata[1]}")
            ),
        )
    )  # fmt: skip
    figure.update_layout(
        layout(title, _note(largest, unit), dark, height=44 * len(queries) + _BOTTOM),
        margin={"l": 92, "r": 12, "b": _BOTTOM, "autoexpand": False},
        coloraxis=_signed_axis(largest, unit, dark),
        annotations=[
            {"x": key, "y": query, "text": signed(float(value)), "showarrow": False,
             "font": {"color": text_colour(_ground(float(value), largest, dark)), "size": 13}}
            for query, row in zip(rows, sums, strict=True) for key, value in zip(columns, row, strict=True)
        ],
    )  # fmt: skip
    # placed from the plot downwards: placed from the bottom of the figure it would overlap a plot of few rows
    figure.update_coloraxes(colorbar={"yref": "paper", "yanchor": "top", "ypad": _BOTTOM - LEGEND_SPACE - 8})
    fixed = {"type": "category", "fixedrange": True, "showgrid": False, "ticks": ""}
    figure.update_xaxes(fixed, title={"text": tell("key"), "standoff": 6}, range=[-0.5, len(keys) - 0.5])
    figure.update_yaxes(fixed, title={"text": tell("query"), "standoff": 4}, range=[len(queries) - 0.5, -0.5])
    return figure


def signed_matrix(
    values: NDArray[Any], queries: Sequence[Token], keys: Sequence[Token], title: str, largest: float,
    dark: bool = False, unit: str = "",
) -> go.Figure:  # fmt: skip
    """Returns a heat map of A minus B, ``values`` ``[query, key]``, as `token_matrix` does for the tokens of A."""
    figure = token_matrix(values, queries, keys, title, largest, dark)
    head = layout(title, _note(largest, unit), dark, height=500)
    figure.update_layout(title=head["title"], height=head["height"], coloraxis=_signed_axis(largest, unit, dark))
    figure.update_layout(margin={"t": head["margin"]["t"]})  # the other margins of `token_matrix` stay
    figure.update_traces(hovertemplate=hover_template(tell("minus"), "%{z:.6g}"))
    return figure


def _signed_axis(largest: float, unit: str, dark: bool) -> dict[str, Any]:
    labels = [f"−{short(largest)}", "0", f"+{short(largest)}"]
    axis = colour_axis(largest, diverging(dark), "", dark)
    bar = legend_bar([-largest, 0, largest], labels, tell("minus-unit", unit=unit or tell("unit")), dark)
    return axis | {"cmin": -largest, "cmid": 0, "cmax": largest, "colorbar": bar}


def _note(largest: float, unit: str) -> str:
    return colour_note(tell("minus-unit", unit=unit or tell("unit")), tell("minus-range", most=short(largest)))


def _ground(value: float, largest: float, dark: bool) -> str:
    """Returns the CSS background of one value, a hatching for NaN."""
    if np.isfinite(value):
        return "#" + bytes(signed_rgb(np.asarray(value), largest, dark)).hex()
    line = theme(dark).line
    return f"repeating-linear-gradient(135deg,transparent 0 3px,{line} 3px 4px)"


def _exact_text(value: float) -> str:
    if not np.isfinite(value):
        return tell("minus-none")
    return tell("minus-amount", amount=f"{value:+.6g}".replace("-", "−"))
