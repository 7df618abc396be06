"""Where each number of a processor's output lies in the original picture, whatever the processor does to it.

A processor of Hugging Face resizes, crops, pads, tiles and flattens a picture in its own way. So it is run: black
and white pictures of the same size tell how it scales each number, two ramps then tell from which x and y each comes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.types import ImageInput, PixelBox

_LARGEST_BEND = 0.03
"""Share of a picture by which places may be off a straight line, as at the ends of what was resampled."""
Pixels = NDArray[np.uint8]
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PicturePlaces:
    """The rectangle of each number of a processor's output, as shares of width and height: 0 left or top, 1 the end."""

    low: Array
    """float64 ``[2, *shape]``: left and top; infinite for numbers that no pixel has a part in, such as padding."""
    high: Array
    """float64 ``[2, *shape]``: right and bottom; minus infinite for such."""
    numbers: NDArray[np.intp]
    """intp ``[*shape]``: the number of its picture on a sheet, from 0."""


def picture_places(
    process: Callable[[Pixels], Array], height: int, width: int, parts: Sequence[PixelBox] = ()
) -> PicturePlaces:
    """Returns the places of what ``process`` makes of a picture of this size, or of the ``parts`` of a sheet.

    ``process(pixels)``: the processor's output for uint8 ``[height, width, 3]``, as an array of one shape for one size:
    pictures ``[..., channel, row, column]`` or patches ``[patch, feature]``.
    """
    black, white = (process(np.full((height, width, 3), value, np.uint8)) for value in (0, 255))
    spread = white - black
    is_picture = np.abs(spread) > 0.2 * np.abs(spread).max()
    boxes = parts or [PixelBox(0, 0, width, height)]

    def shares(lines: Callable[[int, int, int], Array]) -> Array:
        """Returns what the processor makes of a sheet whose pictures hold shares of white, ``lines(number, y, x)``."""
        sheet = np.zeros((height, width, 3), np.uint8)
        for number, box in enumerate(boxes):
            rows, columns = slice(int(box.y0), int(box.y1)), slice(int(box.x0), int(box.x1))
            sheet[rows, columns] = np.round(lines(number, rows.stop - rows.start, columns.stop - columns.start) * 255)
        return np.where(is_picture, (process(sheet) - black) / np.where(is_picture, spread, 1), 0)

    numbers = np.zeros(black.shape, np.intp)
    if len(boxes) > 1:
        last = len(boxes) - 1
        numbers = np.round(shares(lambda number, y, x: np.full((y, x, 1), number / last)) * last).astype(np.intp)
        numbers = numbers.clip(0, last)
    low, high = [], []
    for axis, size, edges in (
        (1, width, [(box.x0, box.x1) for box in boxes]), (0, height, [(box.y0, box.y1) for box in boxes]),
    ):  # fmt: skip
        share = shares(lambda _, y, x, axis=axis: _ramp(y, x, axis))  # type: ignore[misc]
        ends = _picture_ends(share, is_picture, axis) if share.ndim > 3 else _patch_ends(share, is_picture, numbers)
        starts, lengths = (np.array(values)[numbers] for values in zip(*((a, b - a) for a, b in edges), strict=True))
        low.append(np.where(is_picture, (starts + ends[0] * lengths) / size, np.inf))
        high.append(np.where(is_picture, (starts + ends[1] * lengths) / size, -np.inf))
    return PicturePlaces(np.stack(low), np.stack(high), numbers)


def _ramp(height: int, width: int, axis: int) -> Array:
    """Returns shares of white that grow to the right (``axis`` 1) or down (0), ``[height, width, 1]``."""
    size = width if axis else height
    line = (np.arange(size) + 0.5) / size
    return np.broadcast_to(line[None, :, None] if axis else line[:, None, None], (height, width, 1))


def _picture_ends(share: Array, is_picture: NDArray[np.bool_], axis: int) -> tuple[Array, Array]:
    """Returns both ends of each pixel of ``[..., channel, row, column]`` along columns (``axis`` 1) or rows (0).

    Within a tile the place is a straight line of the column or row, which is fitted, since a ramp has 256 steps only.
    Where it is none, as in patches packed side by side, each pixel is where the ramp says.
    """
    rows, columns = share.shape[-2:]
    place = np.broadcast_to(np.arange(columns) if axis else np.arange(rows)[:, None], (rows, columns))
    low, high = np.zeros_like(share), np.zeros_like(share)
    for tile in np.ndindex(share.shape[:-2]):
        inside = is_picture[tile]
        if not inside.any():
            continue
        x, y = place[inside].astype(np.float64), share[tile][inside]
        middle = (y > 0.02) & (y < 0.98) if ((y > 0.02) & (y < 0.98)).sum() > 2 * max(rows, columns) else y == y
        slope, start = np.polyfit(x[middle], y[middle], 1) if np.ptp(x[middle]) else (0.0, y.mean())
        low[tile], high[tile] = slope * (place - 0.5) + start, slope * (place + 0.5) + start
        if np.abs(slope * x[middle] + start - y[middle]).max() > _LARGEST_BEND:
            half = np.median(np.abs(np.diff(share[tile], axis=1 if axis else 0))) / 2
            low[tile], high[tile] = share[tile] - half, share[tile] + half
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


def _patch_ends(share: Array, is_picture: NDArray[np.bool_], numbers: NDArray[np.intp]) -> tuple[Array, Array]:
    """Returns both ends of each patch of ``[..., patch, feature]``, the same for all of its numbers.

    The numbers of a patch are spread evenly between its ends, so their deviation tells its width, which is the same for
    all patches of a picture; ``numbers`` tells the picture.
    """
    counts = np.maximum(is_picture.sum(-1, keepdims=True), 1)
    centre = share.sum(-1, keepdims=True, where=is_picture) / counts
    variance = ((share - centre) ** 2).sum(-1, keepdims=True, where=is_picture) / counts
    half = np.zeros_like(variance)
    for number in np.unique(numbers[is_picture]):
        is_patch = (is_picture & (numbers == number)).any(-1)
        half[is_patch] = np.sqrt(3 * np.median(variance[is_patch]))
    ends = np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)
    return tuple(np.broadcast_to(end, share.shape) for end in ends)  # type: ignore[return-value]


def cached_places(process: Callable[[ImageInput], Any]) -> Callable[[ImageInput], PicturePlaces]:
    """Returns `picture_places` of ``process`` by the size of an image and its parts, of which the latest are kept."""

    @lru_cache(maxsize=8)
    def places(height: int, width: int, parts: tuple[PixelBox, ...]) -> PicturePlaces:
        def values(pixels: Pixels) -> Array:
            return np.asarray(process(ImageInput(pixels, width, height, parts)), np.float64)

        return picture_places(values, height, width, parts)

    return lambda image: places(*image.pixels.shape[:2], image.parts)
