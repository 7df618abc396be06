"""Signed amounts on a diverging scale centred at 0: their colours, their numbers, and a picture under them.

0 has the colour of the page. Plotly is not needed here, so that documents can be written without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.figures.colour_scale import short
from mmviz.figures.image import Pixels, Size
from mmviz.figures.theme import theme
from mmviz.types import PixelBox, Seconds, Token

_MORE_IN_B = {False: "7f47c7 9d76dc bda3ee ded0fc", True: "c9acff 9680be 665881 3a3248"}
_MORE_IN_A = {False: "f2d1bb dca57f c37a43 a84f00", True: "49301b 845429 c27b3a ffa44e"}
_IMAGE_SHARE = {False: 0.3, True: 0.2}
"""Weight of the grey image under the colours, on a light (False) and a dark page (True)."""


def diverging(dark: bool) -> list[str]:
    """Returns nine evenly spaced colours from -m to m; the middle one is that of the page.

    Even steps of lightness in OKLab (Ottosson 2020) from the page to purple (hue 300) and to orange (hue 56 to 60),
    the two hues of ColorBrewer's PuOr, which colour-blind readers can tell apart.
    """
    below, above = (f"{side[dark]}".split() for side in (_MORE_IN_B, _MORE_IN_A))
    return [f"#{stop}" for stop in below] + [theme(dark).ground] + [f"#{stop}" for stop in above]


def signed_rgb(values: NDArray[Any], largest: float, dark: bool) -> NDArray[np.uint8]:
    """Returns the colours of ``values`` (any shape) on a scale from ``-largest`` to ``largest``, with an axis for RGB.

    Colours are linear between the nine of `diverging`; values beyond the scale have the last one. Raises ``ValueError``
    if the scale is empty.
    """
    if not (np.isfinite(largest) and largest > 0):
        raise ValueError(f"the scale (-{largest} to {largest}) must not be empty")
    stops = np.array([_rgb(stop) for stop in diverging(dark)], np.float64)
    fractions = np.clip(np.asarray(values, np.float64) / largest, -1, 1)
    channels = [np.interp(fractions, np.linspace(-1, 1, len(stops)), stops[:, channel]) for channel in range(3)]
    return np.round(np.stack(channels, axis=-1)).astype(np.uint8)


def signed(amount: float) -> str:
    """Returns the number with two significant digits and its sign: +0.031, −0.20; "≈0" below 0.0001, "0" for 0."""
    if amount == 0:
        return "0"
    if abs(amount) < 0.0001:
        return "≈0"
    return ("+" if amount > 0 else "−") + short(abs(amount))


def signed_image(
    image: Pixels, tokens: Sequence[Token], values: NDArray[Any], largest: float, dark: bool = False,
    size: Size | None = None,
) -> Pixels:  # fmt: skip
    """Returns the image, pale and grey, under the colours of ``values`` ``[token]``. Patches with NaN are hatched.

    Formula, a channel: ``colour * (0.7 + 0.3 * grey)`` on a light page, ``1 - (1 - colour) * (1 - 0.2 * grey)`` on a
    dark one. Shapes as in `mmviz.figures.image.spotlight`.
    """
    height, width = image.shape[:2]
    full_width, full_height = (width, height) if size is None else size
    hatching = (np.add.outer(np.arange(height), np.arange(width)) // max(2, width // 60)) % 3 == 0
    colours = np.broadcast_to(signed_rgb(np.zeros(()), largest, dark), image.shape).astype(np.float64)
    colours[hatching] = _rgb(theme(dark).line)
    for token, value in zip(tokens, values, strict=True):
        if not isinstance(token.location, PixelBox) or not np.isfinite(value):
            continue
        for box in token.location.boxes:
            rows, columns = (
                slice(round(first * pixels / full), round(last * pixels / full))
                for first, last, pixels, full in (
                    (box.y0, box.y1, height, full_height),
                    (box.x0, box.x1, width, full_width),
                )
            )
            colours[rows, columns] = signed_rgb(np.asarray(value), largest, dark)
    grey = (image @ np.array([0.299, 0.587, 0.114]) / 255)[..., None]
    share = _IMAGE_SHARE[dark]
    shaded = 255 - (255 - colours) * (1 - share * grey) if dark else colours * (1 - share + share * grey)
    return np.asarray(np.round(shaded), np.uint8)


def signed_mel(
    mel: NDArray[Any], hop_seconds: float, tokens: Sequence[Token], values: NDArray[Any], largest: float
) -> Pixels:  # fmt: skip
    """Returns the spectrogram, pale and grey, under the colours of ``values`` ``[token]`` on a light page.

    Shapes: ``mel`` ``[mel, hop]`` in -1 .. 1; the result uint8 ``[mel, hop, 3]``, the lowest band first. Of tokens that
    share a hop, the value furthest from 0 counts.
    """
    hop_values = np.zeros(mel.shape[1])
    centres = (np.arange(mel.shape[1]) + 0.5) * hop_seconds
    for token, value in zip(tokens, values, strict=True):
        if isinstance(token.location, Seconds):
            is_inside = (centres >= token.location.start) & (centres < token.location.end)
            hop_values[is_inside & (np.abs(hop_values) < abs(value))] = value
    grey = np.clip((mel + 1) / 2, 0, 1)[..., None]
    share = _IMAGE_SHARE[False]
    shaded = signed_rgb(hop_values, largest, dark=False) * (1 - share + share * grey)
    return np.asarray(np.round(shaded), np.uint8)


def _rgb(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
