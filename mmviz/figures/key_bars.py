"""A number for every key, as bars in the order of the tokens, grouped by modality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from mmviz.figures.colour_scale import checked
from mmviz.figures.theme import MODALITY_COLOURS, layout, plain, theme
from mmviz.figures.token_labels import names
from mmviz.types import Modality, Token


def key_bars(
    tokens: Sequence[Token], values: NDArray[Any], axis: str, called: Mapping[Modality, str], dark: bool = False,
    chosen: int | None = None,
) -> go.Figure:  # fmt: skip
    """``values`` ``[token]``, maybe below 0. The colour of a bar is its modality, its height the number; ``called``:
    modalities by name; ``axis``: what is measured, and in what unit; ``chosen``: a token to frame.

    Raises ``ValueError`` where the values do not fit the tokens.
    """
    found = checked(tokens, values, 1.0)
    colours, labels = theme(dark), names(tokens)
    figure = go.Figure()
    for modality, name in called.items():
        at = [k for k, token in enumerate(tokens) if token.modality is modality]
        if at:
            edge = [1.5 if k == chosen else 0.0 for k in at]
            figure.add_bar(
                x=at, y=found[at], name=plain(name), customdata=[plain(labels[k]) for k in at],
                marker={"color": MODALITY_COLOURS[modality], "line": {"color": colours.text, "width": edge}},
                hovertemplate="%{customdata}: %{y:.4g}<extra></extra>",
            )  # fmt: skip
    figure.update_layout(
        layout("", "", dark, height=200, margin={"l": 56, "r": 8, "t": 6, "b": 44}),
        showlegend=True, bargap=0.08, barmode="overlay",
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
    )  # fmt: skip
    figure.update_xaxes(showticklabels=False, showgrid=False, fixedrange=True, range=[-1, len(tokens)])
    low, high = min(0.0, float(np.min(found))), max(0.0, float(np.max(found)))
    room = (high - low or 1.0) * 0.05
    figure.update_yaxes(
        title={"text": plain(axis)}, gridcolor=colours.line, zerolinecolor=colours.muted, fixedrange=True,
        range=[low - room * (low < 0), high + room],
    )  # fmt: skip
    return figure
