"""Pictures of photographed things: on plain and on photographic grounds, small, and as a phone takes them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mmviz.training.evaluate.real_folders import Photograph
from mmviz.training.world.sprites import fit

Pixels = NDArray[np.uint8]
SIDE = 320
"""Pixels of a picture's side."""
LARGE, SMALL = 0.6, 0.2
"""Longer side of the thing, as a share of the picture's side."""
DRAWS = 3
"""Pictures of each photograph in each view, every one on another ground and at another place."""
VIEWS = {
    "plain ground": (False, LARGE, False),
    "photographic ground": (True, LARGE, False),
    "small, plain ground": (False, SMALL, False),
    "small, photographic ground": (True, SMALL, False),
    "phone-like, plain ground": (False, LARGE, True),
    "phone-like, photographic ground": (True, LARGE, True),
}
"""Name of a view -> whether the ground is photographic, the size of the thing, whether it looks like a phone's."""
BLUR, NOISE, JPEG_QUALITY, WHITE_BALANCE = 1.2, 8.0, 40, 0.15
"""A phone-like picture: pixels of a Gaussian blur, standard deviation of noise (of 255), quality of JPEG, and the
largest change of red against blue."""


def views(photograph: Photograph, grounds: Sequence[Pixels]) -> Iterator[tuple[str, Pixels]]:
    """Yields `DRAWS` pictures of each of `VIEWS`, with its name: uint8 ``[320, 320, 3]``.

    Places and grounds depend on the photograph's name alone. ``grounds`` are uint8 ``[height, width, 3]``.
    """
    seed = int.from_bytes(sha256(photograph.name.encode()).digest()[:8], "big")
    for name, (is_photographic, share, is_phone) in VIEWS.items():
        for draw in range(DRAWS):
            rng = np.random.default_rng([seed, draw])
            if is_photographic:
                ground = square_part(rng, grounds[(seed + draw) % len(grounds)])
            else:
                ground = plain_ground(rng, draw)
            picture = placed(rng, photograph.pixels, ground, round(share * SIDE))
            yield name, phone_like(rng, picture) if is_phone else picture


def plain_ground(rng: np.random.Generator, draw: int) -> Pixels:
    """Returns a ground of one colour: white, then light grey, then any colour."""
    colour = (255, 255, 255) if draw == 0 else (200, 200, 200) if draw == 1 else rng.integers(0, 256, 3)
    return np.broadcast_to(np.array(colour, np.uint8), (SIDE, SIDE, 3))


def square_part(rng: np.random.Generator, ground: Pixels) -> Pixels:
    """Returns a square part of ``ground`` ``[height, width, 3]``, at the size of a picture."""
    height, width = ground.shape[:2]
    side = int(min(height, width) * rng.uniform(0.6, 1.0))
    y, x = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    part = Image.fromarray(ground[y : y + side, x : x + side])
    return np.asarray(part.resize((SIDE, SIDE), Image.Resampling.LANCZOS), np.uint8)


def placed(rng: np.random.Generator, thing: Pixels, ground: Pixels, size: int) -> Pixels:
    """Returns ``ground`` with the whole ``thing`` ``[height, width, 4]`` on it, its longer side ``size`` pixels."""
    cell = np.asarray(fit(Image.fromarray(thing), size), np.float32)
    x, y = (int(rng.integers(SIDE - size + 1)) for _ in range(2))
    picture = ground.astype(np.float32)
    region = picture[y : y + size, x : x + size]
    alpha = cell[..., 3:] / 255
    region[:] = region * (1 - alpha) + cell[..., :3] * alpha
    return picture.round().astype(np.uint8)


def phone_like(rng: np.random.Generator, picture: Pixels) -> Pixels:
    """Returns a picture as a phone's camera takes it: out of focus, noisy, in warm or cold light, saved as JPEG."""
    image = Image.fromarray(picture).filter(ImageFilter.GaussianBlur(BLUR))
    balance = 1 + rng.uniform(-WHITE_BALANCE, WHITE_BALANCE)
    pixels = np.asarray(image, np.float32) * np.array([balance, 1, 1 / balance], np.float32)
    pixels += rng.normal(0, NOISE, pixels.shape)
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=JPEG_QUALITY)
    return np.asarray(Image.open(file).convert("RGB"), np.uint8)
