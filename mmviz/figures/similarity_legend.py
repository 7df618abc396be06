"""The legend of similarities: cosines on a diverging scale centred at 0."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from mmviz.figures.colour_scale import short
from mmviz.figures.signed_colours import diverging, signed, signed_rgb
from mmviz.figures.theme import FONT, theme
from mmviz.figures.token_labels import full_names
from mmviz.i18n.figures import tell
from mmviz.types import Seconds, Token


def similarity_legend_html(largest: float, dark: bool, ink: str = "") -> str:
    """Returns a bar of the colours from ``-largest`` to ``largest``, with its unit.

    ``ink``: the CSS colour of the text, by default that of the theme.
    """
    colours = theme(dark)
    unit, most = tell("unit-similarity"), short(largest)
    label = html.escape(tell("similarity-label", unit=unit, most=most))
    return (
        f"<div role='img' aria-label='{label}' style='display:inline-flex;align-items:center;gap:8px;flex-wrap:wrap;"
        f"color:{ink or colours.text};font:12px {FONT};font-variant-numeric:tabular-nums'>"
        f"<span>{html.escape(unit)}</span><span>−{most}</span>"
        f"<span style='width:120px;height:10px;border:1px solid {colours.line};"
        f"background:linear-gradient(to right,{','.join(diverging(dark))})'></span><span>{most}</span></div>"
    )


def similarity_strip_html(tokens: Sequence[Token], values: NDArray[Any], largest: float, dark: bool) -> str:
    """Returns the moments of a sound in order of time, each in the colour of its value of ``values`` ``[token]``.

    Tokens without a moment are left out. The ``title`` of a cell holds its place and its value.
    """
    titles = full_names(tokens)
    moments = [(token.location.start, k) for k, token in enumerate(tokens) if isinstance(token.location, Seconds)]
    cells = "".join(
        f"<i data-token='{k}' style='flex:1;background:#{bytes(signed_rgb(values[k], largest, dark)).hex()}' "
        f"title='{html.escape(tell('token-amount', place=titles[k], amount=signed(float(values[k]))))}'></i>"
        for _, k in sorted(moments)
    )
    return f"<div style='display:flex;height:22px;border-radius:3px;overflow:hidden'>{cells}</div>"
