"""The common style of the Plotly figures: colours, fonts, titles and legends, light and dark."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

from mmviz.figures.colour_scale import short
from mmviz.figures.text_wrapping import wrap_text
from mmviz.types import Modality

MODALITY_COLOURS = {
    Modality.IMAGE: "#0072B2",
    Modality.TEXT: "#E69F00",
    Modality.AUDIO: "#009E73",
    Modality.SPECIAL: "#7f7f7f",
}
"""Colours of the modalities, after Okabe and Ito 2008. They never show amounts."""

FONT = '"Source Sans", "Source Sans Pro", "Source Sans 3", system-ui, sans-serif'
_TITLE_WIDTH = 34
_NOTE_WIDTH = 50


@dataclass(frozen=True)
class Theme:
    """Colours of the page that a figure is on."""

    ground: str
    """Background of the page."""
    text: str
    """Text; its contrast with ``ground`` reaches level AA."""
    muted: str
    """Less important text; it reaches level AA, too."""
    line: str
    """Lines and grids."""


LIGHT = Theme(ground="#ffffff", text="#262730", muted="#5c6070", line="#c4c7d0")
DARK = Theme(ground="#0e1117", text="#fafafa", muted="#a8adba", line="#474b57")


def theme(dark: bool) -> Theme:
    """Returns the colours for a dark or a light page."""
    return DARK if dark else LIGHT


def plain(text: str) -> str:
    """Returns ``text`` escaped, so that Plotly shows it as it is, without tags, entities or TeX."""
    return html.escape(text, quote=False).replace("$", "&#36;").replace("\n", "<br>")


def wrapped(text: str, width: int) -> list[str]:
    """Returns lines of at most ``width`` characters, each escaped by `plain`."""
    return [plain(line) for line in wrap_text(text, width)]


def layout(title: str, note: str, dark: bool, height: int, **more: Any) -> dict[str, Any]:
    """Returns layout settings: ``title`` over a smaller ``note``, both wrapped to fit 340 px. No background."""
    colours = theme(dark)
    bold = wrapped(title, _TITLE_WIDTH)
    small = wrapped(note, _NOTE_WIDTH)
    notes = [f'<span style="font-size:12px;color:{colours.muted}">{line}</span>' for line in small]
    top = 22 + 20 * len(bold) + 17 * len(small)
    margin = {"l": 8, "r": 8, "t": top, "b": 8} | more.pop("margin", {})
    return {
        "template": "none",  # else the caller's `plotly.io.templates.default`
        "title": {
            "text": "<br>".join([f"<b>{line}</b>" for line in bold] + notes),
            "font": {"size": 15},
            "x": 0,
            "xanchor": "left",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"l": 4, "t": 14},
        },
        "height": height + top,
        "margin": margin,
        "font": {"family": FONT, "size": 12, "color": colours.text},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hoverlabel": {
            "bgcolor": colours.ground,
            "bordercolor": colours.muted,
            "font": {"family": FONT, "size": 13, "color": colours.text},
            "align": "left",
        },
        "showlegend": False,
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": colours.muted, "activecolor": colours.text},
        **more,
    }


def colour_axis(scale_max: float, colours: list[str], title: str, dark: bool, open_end: bool = False) -> dict[str, Any]:
    """Returns a colour axis from 0 to ``scale_max`` with its legend, a bar below the figure with its range printed."""
    last = short(scale_max) + ("+" if open_end else "")
    return {
        "cmin": 0,
        "cmax": scale_max,
        "colorscale": [[i / (len(colours) - 1), colour] for i, colour in enumerate(colours)],
        "colorbar": legend_bar([0, scale_max / 2, scale_max], ["0", short(scale_max / 2), last], title, dark),
    }


def legend_bar(values: list[float], labels: list[str], title: str, dark: bool) -> dict[str, Any]:
    """Returns a flat colour bar below the figure, with ``labels`` at ``values`` and ``title`` under it."""
    return {
        "orientation": "h",
        "x": 0,
        "xanchor": "left",
        "y": 0,
        "yref": "container",
        "yanchor": "bottom",
        "len": 200,
        "lenmode": "pixels",
        "thickness": 10,
        "xpad": 12,
        "ypad": 6,
        "outlinecolor": theme(dark).line,
        "title": {"text": plain(title), "side": "bottom", "font": {"size": 12}},
        "tickvals": values,
        "ticktext": [plain(label) for label in labels],
        "ticks": "outside",
        "ticklen": 3,
        "tickfont": {"size": 12},
    }


LEGEND_SPACE = 60
"""Pixels that the legend needs at the bottom of a figure."""
