"""Images for the out-of-distribution detector that show nothing: other grounds, noise, writing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Pixels = NDArray[np.uint8]
OTHER_GROUNDS = ("plain", "gradient", "checks", "paper", "wood", "waves", "bricks", "cloth", "marble")
"""Grounds that the detector is measured on; the world has only the first two."""


def other_ground(rng: np.random.Generator, side: int, kind: str) -> Pixels:
    """Returns one of `OTHER_GROUNDS`, uint8 ``[side, side, 3]``: two colours mixed by a pattern."""
    first, second = (rng.uniform(190, 255, 1) if rng.random() < 0.35 else rng.uniform(0, 255, 3) for _ in range(2))
    first, second = np.resize(first, 3), np.resize(second, 3)
    if kind not in ("plain", "gradient") and rng.random() < 0.6:
        second = first + (second - first) * rng.uniform(0.1, 0.6)
    if kind == "marble":
        mix = np.stack([_clouds(rng, side) for _ in range(3)], -1)
    else:
        mix = _pattern(rng, side, kind)[..., None]
    mix = np.clip(mix, 0, 1)
    return np.asarray(np.clip(first * (1 - mix) + second * mix, 0, 255), np.uint8)


def _pattern(rng: np.random.Generator, side: int, kind: str) -> NDArray[np.floating]:
    y, x = np.mgrid[0:side, 0:side] / side
    angle, frequency = rng.uniform(0, np.pi), rng.uniform(3, 25)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    noise = rng.standard_normal((side, side))
    patterns: dict[str, Callable[[], NDArray[np.floating]]] = {
        "plain": lambda: np.zeros((side, side)),
        "gradient": lambda: (u - u.min()) / np.ptp(u),
        "checks": lambda: (np.floor(x * frequency) + np.floor(y * frequency)) % 2,
        "paper": lambda: 0.5 + 0.18 * noise + 0.3 * (_clouds(rng, side) - 0.5),
        "wood": lambda: (
            0.5 + 0.4 * np.sin(2 * np.pi * (u * rng.uniform(3, 12) + 2 * _clouds(rng, side))) + 0.03 * noise
        ),
        "waves": lambda: 0.5 + 0.25 * (np.sin(2 * np.pi * u * frequency) + np.sin(2 * np.pi * v * rng.uniform(2, 20))),
        "bricks": lambda: (
            0.8 * (((x * frequency + np.floor(y * 2 * frequency) / 2) % 1 < 0.08) | (y * 2 * frequency % 1 < 0.15))
        ),
        "cloth": lambda: 0.5 + 0.25 * (np.sin(6 * frequency * x) + np.sin(6 * frequency * y)) + 0.05 * noise,
    }
    return patterns[kind]()


def _upsampled(coarse: NDArray[np.floating], side: int) -> NDArray[np.floating]:
    """Returns cells ``[n, n]`` or ``[n, n, channel]`` as a smooth pattern of ``side`` pixels."""
    layers = [Image.fromarray(layer.astype(np.float32)) for layer in np.moveaxis(np.atleast_3d(coarse), -1, 0)]
    grown = np.stack([np.asarray(layer.resize((side, side), Image.Resampling.BICUBIC)) for layer in layers], -1)
    return grown[..., 0] if coarse.ndim == 2 else grown


def _clouds(rng: np.random.Generator, side: int) -> NDArray[np.floating]:
    """Returns smooth noise of several scales, 0 .. 1."""
    cells, weight, fall = int(rng.integers(2, 6)), 1.0, rng.uniform(0.35, 0.75)
    total = np.zeros((side, side))
    while cells < side:
        total += weight * _upsampled(rng.random((cells, cells)), side)
        cells, weight = cells * 2, weight * fall
    spread: NDArray[np.floating] = (total - total.min()) / np.ptp(total)
    return spread


def noise_image(rng: np.random.Generator) -> Pixels:
    """Returns neither photo nor scene: noise of one grain or with a natural spectrum, or a page of writing."""
    side, colours = 160, int(rng.choice([1, 3]))
    kind = rng.integers(3)
    if kind == 0:
        cells = int(rng.choice([40, 80, 160]))
        pixels = rng.choice([rng.random((cells, cells, colours)), rng.integers(0, 2, (cells, cells, colours))])
        pixels = np.kron(pixels, np.ones((side // cells, side // cells, 1))) * 255
    elif kind == 1:
        rows, columns = np.fft.fftfreq(side)[:, None, None], np.fft.rfftfreq(side)[None, :, None]
        fall = np.maximum(np.hypot(rows, columns), 1 / side) ** -rng.uniform(0.7, 1.5)
        spectrum = fall * (rng.standard_normal((side, side // 2 + 1, colours, 2)) @ np.array([1, 1j]))
        pixels = np.fft.irfft2(spectrum, (side, side), axes=(0, 1))
        pixels = 128 + rng.uniform(30, 70) * (pixels - pixels.mean()) / pixels.std()
    else:
        page = Image.new("RGB", (4 * side, 4 * side), tuple(int(c) for c in rng.integers(215, 256, 3)))
        line = int(rng.integers(10, 24))
        for y in range(line, 4 * side - line, line):
            words = "".join(rng.choice(list("abcdefghilmnoprstu    "), int(rng.integers(30, 100))))
            ImageDraw.Draw(page).text((2 * line, y), words, fill=(20, 20, 20))
        pixels = np.asarray(page, np.float32)
    shown: Pixels = np.clip(np.broadcast_to(pixels, (*pixels.shape[:2], 3)), 0, 255).astype(np.uint8)
    return shown
