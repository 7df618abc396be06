"""Images of the world: one to five drawings on a ground, with the true location of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mmviz.training.world.grounds import Photographs, ground
from mmviz.training.world.lighting_and_camera_noise import cast_shadow, photographed

Sprites = Mapping[str, Sequence[NDArray[np.uint8]]]
"""Word -> its drawings, each uint8 ``[side, side, 4]``, straight alpha, or ``[side, side, 2]``, ink and paper."""


@dataclass(frozen=True)
class Thing:
    """One thing in an image."""

    word: str
    """The word of the world that names it."""
    box: tuple[float, float, float, float]
    """``(x0, y0, x1, y1)`` of its visible pixels, as fractions of the side."""

    @property
    def centre(self) -> tuple[float, float]:
        """``(x, y)`` of the centre of its box, as fractions of the side."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


@dataclass(frozen=True, eq=False)
class Scene:
    """An image and what is in it."""

    pixels: NDArray[np.uint8]
    """``[side, side, 3]``."""
    cover: NDArray[np.uint8]
    """``[side, side]``: 0 ground, k the k-th thing, counted from 1."""
    things: tuple[Thing, ...]
    """In the order in which ``cover`` counts them."""


def _varied(rng: np.random.Generator, drawing: NDArray[np.uint8], pixels: int, strength: float) -> NDArray[np.float32]:
    """Returns a drawing resized, rotated, warped and recoloured: float32 ``[h, w, 4]``, premultiplied, 0 .. 255."""
    image = Image.fromarray(drawing, "RGBA")
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < 0.45 * strength:
        image = warped_drawing(rng, image)
    stretch = float(np.exp(rng.normal(0, 0.10 * strength)))
    image = image.convert("RGBa").resize(
        (max(4, round(pixels * min(1.0, stretch))), max(4, round(pixels * min(1.0, 1 / stretch)))),
        Image.Resampling.BOX if pixels < drawing.shape[0] / 2 else Image.Resampling.BILINEAR,
    )
    if rng.random() < 0.7 * strength:
        image = (
            image.convert("RGBA")
            .rotate(float(rng.normal(0, 9)), Image.Resampling.BILINEAR, expand=True)
            .convert("RGBa")
        )
    array = np.asarray(image, dtype=np.float32).copy()
    if rng.random() < 0.75 * strength:
        array[..., :3] = _recoloured(rng, array[..., :3], array[..., 3:])
    if rng.random() < 0.10 * strength:
        steps = 255 / int(rng.integers(2, 6))
        array[..., :3] = np.minimum(np.round(array[..., :3] / steps) * steps, array[..., 3:])
    if rng.random() < 0.30 * strength:
        array[..., :3] = _outlined(rng, array)
    return array


