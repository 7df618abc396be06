"""The image under attention: amounts are light and colour."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image, ImageColor

from mmviz.figures.colour_scale import checked_amounts, fraction
from mmviz.types import PixelBox, Token

Pixels = NDArray[np.uint8]
Size = tuple[int, int]
"""Width and height of the original image in pixels. The boxes of tokens are in these pixels."""
MAX_OUTLINED = 3
"""So many patches are outlined at most."""
DIMMED_LIGHT = 0.4
"""The part of an image's light that is left where the amount is 0, without its colours."""
DIMMED_GROUND = 50
"""The grey, of 255, that the rest is made of, so that dark images do not go black."""
READ_COLOUR, READER_COLOUR = "#56B4E9", "#D55E00"
"""Outlines of what is read and of what reads it: sky blue and vermillion of Okabe and Ito 2008, which no modality
has."""
_LUMA = np.array([0.299, 0.587, 0.114])
"""ITU-R BT.601."""
EMBEDDED_SIDE = 720
"""Largest side of an image that is embedded in a page, in pixels."""


def spotlight(
    image: Pixels, tokens: Sequence[Token], amounts: NDArray[Any], scale_max: float, size: Size | None = None
) -> Pixels:
    """Returns the image with the amounts as light and colour.

    Formula: ``low + (pixel - low) * min(1, amount / scale_max)`` for each colour value, where ``low`` is the dimmed
    pixel, ``DIMMED_LIGHT * grey + (1 - DIMMED_LIGHT) * DIMMED_GROUND``. So an amount of 0 is grey and dim, but never
    black, and ``scale_max`` is the image itself. Pixels outside all patches have the amount 0. The patches of
    `strongest` are outlined, white within dark.
    Shapes: ``image`` uint8 ``[height, width, 3]``, which may be smaller than the original ``size`` (default: the same);
    ``amounts`` ``[token]``; the result as ``image``.
    """
    values = checked_amounts(tokens, amounts, scale_max)
    light = fraction(_amount_map(image, tokens, values, size), scale_max)[:, :, None]
    low = DIMMED_LIGHT * (image @ _LUMA)[:, :, None] + (1 - DIMMED_LIGHT) * DIMMED_GROUND
    result: Pixels = np.round(low + (image - low) * light).astype(np.uint8)
    for index in strongest(tokens, values, scale_max):
        for area in _areas(tokens[index], image, size):
            _outline(result, area)
    return result


def strongest(tokens: Sequence[Token], amounts: NDArray[Any], scale_max: float) -> list[int]:
    """Returns the indices of the patches that `spotlight` outlines, largest amount first.

    These are up to `MAX_OUTLINED` patches with at least half of ``scale_max``. If more patches tie for the last place,
    none of these is outlined.
    """
    candidates = [index for index in _patches(tokens) if amounts[index] >= scale_max / 2]
    order = sorted(candidates, key=lambda index: -amounts[index])
    if len(order) <= MAX_OUTLINED:
        return order
    return [index for index in order[:MAX_OUTLINED] if amounts[index] > amounts[order[MAX_OUTLINED]]]


def _patches(tokens: Sequence[Token]) -> list[int]:
    """Returns the indices of the tokens with a box."""
    return [index for index, token in enumerate(tokens) if isinstance(token.location, PixelBox)]


def _areas(token: Token, image: Pixels, size: Size | None) -> list[tuple[slice, slice]]:
    """Returns the rows and columns of ``image`` whose pixel centres lie in each of the token's boxes."""
    location = token.location
    assert isinstance(location, PixelBox)  # callers pass patches
    width, height = size or (image.shape[1], image.shape[0])
    x_scale, y_scale = image.shape[1] / width, image.shape[0] / height
    areas = []
    for box in location.boxes:
        edges = (box.x0 * x_scale, box.x1 * x_scale, box.y0 * y_scale, box.y1 * y_scale)
        left, right, top, bottom = (max(0, math.ceil(edge - 0.5)) for edge in edges)
        areas.append((slice(top, bottom), slice(left, right)))
    return areas


def _amount_map(
    image: Pixels, tokens: Sequence[Token], amounts: NDArray[np.float64], size: Size | None
) -> NDArray[np.float64]:
    """Returns the amount of every pixel, ``[height, width]``: the largest if boxes overlap, 0 outside all boxes."""
    amount_map = np.zeros(image.shape[:2])
    for index in _patches(tokens):
        for area in _areas(tokens[index], image, size):
            np.maximum(amount_map[area], amounts[index], out=amount_map[area])
    return amount_map


def _outline(image: Pixels, area: tuple[slice, slice]) -> None:
    """Draws a black line and a white line within it along the inner edge of ``area``, in place."""
    thickness = max(1, round(min(image.shape[:2]) / 300))
    for colour, inset in ((0, 0), (255, thickness)):
        rows = slice(area[0].start + inset, area[0].stop - inset)
        columns = slice(area[1].start + inset, area[1].stop - inset)
        patch = image[rows, columns]
        patch[:thickness] = patch[-thickness:] = colour
        patch[:, :thickness] = patch[:, -thickness:] = colour


def outline_reading(
    image: Pixels, read: Sequence[Token], readers: Sequence[Token], size: Size | None = None
) -> Pixels:  # fmt: skip
    """Returns the image with the patches ``read`` and ``readers`` outlined together, each in its colour between dark
    lines. The outline of the readers lies further in, so that both are seen where the patches are the same.

    Shapes: ``image`` and the result uint8 ``[height, width, 3]``; ``size`` as for `spotlight`.
    """
    result = image.copy()
    thickness = max(1, round(min(image.shape[:2]) / 110))
    edge = max(1, thickness // 3)
    depth = 0
    for tokens, colour in ((read, READ_COLOUR), (readers, READER_COLOUR)):
        mask = _amount_map(image, tokens, np.ones(len(tokens)), size) > 0
        rings = [_inner(mask, depth + inset) for inset in (0, edge, edge + thickness, 2 * edge + thickness)]
        result[rings[0] & ~rings[3]] = 0
        result[rings[1] & ~rings[2]] = ImageColor.getrgb(colour)
        depth += 2 * edge + thickness
    return result


def _inner(mask: NDArray[np.bool_], inset: int) -> NDArray[np.bool_]:
    """Returns the pixels of ``mask`` that lie more than ``inset`` pixels within it, rows and columns apart."""
    for axis in (0, 1) if inset else ():
        padded = np.pad(mask, [(inset, inset) if axis == other else (0, 0) for other in (0, 1)])
        mask = np.all(sliding_window_view(padded, 2 * inset + 1, axis), axis=-1)
    return mask


def downscaled(image: Pixels, side: int = EMBEDDED_SIDE) -> Pixels:
    """Returns ``image`` scaled down to at most ``side`` pixels a side; ``image`` itself if it is not larger."""
    if max(image.shape[:2]) <= side:
        return image
    thumbnail = Image.fromarray(image)
    thumbnail.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(thumbnail)


def jpeg(image: Pixels) -> bytes:
    """Returns ``image`` as a JPEG file, of a quality that keeps text in it readable."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=90, subsampling=0)
    return buffer.getvalue()


def data_uri(image: Pixels) -> str:
    """Returns ``image`` as a JPEG data URI for a page."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg(image)).decode()
