"""Several pictures as one sheet, and several sounds as one, so that a sample has one image and one sound to show."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from mmviz.inputs.audio import MAX_SECONDS, MIN_SECONDS
from mmviz.inputs.image import MAX_KEPT_SIDE
from mmviz.types import (
    MAX_PICTURES,
    AudioInput,
    ImageInput,
    InputError,
    Notice,
    PictureBox,
    PixelBox,
    Seconds,
    VideoPatch,
)

_GAP, _GREY = 8, 128
"""Pixels between pictures, and their value."""
_SHAPE = 2.0
"""Width of a sheet by its height, about."""


def join_pictures(
    images: Sequence[ImageInput], moments: Sequence[Seconds] = ()
) -> tuple[ImageInput, tuple[Notice, ...]]:
    """Returns pictures as a sheet, row by row, and a notice of it. Pictures are reduced where the sheet is too large.

    ``moments``: when each is seen, for the frames of a video. Raises ``InputError`` (``image-many``).
    """
    if len(images) > MAX_PICTURES:
        raise InputError("image-many", count=len(images), limit=MAX_PICTURES)
    from PIL import Image

    sizes = [(image.pixels.shape[1], image.pixels.shape[0]) for image in images]
    shape = float(np.mean([height / width for width, height in sizes]))
    boxes = _layout(sizes, min(max(1, round((len(sizes) * _SHAPE * shape) ** 0.5)), len(sizes)))
    sheet = np.full((max(box[3] for box in boxes), max(box[2] for box in boxes), 3), _GREY, np.uint8)
    for image, (x0, y0, x1, y1) in zip(images, boxes, strict=True):
        picture = Image.fromarray(image.pixels).resize((x1 - x0, y1 - y0), Image.Resampling.LANCZOS)
        sheet[y0:y1, x0:x1] = np.asarray(picture)
    parts: list[PixelBox] = []
    for number, box in enumerate(boxes):
        left, top, right, bottom = map(float, box)
        if moments:
            parts.append(VideoPatch(left, top, right, bottom, moments[number].start, moments[number].end))
        else:
            parts.append(PictureBox(left, top, right, bottom, number + 1))
    height, width = sheet.shape[:2]
    is_reduced = any((x1 - x0, y1 - y0) != size for (x0, y0, x1, y1), size in zip(boxes, sizes, strict=True))
    notice = Notice(
        "image-sheet-reduced" if is_reduced else "image-sheet",
        {"count": len(images), "width": width, "height": height},
    )
    return ImageInput(sheet, width, height, tuple(parts)), (notice,)


def join_sounds(sounds: Sequence[AudioInput]) -> tuple[AudioInput, tuple[Notice, ...]]:
    """Returns sounds one after another, and a notice of it. Raises ``InputError`` (``audio-long``)."""
    waves = [sound.wave for sound in sounds]
    rate = sounds[0].rate
    edges = np.cumsum([0, *map(len, waves)]) / rate
    if edges[-1] > MAX_SECONDS:
        raise InputError("audio-long", seconds=float(edges[-1]), limit=MAX_SECONDS)
    assert edges[-1] >= MIN_SECONDS
    parts = tuple(Seconds(float(start), float(end)) for start, end in pairwise(edges))
    joined = AudioInput(np.concatenate(waves), rate, float(edges[-1]), parts)
    return joined, (Notice("audio-joined", {"count": len(sounds)}),)


def _layout(sizes: Sequence[tuple[int, int]], columns: int) -> list[tuple[int, int, int, int]]:
    """Returns left, top, right and bottom of pictures of some widths and heights, ``columns`` in a row."""
    rows = -(-len(sizes) // columns)
    cell = tuple((MAX_KEPT_SIDE - _GAP * (count - 1)) // count for count in (columns, rows))
    kept = []
    for size in sizes:
        factor = min(1.0, cell[0] / size[0], cell[1] / size[1])
        kept.append((max(1, int(size[0] * factor)), max(1, int(size[1] * factor))))
    widths = [max(width for width, _ in kept[column::columns]) for column in range(columns)]
    heights = [max(height for _, height in kept[row * columns : (row + 1) * columns]) for row in range(rows)]
    boxes = []
    for number, (width, height) in enumerate(kept):
        row, column = divmod(number, columns)
        x, y = sum(widths[:column]) + _GAP * column, sum(heights[:row]) + _GAP * row
        boxes.append((x, y, x + width, y + height))
    return boxes
