"""The picture under attention, as a spotlight: amount is light."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmviz.figures.colour_scale import checked, light
from mmviz.types import PixelBox, Token

Pixels = NDArray[np.uint8]
Size = tuple[int, int]
"""Width and height of the original picture, in whose pixels the boxes are."""
OUTLINED = 3
EMBEDDED_SIDE = 720


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


def strongest(tokens: Sequence[Token], amounts: NDArray[Any], scale_max: float) -> list[int]:
    """The patches that `spotlight` outlines, by index."""
    enough = [index for index in _patches(tokens) if amounts[index] >= scale_max / 2]
    order = sorted(enough, key=lambda index: -amounts[index])
    if len(order) <= OUTLINED:
        return order
    return [index for index in order[:OUTLINED] if amounts[index] > amounts[order[OUTLINED]]]


def _patches(tokens: Sequence[Token]) -> list[int]:
    return [index for index, token in enumerate(tokens) if isinstance(token.location, PixelBox)]


def _pixels(token: Token, picture: Pixels, size: Size | None) -> tuple[slice, slice]:
    """Rows and columns of ``picture`` whose pixel centres lie in the token's box."""
    box = token.location
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


def jpeg(picture: Pixels) -> bytes:
    """``picture`` as a file, fine enough for text in it."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=90, subsampling=0)
    return buffer.getvalue()


def data_uri(picture: Pixels) -> str:
    """``picture`` as a JPEG that a page can hold."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg(picture)).decode()