def inked(rng: np.random.Generator, drawing: NDArray[np.uint8], like: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """Returns a drawing of ink and paper ``[side, side, 2]`` in two colours: uint8 ``[side, side, 4]``, straight alpha.

    Ink is mostly dark; paper is missing, white, of any colour, or of the mean colour of the drawing ``like``.
    """
    ink = rng.uniform(0, 70) + rng.uniform(-25, 25, 3) if rng.random() < 0.75 else rng.uniform(0, 255, 3)
    kind = rng.random()
    if kind < 0.45 and like is not None:
        paper = like[like[..., 3] > 128, :3].mean(0) + rng.uniform(-20, 20, 3)
    elif kind < 0.75:
        paper = rng.uniform(215, 255, 3)
    else:
        paper = rng.uniform(0, 255, 3)
    amounts = drawing.astype(np.float32) / 255
    cover = amounts[..., 1] if kind < 0.85 else amounts[..., 0]
    share = (amounts[..., 0] / np.maximum(cover, 1e-3))[..., None]
    colour = np.clip(ink * share + paper * (1 - share), 0, 255)
    return np.concatenate([colour, cover[..., None] * 255], axis=-1).astype(np.uint8)


def warped_drawing(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """Returns the drawing with the nine corners of its four quarters moved by up to 7 % of the side."""
    side = image.width
    line = np.linspace(0, side, 3)
    corners = np.stack(np.meshgrid(line, line), -1) + rng.uniform(-0.07, 0.07, (3, 3, 2)) * side
    mesh = []
    for row in range(2):
        for column in range(2):
            target = tuple(int(line[k]) for k in (column, row, column + 1, row + 1))
            quad = corners[[row, row + 1, row + 1, row], [column, column, column + 1, column + 1]]
            mesh.append((target, tuple(float(edge) for edge in quad.ravel())))
    return (
        image.convert("RGBa")
        .transform(image.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)
        .convert("RGBA")
    )


def _outlined(rng: np.random.Generator, array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the colour of a drawing with a line around it and, half the time, along its edges of colour."""
    inner = Image.fromarray(array[..., 3].astype(np.uint8))
    for _ in range(max(1, round(max(inner.size) * rng.uniform(0.01, 0.035)))):
        inner = inner.filter(ImageFilter.MinFilter(3))
    line = (array[..., 3] - np.asarray(inner, np.float32)) / 255
    if rng.random() < 0.5:
        changes = (np.diff(array[..., :3], axis=axis, prepend=0) for axis in (0, 1))
        steps = sum(np.abs(change).sum(2) for change in changes)
        line = np.maximum(line, np.clip(steps / rng.uniform(60, 160) - 0.3, 0, 1))
    line = np.clip(line, 0, 1)[..., None]
    shade = rng.uniform(0, 60) if rng.random() < 0.75 else 255.0
    return np.asarray(array[..., :3] * (1 - line) + shade * line * array[..., 3:] / 255, np.float32)


_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def _recoloured(
    rng: np.random.Generator, colour: NDArray[np.float32], alpha: NDArray[np.float32]
) -> NDArray[np.float32]:
    grey = (colour @ _LUMA)[..., None]
    kind = rng.random()
    if kind < 0.15:
        mixed = np.broadcast_to(grey, colour.shape)
    elif kind < 0.22:
        mixed = colour[..., rng.permutation(3)]
    elif kind < 0.6:
        turn = np.eye(3, dtype=np.float32) + rng.normal(0, 0.2, (3, 3)).astype(np.float32)
        mixed = colour @ (turn / turn.sum(0, keepdims=True))
    else:
        saturation = rng.uniform(0.4, 1.5)
        mixed = grey + (colour - grey) * saturation
    contrast, brightness = rng.uniform(0.75, 1.25), rng.uniform(-25, 25)
    level = alpha / 255
    return np.clip((mixed - 128 * level) * contrast + (128 + brightness) * level, 0, alpha).astype(np.float32)


LARGEST = {1: 0.85, 2: 0.6, 3: 0.45, 4: 0.38, 5: 0.34}
"""The longest side of a thing, in sides of the image, by the number of things: a photograph of one is full of it."""


def compose(
    rng: np.random.Generator, words: Sequence[str], sprites: Sprites, side: int = 384, strength: float = 1.0,
    photographs: Photographs = (), largest: float | None = None,
) -> Scene:  # fmt: skip
    """Draws ``words`` at random positions with little overlap.

    ``side`` is in pixels; ``strength`` 0..1 scales the variation of drawings and of the finished image; some grounds
    are taken from ``photographs``. Sizes are 15 % of the side to ``largest``, that of `LARGEST` for None.
    Raises ``KeyError`` for a word without a drawing.
    """
    canvas = ground(rng, side, photographs)
    has_shadows = rng.random() < 0.45 * strength
    light = rng.uniform(-0.05, 0.05, 2)
    cover = np.zeros((side, side), dtype=np.uint8)
    boxes: list[tuple[int, int, int, int]] = []
    largest = largest or LARGEST[len(words)]
    for number, word in enumerate(words, start=1):
        drawing = _choose_drawing(rng, sprites[word])
        share = rng.uniform(0.16, largest)
        for attempt in range(40):
            pixels = max(round(0.15 * side), round(side * share * 0.97**attempt))
            x, y = (int(rng.integers(0, side - pixels + 1)) for _ in range(2))
            if all(_barely_overlap((x, y, x + pixels, y + pixels), other) for other in boxes):
                break
        piece = _varied(rng, drawing, pixels, strength)
        spare = [max(0, length - pixels) // 2 for length in piece.shape[:2]]
        piece = piece[spare[0] : spare[0] + pixels, spare[1] : spare[1] + pixels]
        height, width = piece.shape[:2]
        x, y = x + (pixels - width) // 2, y + (pixels - height) // 2
        region = (slice(y, y + height), slice(x, x + width))
        if has_shadows:
            cast_shadow(rng, canvas, piece[..., 3], (x, y), light)
        canvas[region] = canvas[region] * (1 - piece[..., 3:] / 255) + piece[..., :3]
        cover[region][piece[..., 3] > 100] = number
        boxes.append((x, y, x + width, y + height))
    return Scene(
        photographed(rng, canvas, strength),
        cover,
        tuple(Thing(word, _bounding_box(cover == k)) for k, word in enumerate(words, start=1)),
    )


def _choose_drawing(rng: np.random.Generator, drawings: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Returns one of a word's drawings; a line drawing is coloured first."""
    drawing = drawings[int(rng.integers(len(drawings)))]
    if drawing.shape[2] == 4:
        return drawing
    coloured = [candidate for candidate in drawings if candidate.shape[2] == 4]
    return inked(rng, drawing, coloured[int(rng.integers(len(coloured)))] if coloured else None)


def _barely_overlap(first: tuple[int, int, int, int], second: tuple[int, int, int, int]) -> bool:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    area = min((b[2] - b[0]) * (b[3] - b[1]) for b in (first, second))
    return width <= 0 or height <= 0 or width * height < 0.05 * area


def _bounding_box(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    side = mask.shape[0]
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) == 0:
        return (0.0, 0.0, 0.0, 0.0)
    return columns[0] / side, rows[0] / side, (columns[-1] + 1) / side, (rows[-1] + 1) / side
