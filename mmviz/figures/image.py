"""The picture under attention: as a spotlight (amount is light) or as plain heat."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from PIL import Image

from mmviz.figures.amounts import CIVIDIS, DIMMEST, UNIT, beyond, checked, cividis, exact, fraction, light, range_words
from mmviz.figures.places import places, stand_in
from mmviz.figures.theme import LEGEND_SPACE, colour_axis, layout, placeholder, plain
from mmviz.types import Modality, PixelBox, Token

Pixels = NDArray[np.uint8]
Size = tuple[int, int]
"""Width and height of the original picture, in whose pixels the boxes are."""
OUTLINED = 3
EMBEDDED_SIDE = 720
_HEAT = 0.6
_GREYS = [f"#{round(255 * (DIMMEST + (1 - DIMMEST) * step / 8)):02x}" for step in range(9)]
_LIGHTS = [grey + grey[1:] * 2 for grey in _GREYS]


def spotlight(
    picture: Pixels, tokens: Sequence[Token], amounts: NDArray[Any], scale_max: float, size: Size | None = None
) -> Pixels:
    """The picture with the amounts as light.

    Formula: colour values times ``0.25 + 0.75 * min(1, amount / scale_max)``; what no patch covers gets the least. Up
    to three patches, the strongest that get at least half of ``scale_max``, are outlined (white within dark); of
    patches that tie for the last place none is. Shapes: ``picture`` uint8 ``[height, width, 3]``, which may be smaller
    than the original ``size`` (left out: the same); ``amounts`` ``[token]``; the result as ``picture``.
    """
    values = checked(tokens, amounts, scale_max)
    lit = light(_amount_map(picture, tokens, values, size), scale_max)
    result = np.round(picture * lit[:, :, None]).astype(np.uint8)
    for index in strongest(tokens, values, scale_max):
        _outline(result, _pixels(tokens[index], picture, size))
    return result


def heat(
    picture: Pixels, tokens: Sequence[Token], amounts: NDArray[Any], scale_max: float, size: Size | None = None
) -> Pixels:
    """The picture in grey under 60 % of the cividis colour of the amounts. Shapes as in `spotlight`."""
    values = checked(tokens, amounts, scale_max)
    colours = cividis(fraction(_amount_map(picture, tokens, values, size), scale_max))
    grey = (picture @ np.array([0.299, 0.587, 0.114]))[:, :, None]
    return np.asarray(np.round((1 - _HEAT) * grey + _HEAT * colours), dtype=np.uint8)


def strongest(tokens: Sequence[Token], amounts: NDArray[Any], scale_max: float) -> list[int]:
    """The patches that `spotlight` outlines, by index."""
    enough = [index for index in _patches(tokens) if amounts[index] >= scale_max / 2]
    order = sorted(enough, key=lambda index: -amounts[index])
    if len(order) <= OUTLINED:
        return order
    return [index for index in order[:OUTLINED] if amounts[index] > amounts[order[OUTLINED]]]


def picture_figure(
    picture: Pixels | None,
    tokens: Sequence[Token],
    amounts: NDArray[Any],
    scale_max: float,
    style: Literal["spotlight", "heat"] = "spotlight",
    dark: bool = False,
    title: str = "Picture",
    size: Size | None = None,
    picked: int | None = None,
) -> go.Figure:
    """The picture in one of two styles, with a point for hover and click on every patch.

    The axes are hidden and in original pixels; ``customdata`` of a point is ``[token index]``; the ``picked`` token
    has a ring. Without a picture the figure says so.
    """
    values = checked(tokens, amounts, scale_max)
    patches = _patches(tokens)
    if picture is None or not patches:
        sentence = f"No picture was given. {stand_in(Modality.IMAGE, tokens, list(values))}"
        return placeholder(title, sentence, dark)
    width, height = size or (picture.shape[1], picture.shape[0])
    drawn = {"spotlight": spotlight, "heat": heat}[style](smaller(picture), tokens, values, scale_max, (width, height))
    titles = places(tokens)
    boxes = [box for index in patches if isinstance(box := tokens[index].where, PixelBox)]
    centres = [((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2) for box in boxes]
    figure = go.Figure(
        go.Scatter(
            x=[x for x, _ in centres],
            y=[y for _, y in centres],
            mode="markers",
            marker={"size": 24, "symbol": "square", "opacity": 0, "color": values[patches], "coloraxis": "coloraxis"},
            selected={"marker": {"opacity": 0}},
            unselected={"marker": {"opacity": 0}},
            customdata=[[index] for index in patches],
            text=[f"{plain(titles[index])}<br>{UNIT}: {exact(values[index])}" for index in patches],
            hovertemplate="%{text}<extra></extra>",
        )
    )
    colours, how = (_LIGHTS, "Light") if style == "spotlight" else (CIVIDIS, "Colour")
    note = f"{how}: {UNIT}, {range_words(scale_max, values[patches])}."
    if style == "spotlight" and strongest(tokens, values, scale_max):
        note += " Outlined: the strongest."
    figure.update_layout(
        layout(title, note, dark, height=330 + LEGEND_SPACE),
        margin={"b": LEGEND_SPACE},
        coloraxis=colour_axis(scale_max, colours, UNIT, dark, beyond(values[patches], scale_max)),
        hoverdistance=60,
        dragmode=False,
        images=[
            {
                "source": data_uri(drawn),
                "xref": "x",
                "yref": "y",
                "x": 0,
                "y": 0,
                "sizex": width,
                "sizey": height,
                "sizing": "stretch",
                "layer": "below",
            }
        ],
    )
    figure.update_xaxes(visible=False, range=[0, width], constrain="domain")
    figure.update_yaxes(visible=False, range=[height, 0], scaleanchor="x", constrain="domain")
    if picked in patches:
        _add_ring(figure, centres[patches.index(picked)])
    return figure


def _add_ring(figure: go.Figure, centre: tuple[float, float]) -> None:
    for colour, line in (("#000000", 5), ("#ffffff", 2)):
        figure.add_scatter(
            x=[centre[0]],
            y=[centre[1]],
            mode="markers",
            marker={"size": 22, "symbol": "circle-open", "line": {"width": line}, "color": colour},
            hovertemplate="picked<extra></extra>",
        )


def _patches(tokens: Sequence[Token]) -> list[int]:
    return [index for index, token in enumerate(tokens) if isinstance(token.where, PixelBox)]


def _pixels(token: Token, picture: Pixels, size: Size | None) -> tuple[slice, slice]:
    """Rows and columns of ``picture`` whose pixel centres lie in the token's box."""
    box = token.where
    assert isinstance(box, PixelBox)  # callers pass patches
    width, height = size or (picture.shape[1], picture.shape[0])
    across, down = picture.shape[1] / width, picture.shape[0] / height
    left, right, top, bottom = (
        max(0, math.ceil(edge - 0.5)) for edge in (box.x0 * across, box.x1 * across, box.y0 * down, box.y1 * down)
    )
    return slice(top, bottom), slice(left, right)


