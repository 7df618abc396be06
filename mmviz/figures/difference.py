"""What one run has more than another: a diverging scale, centred at 0, on the picture, words, sound and matrices.

Every value is A minus B. 0 has the colour of the page, so that what is the same disappears; orange is more in A, purple
more in B, and both stand out alike where the values are as far from 0.
"""

from __future__ import annotations

import html
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from mmviz.figures.colour_scale import exact, hex_colour, ink, short
from mmviz.figures.image import Pixels, Size
from mmviz.figures.text_pieces import pieces
from mmviz.figures.theme import FONT, LEGEND_SPACE, colour_axis, layout, legend_bar, theme
from mmviz.figures.token_labels import places
from mmviz.figures.token_matrix import colour_note, hover, token_matrix
from mmviz.i18n.figures import modality_name, tell
from mmviz.types import Modality, PixelBox, Token

_MORE_IN_B = {False: "7f47c7 9d76dc bda3ee ded0fc", True: "c9acff 9680be 665881 3a3248"}
_MORE_IN_A = {False: "f2d1bb dca57f c37a43 a84f00", True: "49301b 845429 c27b3a ffa44e"}
_FOOT = LEGEND_SPACE + 58
"""Pixels at the foot of a figure for the names of the columns, what they do, and the legend."""
_FAINT = {False: 0.3, True: 0.2}
"""So much of its own light and shade a picture keeps under the colours, by whether the page is dark."""


def diverging(dark: bool) -> list[str]:
    """Nine evenly spaced colours from -m to m; the middle one is the page's.

    Even steps of lightness in OKLab (Ottosson 2020) from the page to purple (hue 300) and to orange (hue 56 to 60),
    the two hues of ColorBrewer's PuOr, which colour-blind eyes tell apart.
    """
    below, above = (f"{side[dark]}".split() for side in (_MORE_IN_B, _MORE_IN_A))
    return [f"#{stop}" for stop in below] + [theme(dark).ground] + [f"#{stop}" for stop in above]


def signed_rgb(values: NDArray[Any], largest: float, dark: bool) -> NDArray[np.uint8]:
    """The colours of ``values`` (any shape) on a scale from ``-largest`` to ``largest``: one more axis of 3 channels.

    Linear between the nine colours; what lies beyond the scale has the last one. Raises ``ValueError`` where the scale
    is empty.
    """
    if not (np.isfinite(largest) and largest > 0):
        raise ValueError(f"the scale (-{largest} to {largest}) must not be empty")
    stops = np.array([[int(stop[i : i + 2], 16) for i in (1, 3, 5)] for stop in diverging(dark)], np.float64)
    at = np.clip(np.asarray(values, np.float64) / largest, -1, 1)
    channels = [np.interp(at, np.linspace(-1, 1, len(stops)), stops[:, channel]) for channel in range(3)]
    return np.round(np.stack(channels, axis=-1)).astype(np.uint8)


def signed(amount: float) -> str:
    """Two digits that count, with the sign: +0.031, −0.20; "0" for none, "≈0" for hardly any."""
    if amount == 0:
        return "0"
    if abs(amount) < 0.0001:
        return "≈0"
    return ("+" if amount > 0 else "−") + short(abs(amount))


