"""The legend of amounts as HTML, for figures that are not drawn by Plotly."""

from __future__ import annotations

import html

from mmviz.figures.colour_scale import CIVIDIS, short
from mmviz.figures.theme import FONT, theme
from mmviz.i18n.figures import tell


def amount_legend_html(
    scale_max: float, dark: bool, unit: str = "", open_end: bool = False, ink: str = "",
    ends: tuple[str, str] | None = None,
) -> str:  # fmt: skip
    """Returns a bar of the colours of amounts with its range, 0 to ``scale_max``, and its unit.

    ``unit`` is an attention weight by default. ``open_end`` says that larger amounts have the last colour.
    ``ink``: the CSS colour of the text, by default that of the theme. ``ends``: what is printed at the ends, by default
    the numbers.
    """
    colours = theme(dark)
    unit = html.escape(unit or tell("unit"))
    range = html.escape(tell("range-beyond" if open_end else "range", most=short(scale_max)))
    first, last = map(html.escape, ends or ("0", short(scale_max) + ("+" if open_end else "")))
    name = tell("unit-range", unit=unit, range=f"{first} – {last}" if ends else range)
    return (
        f"<div role='img' aria-label='{name}' "
        f"style='display:inline-flex;align-items:center;gap:8px;flex-wrap:wrap;color:{ink or colours.text};"
        f"font:12px {FONT};font-variant-numeric:tabular-nums'>"
        f"<span>{unit}</span><span>{first}</span>"
        f"<span style='width:120px;height:10px;border:1px solid {colours.line};"
        f"background:linear-gradient(to right,{','.join(CIVIDIS)})'></span>"
        f"<span>{last}</span></div>"
    )
