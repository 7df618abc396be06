"""Images for the out-of-distribution detector: the world drawn in other ways, photos, and what is neither."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from mmviz.training.world.scenes import Sprites

Pixels = NDArray[np.uint8]
FIT_GROUNDS = ("plain", "gradient", "radial", "clouds", "cells", "grain", "stripes", "dots", "colours", "spots")
OTHER_GROUNDS = ("plain", "gradient", "checks", "paper", "wood", "waves", "bricks", "cloth", "marble")
"""Grounds that the detector is measured on; only the first two are also in the fit."""


def other_scene(rng: np.random.Generator, sprites: Sprites, grounds: Sequence[str]) -> Pixels:
    """Returns an image of the world drawn by a second, simpler procedure: ``[side, side, 3]``."""
    side = int(rng.choice([160, 224, 320, 480]))
    ground = _ground(rng, side, str(rng.choice(grounds)))
    image = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8)).convert("RGBA")
    placed: list[tuple[int, int, int]] = []
    for word in rng.choice(list(sprites), int(rng.integers(1, 6)), replace=False):
        size = int(side * rng.uniform(0.15, 0.45))
        spots = [(int(x), int(y)) for x, y in rng.integers(0, side - size + 1, (30, 2))]
        free = [(x, y) for x, y in spots if all(_are_disjoint((x, y, size), other) for other in placed)]
        if free:
            placed.append((*free[0], size))
            drawing = Image.fromarray(sprites[word][int(rng.integers(len(sprites[word])))], "RGBA").convert("RGBa")
            image.alpha_composite(drawing.resize((size, size), Image.Resampling.BICUBIC).convert("RGBA"), free[0])
    pixels = np.asarray(image.convert("RGB"), float)
    if rng.random() < 0.4:
        shape = pixels.shape if rng.random() < 0.7 else (side, side, 1)
        pixels = pixels + rng.normal(0, rng.uniform(2, 18), shape)
    finished = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    if rng.random() < 0.15:
        finished = finished.filter(ImageFilter.GaussianBlur(side / 160 * rng.uniform(0.3, 1.2)))
    return np.asarray(finished)


def _are_disjoint(first: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
    return any(first[k] + first[2] <= other[k] or other[k] + other[2] <= first[k] for k in range(2))


def _ground(rng: np.random.Generator, side: int, kind: str) -> NDArray[np.floating]:
    """Returns a ground ``[side, side, 3]``, 0 .. 255: two colours mixed by one pattern, or by one per channel."""
    first, second = (rng.uniform(190, 255, 1) if rng.random() < 0.35 else rng.uniform(0, 255, 3) for _ in range(2))
    first, second = np.resize(first, 3), np.resize(second, 3)
    if kind not in ("plain", "gradient", "radial") and rng.random() < 0.6:
        second = first + (second - first) * rng.uniform(0.1, 0.6)
    if kind == "spots":
        ground = np.broadcast_to(first, (side, side, 3))
        for _ in range(int(rng.integers(4, 25))):
            y, x = np.mgrid[0:side, 0:side] / side - rng.random((2, 1, 1))
            cover = np.clip(3 - 3 * np.hypot(x, y) / rng.uniform(0.05, 0.25), 0, rng.uniform(0.1, 0.6))[..., None]
            ground = ground * (1 - cover) + rng.uniform(0, 255, 3) * cover
        return ground
    if kind == "colours":
        cells = int(rng.integers(3, 40))
        mix = _upsampled(rng.random((cells, cells, 3)), side)
    elif kind == "marble":
        mix = np.stack([_clouds(rng, side) for _ in range(3)], -1)
    else:
        mix = _pattern(rng, side, kind)[..., None]
    mix = np.clip(mix, 0, 1)
    mixed: NDArray[np.floating] = first * (1 - mix) + second * mix
    return mixed


def _pattern(rng: np.random.Generator, side: int, kind: str) -> NDArray[np.floating]:
    y, x = np.mgrid[0:side, 0:side] / side
    angle, frequency = rng.uniform(0, np.pi), rng.uniform(3, 25)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    noise = rng.standard_normal((side, side))
    patterns: dict[str, Callable[[], NDArray[np.floating]]] = {
        "plain": lambda: np.zeros((side, side)),
        "gradient": lambda: (u - u.min()) / np.ptp(u),
        "radial": lambda: np.hypot(x - rng.random(), y - rng.random()),
        "clouds": lambda: _clouds(rng, side),
        "cells": lambda: _upsampled(rng.random((int(rng.integers(3, 60)),) * 2), side),
        "grain": lambda: rng.random((side, side)),
        "stripes": lambda: (u * rng.uniform(3, 40) % 1 < rng.uniform(0.2, 0.8)).astype(float),
        "dots": lambda: (np.hypot(u * frequency % 1 - 0.5, v * frequency % 1 - 0.5) < rng.uniform(0.1, 0.45)).astype(
            float
        ),
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


def photo_parts(rng: np.random.Generator, path: Path, parts: int) -> Iterator[Pixels]:
    """Yields a whole photo, and ``parts`` square crops of it, some in grey or coarse: ``[height, width, 3]``."""
    with Image.open(path) as opened:
        photo = opened.convert("RGB")
    photo.thumbnail((1600, 1600))
    yield np.asarray(photo)
    for _ in range(parts):
        size = min(*photo.size, max(120, int(min(photo.size) * rng.uniform(0.35, 1))))
        x, y = (int(rng.integers(0, length - size + 1)) for length in photo.size)
        part = photo.crop((x, y, x + size, y + size))
        if rng.random() < 0.2:
            part = part.convert("L").convert("RGB")
        if rng.random() < 0.15:
            part = part.resize((96, 96)).resize((size, size))
        yield np.asarray(part)


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
