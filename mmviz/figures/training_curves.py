"""Curves of a training: what was learned from, and what was held out, over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from mmviz.figures.curves import INK, INK_DARK
from mmviz.figures.theme import layout, plain, theme

Curve = Sequence[tuple[float, float]]
"""Epoch (a fraction in the midst of one) and value."""


def training_figure(
    learned: Curve, held_out: Curve, epochs: int, top: float, words: Mapping[str, str], dark: bool = False,
    at: float | None = None,
) -> go.Figure:  # fmt: skip
    """Both curves from 0 to ``epochs`` and 0 to ``top``, so that they grow into a frame that stays; ``at``: an epoch to
    mark. ``words``: ``title``, ``note``, ``x``, ``learned`` and ``held-out``, for people."""
    colours = theme(dark)
    hover = "%{x:.1f}: %{y:.2f}<extra></extra>"
    figure = go.Figure()
    for curve, name, mode, line in (
        (learned, "learned", "lines", {"color": colours.muted, "width": 1.5, "dash": "dot"}),
        (held_out, "held-out", "lines+markers", {"color": INK_DARK if dark else INK, "width": 2.5}),
    ):
        figure.add_scatter(
            x=[x for x, _ in curve], y=[y for _, y in curve], mode=mode, line=line, marker={"size": 6},
            name=plain(words[name]), hovertemplate=hover,
        )  # fmt: skip
    if at is not None:
        figure.add_vline(x=at, line={"color": colours.text, "width": 1})
    figure.update_layout(
        layout(words["title"], words["note"], dark, height=140, margin={"l": 40, "r": 10, "b": 58}),
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
    )
    axis = {"gridcolor": colours.line, "zeroline": False, "fixedrange": True}
    figure.update_xaxes(title={"text": plain(words["x"]), "standoff": 2}, range=[-0.15, epochs + 0.15], **axis)
    figure.update_yaxes(range=[0, top], nticks=6, **axis)
    return figure
