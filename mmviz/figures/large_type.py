"""Figures in large type, for a room: at least 20 px."""

from __future__ import annotations

import plotly.graph_objects as go

SIZE = 20
"""Pixels of the type."""
_HEIGHT = 420


def enlarge(figure: go.Figure, height: int = _HEIGHT) -> None:
    """Sets the type of a figure with a title and a legend to `SIZE`, and its height in pixels, in place."""
    figure.update_layout(
        font={"size": SIZE}, height=height, title={"font": {"size": SIZE}, "pad": {"t": 24}}, hoverlabel_font_size=SIZE
    )
    title = str(figure.layout.title.text or "")
    figure.layout.title.text = title.replace("font-size:12px", f"font-size:{SIZE}px")
    lines = title.count("<br>") + 1 if title else 0
    figure.update_layout(margin={"l": 84, "r": 24, "t": 30 + 27 * lines, "b": 40 + 30 * len(figure.data[:3])})
    figure.update_layout(legend={"orientation": "v", "x": 0})
    figure.update_xaxes(tickfont={"size": SIZE}, title_font_size=SIZE)
    figure.update_yaxes(tickfont={"size": SIZE}, title_font_size=SIZE)