def signed_picture(
    picture: Pixels, tokens: Sequence[Token], values: NDArray[Any], largest: float, dark: bool = False,
    size: Size | None = None,
) -> Pixels:  # fmt: skip
    """The picture, pale and grey, under the colours of ``values`` ``[token]``; hatched where a value is NaN.

    Formula, a channel: ``colour * (0.7 + 0.3 * grey)`` on a light page, ``1 - (1 - colour) * (1 - 0.2 * grey)`` on a
    dark one. Shapes as in `mmviz.figures.image.spotlight`.
    """
    height, width = picture.shape[:2]
    across, down = (width, height) if size is None else size
    hatched = (np.add.outer(np.arange(height), np.arange(width)) // max(2, width // 60)) % 3 == 0
    colours = np.broadcast_to(signed_rgb(np.zeros(()), largest, dark), picture.shape).astype(np.float64)
    colours[hatched] = _rgb(theme(dark).line)
    for token, value in zip(tokens, values, strict=True):
        if isinstance(token.location, PixelBox) and np.isfinite(value):
            box = token.location
            rows, columns = (
                slice(round(first * pixels / whole), round(last * pixels / whole))
                for first, last, pixels, whole in ((box.y0, box.y1, height, down), (box.x0, box.x1, width, across))
            )
            colours[rows, columns] = signed_rgb(np.asarray(value), largest, dark)
    grey = (picture @ np.array([0.299, 0.587, 0.114]) / 255)[..., None]
    faint = _FAINT[dark]
    shaded = 255 - (255 - colours) * (1 - faint * grey) if dark else colours * (1 - faint + faint * grey)
    return np.asarray(np.round(shaded), np.uint8)


def signed_strip_html(
    tokens: Sequence[Token], values: NDArray[Any], largest: float, modality: Modality, dark: bool
) -> str:
    """`mmviz.figures.heat_strip.strip_html` of signed ``values`` ``[token]``; hatched where a value is NaN."""
    titles = places(tokens)
    cells = "".join(
        f"<i data-token='{k}' title='{html.escape(tell('told', place=titles[k], amount=_told(values[k])))}' "
        f"style='flex:1;background:{_ground(values[k], largest, dark)}'></i>"
        for k, token in enumerate(tokens)
        if token.modality is modality and token.location is not None
    )
    frame = f"box-shadow:inset 0 0 0 1px {theme(dark).line}"
    return f"<div style='display:flex;height:14px;border-radius:3px;overflow:hidden;position:relative'>{cells}" + (
        f"<i style='position:absolute;inset:0;border-radius:3px;pointer-events:none;{frame}'></i></div>"
    )


def lit_words_html(
    text: str | None, tokens: Sequence[Token], amounts: NDArray[Any], scale_max: float, chosen: Collection[int] = ()
) -> str:
    """The words of a text on the colours of ``amounts`` ``[token]``, from 0 to ``scale_max``; those ``chosen`` have a
    frame. Empty where there are no words."""
    chips = {
        k: (hex_colour(amount, scale_max), short(float(amount)), exact(amount)) for k, amount in enumerate(amounts)
    }
    return _words_html(text, tokens, chips, {}, chosen)


def signed_words_html(
    text: str | None, tokens: Sequence[Token], values: NDArray[Any], largest: float, dark: bool,
    others: Mapping[int, str],
) -> str:  # fmt: skip
    """The words of A on the colours of signed ``values`` ``[token]``, NaN where B has no such word; ``others``: what B
    has in the place of a word, where it is another word."""
    chips = {
        k: (_ground(value, largest, dark), signed(value) if np.isfinite(value) else "–", _told(value))
        for k, value in enumerate(map(float, values))
    }
    return _words_html(text, tokens, chips, others, ())


def _words_html(
    text: str | None, tokens: Sequence[Token], chips: Mapping[int, tuple[str, str, str]], others: Mapping[int, str],
    chosen: Collection[int],
) -> str:  # fmt: skip
    """A chip a word: on its ground, its number below it, its place and exact value in the ``title``."""
    titles = places(tokens)
    found = []
    for word, k in pieces(text, tokens):
        if k is None:
            if word.strip():
                found.append(f"<span class='between'>{html.escape(word)}</span>")
            continue
        ground, number, told = chips[k]
        style = f"background:{ground}" + (f";color:{ink(ground)}" if ground.startswith("#") else "")
        other = f"<span class='other'>B: {html.escape(others[k])}</span>" if k in others else ""
        found.append(
            f"<span class='chip{' chosen' if k in chosen else ''}' data-token='{k}' "
            f"title='{html.escape(tell('told', place=titles[k], amount=told))}'>"
            f"<span class='word' style='{style}'>{html.escape(word)}"
            f"</span>{other}<span class='number'>{number}</span></span>"
        )
    return f"<div class='compare-words'>{''.join(found)}</div>" if found else ""


def signed_legend_html(largest: float, dark: bool, unit: str = "") -> str:
    """A bar of the diverging colours with its printed range, ``-largest`` to ``largest``, its unit and what each end
    means."""
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
    """A minus B from modality to modality: ``sums`` ``[row, column]`` as colours and numbers, ``per_token`` in the
    hover."""
    if not sums.shape == per_token.shape == (len(queries), len(keys)):
        raise ValueError(f"sums {list(sums.shape)} for {len(queries)} and {len(keys)} modalities")
    across, down = ([modality_name(one) for one in side] for side in (keys, queries))
    figure = go.Figure(
        go.Heatmap(
            z=sums, x=across, y=down, coloraxis="coloraxis", xgap=2, ygap=2,
            customdata=[[[signed(v), signed(p)] for v, p in zip(*row, strict=True)]
                        for row in zip(sums, per_token, strict=True)],
            hovertemplate=hover(
                tell("minus"), "%{customdata[0]}", "<br>" + tell("minus-token", amount="%{customdata[1]}")
            ),
        )
    )  # fmt: skip
    figure.update_layout(
        layout(title, _note(largest, unit), dark, height=44 * len(queries) + _FOOT),
        margin={"l": 92, "r": 12, "b": _FOOT, "autoexpand": False},
        coloraxis=_signed_axis(largest, unit, dark),
        annotations=[
            {"x": key, "y": query, "text": signed(float(value)), "showarrow": False,
             "font": {"color": ink(_ground(float(value), largest, dark)), "size": 13}}
            for query, row in zip(down, sums, strict=True) for key, value in zip(across, row, strict=True)
        ],
    )  # fmt: skip
    # below the plot, not above the foot of the figure: from there it would lie over a plot of few rows
    figure.update_coloraxes(colorbar={"yref": "paper", "yanchor": "top", "ypad": _FOOT - LEGEND_SPACE - 8})
    fixed = {"type": "category", "fixedrange": True, "showgrid": False, "ticks": ""}
    figure.update_xaxes(fixed, title={"text": tell("is-asked"), "standoff": 6}, range=[-0.5, len(keys) - 0.5])
    figure.update_yaxes(fixed, title={"text": tell("asks"), "standoff": 4}, range=[len(queries) - 0.5, -0.5])
    return figure


def signed_matrix(
    values: NDArray[Any], queries: Sequence[Token], keys: Sequence[Token], title: str, largest: float,
    dark: bool = False, unit: str = "",
) -> go.Figure:  # fmt: skip
    """A minus B token by token, ``values`` ``[query, key]``; tokens and bands of A as in `token_matrix`."""
    figure = token_matrix(values, queries, keys, title, largest, dark)
    head = layout(title, _note(largest, unit), dark, height=500)
    figure.update_layout(title=head["title"], height=head["height"], coloraxis=_signed_axis(largest, unit, dark))
    figure.update_layout(margin={"t": head["margin"]["t"]})  # beside it what `token_matrix` chose stays
    figure.update_traces(hovertemplate=hover(tell("minus"), "%{z:.6g}"))
    return figure


def _signed_axis(largest: float, unit: str, dark: bool) -> dict[str, Any]:
    words = [f"−{short(largest)}", "0", f"+{short(largest)}"]
    axis = colour_axis(largest, diverging(dark), "", dark)
    bar = legend_bar([-largest, 0, largest], words, tell("minus-unit", unit=unit or tell("unit")), dark)
    return axis | {"cmin": -largest, "cmid": 0, "cmax": largest, "colorbar": bar}


def _note(largest: float, unit: str) -> str:
    return colour_note(tell("minus-unit", unit=unit or tell("unit")), tell("minus-range", most=short(largest)))


def _ground(value: float, largest: float, dark: bool) -> str:
    """The CSS background of one value; a hatching where there is none."""
    if np.isfinite(value):
        return "#" + bytes(signed_rgb(np.asarray(value), largest, dark)).hex()
    line = theme(dark).line
    return f"repeating-linear-gradient(135deg,transparent 0 3px,{line} 3px 4px)"


def _told(value: float) -> str:
    if not np.isfinite(value):
        return tell("minus-none")
    return tell("minus-told", amount=f"{value:+.6g}".replace("-", "−"))


def _rgb(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
