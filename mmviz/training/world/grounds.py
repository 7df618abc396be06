"""Grounds of the world's images: plain, gradient, textured, and photographs that show no thing of the word list."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mmviz.assets_path import assets_dir

Photographs = Sequence[NDArray[np.uint8]]
"""Photographs, each uint8 ``[height, width, 3]``."""

_PHOTOGRAPHIC = 0.37
"""Share of grounds that are photographs, where there are any."""


def load_photographs(held_out: bool = False) -> dict[str, NDArray[np.uint8]]:
    """Returns the photographs by name, those for training or the held-out ones: uint8 ``[height, width, 3]``."""
    folder = assets_dir() / "grounds"
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    photographs = {}
    for name, entry in index.items():
        if entry["held_out"] == held_out:
            with Image.open(folder / f"{name}.webp") as image:
                photographs[name] = np.asarray(image.convert("RGB"))
    return photographs


def ground(rng: np.random.Generator, side: int, photographs: Photographs = ()) -> NDArray[np.float32]:
    """Returns a plain, gradient, textured or photographic ground, float32 ``[side, side, 3]``, 0 .. 255."""
    if photographs and rng.random() < _PHOTOGRAPHIC:
        return photographic_ground(rng, side, photographs)
    first, second = (_ground_colour(rng) for _ in range(2))
    kind = rng.integers(4)
    if kind == 0:
        return np.broadcast_to(first, (side, side, 3)).astype(np.float32)
    if kind == 1:
        angle = rng.uniform(0, 2 * np.pi)
        line = np.arange(side, dtype=np.float32) / side - 0.5
        mix = np.add.outer(line * np.float32(np.sin(angle)), line * np.float32(np.cos(angle))) + np.float32(0.5)
        return _mixed(first, second, mix)
    cells = int(rng.choice([3, 5, 9, 18, 36]))
    coarse = rng.random((cells, cells)).astype(np.float32)
    if kind == 3:
        coarse = (
            np.add.outer(np.arange(cells), np.arange(cells)) % 2
            if rng.random() < 0.5
            else np.tile(np.arange(cells) % 2, (cells, 1))
        ).astype(np.float32)
    hard = kind == 3 and rng.random() < 0.3
    smooth = Image.Resampling.NEAREST if hard else Image.Resampling.BICUBIC
    image = Image.fromarray(coarse).resize((side, side), smooth)
    if kind == 3 and rng.random() < 0.4:
        wide = round(1.5 * side)
        image = image.resize((wide, wide)).rotate(float(rng.uniform(0, 90)), Image.Resampling.BILINEAR)
        image = image.crop(((wide - side) // 2,) * 2 + ((wide + side) // 2,) * 2)
    return _mixed(first, second, np.asarray(image), float(rng.uniform(0.2, 1.0)))


def photographic_ground(rng: np.random.Generator, side: int, photographs: Photographs) -> NDArray[np.float32]:
    """Returns a square of a photograph, sometimes out of focus, turned or two in one: float32 ``[side, side, 3]``."""
    view = _view(rng, side, photographs)
    if rng.random() < 0.15:  # a table before a wall
        edge = int(side * rng.uniform(0.3, 0.8))
        view = np.concatenate([view[:edge], _view(rng, side, photographs)[edge:]])
    kind = rng.random()
    if kind < 0.12:
        view = np.broadcast_to(view.mean(-1, keepdims=True), view.shape)
    elif kind < 0.55:
        view = view * rng.uniform(0.75, 1.2, 3).astype(np.float32)
    shift, gain = rng.normal(0, 12), rng.uniform(0.7, 1.15)
    return np.asarray(np.clip((view - 128) * np.float32(gain) + np.float32(128 + shift), 0, 255), np.float32)


def _view(rng: np.random.Generator, side: int, photographs: Photographs) -> NDArray[np.float32]:
    photograph = photographs[int(rng.integers(len(photographs)))]
    height, width = photograph.shape[:2]
    size = int(min(height, width) * rng.uniform(0.45, 1))
    x, y = int(rng.integers(width - size + 1)), int(rng.integers(height - size + 1))
    image = Image.fromarray(photograph[y : y + size, x : x + size])
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < 0.15:
        image = image.transpose(Image.Transpose.ROTATE_90)
    if rng.random() < 0.25:
        image = image.filter(ImageFilter.BoxBlur(float(rng.uniform(0.005, 0.03)) * size))
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR), np.float32)


def _mixed(
    first: NDArray[np.float32], second: NDArray[np.float32], mix: NDArray[np.float32], strength: float = 1.0
) -> NDArray[np.float32]:
    """Returns two colours mixed by ``mix`` ``[side, side]``, 0 first .. 1 second, times ``strength``."""
    return first + (second - first) * (np.clip(mix, 0, 1)[..., None] * np.float32(strength))


def _ground_colour(rng: np.random.Generator) -> NDArray[np.float32]:
    if rng.random() < 0.35:
        return np.full(3, rng.uniform(200, 255), dtype=np.float32)
    return rng.uniform(20, 255, 3).astype(np.float32)