def _amount_map(
    picture: Pixels, tokens: Sequence[Token], amounts: NDArray[np.float64], size: Size | None
) -> NDArray[np.float64]:
    """``[height, width]``: the amount on every pixel, the larger one where boxes overlap, 0 outside all boxes."""
    found = np.zeros(picture.shape[:2])
    for index in _patches(tokens):
        cells = found[_pixels(tokens[index], picture, size)]
        np.maximum(cells, amounts[index], out=cells)
    return found


def _outline(picture: Pixels, where: tuple[slice, slice]) -> None:
    """Draw a dark line and a white one within it along the inner edge of ``where``."""
    thick = max(1, round(min(picture.shape[:2]) / 300))
    for colour, inset in ((0, 0), (255, thick)):
        rows = slice(where[0].start + inset, where[0].stop - inset)
        columns = slice(where[1].start + inset, where[1].stop - inset)
        patch = picture[rows, columns]
        patch[:thick] = patch[-thick:] = colour
        patch[:, :thick] = patch[:, -thick:] = colour


def smaller(picture: Pixels, side: int = EMBEDDED_SIDE) -> Pixels:
    """``picture`` with at most ``side`` pixels a side."""
    if max(picture.shape[:2]) <= side:
        return picture
    image = Image.fromarray(picture)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(image)


def data_uri(picture: Pixels) -> str:
    """``picture`` as a JPEG that a page can hold."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=90, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
