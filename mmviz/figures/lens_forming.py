"""How an answer forms over the layers: its rank among all answers, and its probability beside the most probable one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from mmviz.figures.faithfulness_curves import CURVE_COLOUR, CURVE_COLOUR_DARK
from mmviz.figures.theme import layout, plain, theme
from mmviz.types import TokenLens

MAX_LABELLED = 16
"""With more rows, neither ranks nor most probable answers are written into the figure."""
_MAX_TICKS = 17


def forming_figure(
    reading: TokenLens, token: int, layers: Sequence[str], texts: Mapping[str, str], dark: bool = False
) -> go.Figure:  # fmt: skip
    """Returns a figure of what one ``token`` would answer after each layer.

    Above, the rank of the final answer, 1 on top of a logarithmic axis down to the number of answers; below, bars for
    the probability of the most probable answer and a line for that of the final answer, from 0 to 1.

    ``layers`` names the rows of ``reading``. ``texts`` are those of ``title``, ``x``, ``rank`` and ``y``
    (axes), ``best`` and ``answer`` (legend).
    """
    colours = theme(dark)
    colour = CURVE_COLOUR_DARK if dark else CURVE_COLOUR
    rows = list(range(len(layers)))
    ranks = reading.answer_ranks[:, token]
    probabilities = np.exp(reading.answer_log_probabilities[:, token])
    best = [plain(reading.labels[index]) for index in reading.top[:, token, 0]]
    best_probabilities = np.exp(reading.top_log_probabilities[:, token, 0])
    hover = [
        f"{plain(texts['x'])}: {plain(name)}<br>{plain(texts['rank'])}: {rank:,}<br>{plain(texts['answer'])}: {p:.2g}"
        f"<br>{plain(texts['best'])}: {label} {top:.2g}<extra></extra>"
        for name, rank, p, label, top in zip(layers, ranks, probabilities, best, best_probabilities, strict=True)
    ]
    is_labelled = len(rows) <= MAX_LABELLED
    line = {"color": colour, "width": 2.5}
    figure = go.Figure([
        go.Bar(x=rows, y=best_probabilities, name=plain(texts["best"]), marker={"color": colours.line}, yaxis="y2",
               text=best if is_labelled else None, textangle=0, insidetextanchor="start", cliponaxis=False,
               textposition="auto", textfont={"size": 12, "color": colours.text}, hovertemplate=hover),
        go.Scatter(x=rows, y=probabilities, mode="lines+markers", name=plain(texts["answer"]), line=line, yaxis="y2",
                   marker={"size": 6}, hovertemplate=hover),
        go.Scatter(x=rows, y=ranks, mode="lines+markers+text" if is_labelled else "lines+markers", line=line,
                   marker={"size": 7}, text=[f"{rank:,}" for rank in ranks], textposition="bottom center",
                   textfont={"size": 12, "color": colours.text}, cliponaxis=False, showlegend=False,
                   hovertemplate=hover),
    ])  # fmt: skip
    figure.update_layout(
        layout(texts["title"], "", dark, height=330, margin={"l": 64, "r": 12, "b": 76}),
        showlegend=True, legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
        bargap=0.25, uniformtext={"mode": "hide", "minsize": 11},
    )  # fmt: skip
    step = -(-len(rows) // _MAX_TICKS)
    axis = {"gridcolor": colours.line, "zeroline": False, "fixedrange": True}
    figure.update_xaxes(
        title={"text": plain(texts["x"]), "standoff": 4}, range=[-0.6, len(rows) - 0.4], tickvals=rows[::step],
        ticktext=[plain(name) for name in layers[::step]], anchor="y2", **axis,
    )  # fmt: skip
    ticks = rank_ticks(reading.answers)
    last = np.log10(max(reading.answers, 2))
    figure.update_layout(
        yaxis={"title": {"text": plain(texts["rank"])}, "type": "log", "domain": [0.54, 1], "tickvals": ticks,
               "ticktext": [f"{rank:,}" for rank in ticks], "range": [1.12 * last, -0.08 * last], **axis},
        yaxis2={"title": {"text": plain(texts["y"])}, "domain": [0, 0.46], "range": [0, 1.05],
                "tickvals": [0, 0.5, 1], **axis},
    )  # fmt: skip
    return figure


def rank_ticks(answers: int) -> list[int]:
    """Returns the powers of ten from 1 to ``answers``, and ``answers``, where it is not next to one of them."""
    powers = [10**k for k in range(len(str(answers)))]
    return powers if answers < 3 * powers[-1] else [*powers, answers]
