"""Light and camera: shadows under things, uneven light, and what a camera adds to a picture."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter


def cast_shadow(
    rng: np.random.Generator, canvas: NDArray[np.float32], alpha: NDArray[np.float32], corner: tuple[int, int],
    light: NDArray[np.float64],
) -> None:  # fmt: skip
    """Darkens ``canvas`` ``[side, side, 3]`` under a thing of ``alpha`` ``[h, w]``, 0 .. 255, at ``corner`` (x, y).

    The shadow is soft and moved along ``light`` (x, y), in sides of the canvas, by up to a third more or less.
    """
    side = canvas.shape[0]
    blur = max(1.0, float(rng.uniform(0.005, 0.03)) * side)
    spread = round(2 * blur)
    shadow = Image.fromarray(np.pad(alpha, spread).astype(np.uint8)).filter(ImageFilter.BoxBlur(blur))
    moved = np.round(light * side * rng.uniform(0.67, 1.33)).astype(int)
    x, y = corner[0] - spread + int(moved[0]), corner[1] - spread + int(moved[1])
    x0, y0 = max(x, 0), max(y, 0)
    x1, y1 = min(x + shadow.width, side), min(y + shadow.height, side)
    amount = np.asarray(shadow, np.float32)[y0 - y : y1 - y, x0 - x : x1 - x, None]
    canvas[y0:y1, x0:x1] *= 1 - amount * np.float32(rng.uniform(0.25, 0.7) / 255)


def photographed(rng: np.random.Generator, canvas: NDArray[np.float32], strength: float) -> NDArray[np.uint8]:
    """Returns ``canvas`` ``[side, side, 3]`` as a camera may show it, uint8; ``strength`` 0..1 scales how often."""
    side = canvas.shape[0]
    if rng.random() < 0.3 * strength:
        canvas = canvas * np.float32(rng.uniform(0.8, 1.2)) + np.float32(rng.uniform(-15, 15))
    if rng.random() < 0.3 * strength:
        canvas = canvas * _uneven_light(rng, side)
    if rng.random() < 0.25 * strength:
        canvas = canvas + rng.standard_normal(canvas.shape, np.float32) * np.float32(rng.uniform(2, 12))
    pixels = np.clip(canvas, 0, 255).astype(np.uint8)
    if rng.random() < 0.15 * strength:
        blur = ImageFilter.GaussianBlur(float(rng.uniform(0.3, 0.9)) * side / 160)
        pixels = np.asarray(Image.fromarray(pixels).filter(blur))
    if rng.random() < 0.2 * strength:
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=int(rng.integers(25, 90)))
        with Image.open(buffer) as image:
            pixels = np.asarray(image.convert("RGB"))
    return pixels


def _uneven_light(rng: np.random.Generator, side: int) -> NDArray[np.float32]:
    """Returns the gain of each pixel ``[side, side, 1]``: light from one side, and darker corners."""
    line = np.linspace(-1, 1, side, dtype=np.float32)
    slopes, fall = rng.uniform(-0.25, 0.25, 2).astype(np.float32), np.float32(rng.uniform(0, 0.15))
    gain = np.add.outer(slopes[0] * line - fall * line**2, 1 + slopes[1] * line - fall * line**2)
    return np.asarray(gain[..., None], np.float32)
