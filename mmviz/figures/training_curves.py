"""Curves of a training run over its epochs: on the training data and on held-out data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from mmviz.figures.faithfulness_curves import CURVE_COLOUR, CURVE_COLOUR_DARK
from mmviz.figures.theme import layout, plain, theme

Curve = Sequence[tuple[float, float]]
"""Pairs of epoch, which may be a fraction, and value."""


def training_figure(
    train: Curve, held_out: Curve, epochs: int, top: float, texts: Mapping[str, str], dark: bool = False,
    at: float | None = None,
) -> go.Figure:  # fmt: skip
    """Returns a figure of both curves on fixed axes, 0 to ``epochs`` and 0 to ``top``, which they fill over time.

    ``at`` is an epoch to mark. ``texts`` are those of ``title``, ``note``, ``x`` (axis), ``train`` and ``held-out``
    (legend).
    """
    colours = theme(dark)
    hover = "%{x:.1f}: %{y:.2f}<extra></extra>"
    figure = go.Figure()
    for curve, name, mode, line in (
        (train, "train", "lines", {"color": colours.muted, "width": 1.5, "dash": "dot"}),
        (held_out, "held-out", "lines+markers", {"color": CURVE_COLOUR_DARK if dark else CURVE_COLOUR, "width": 2.5}),
    ):
        figure.add_scatter(
            x=[x for x, _ in curve], y=[y for _, y in curve], mode=mode, line=line, marker={"size": 6},
            name=plain(texts[name]), hovertemplate=hover,
        )  # fmt: skip
    if at is not None:
        figure.add_vline(x=at, line={"color": colours.text, "width": 1})
    figure.update_layout(
        layout(texts["title"], texts["note"], dark, height=140, margin={"l": 40, "r": 10, "b": 58}),
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
    )
    axis = {"gridcolor": colours.line, "zeroline": False, "fixedrange": True}
    figure.update_xaxes(title={"text": plain(texts["x"]), "standoff": 2}, range=[-0.15, epochs + 0.15], **axis)
    figure.update_yaxes(range=[0, top], nticks=6, **axis)
    return figure
