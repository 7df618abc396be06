"""From amounts of attention to colours and to printed numbers; every figure and legend goes through here.

A colour is always linear in the amount, from 0 to ``scale_max``; what lies above has the last colour, and the printed
range then says "and above".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.i18n.figures import tell
from mmviz.types import Token

DIMMEST = 0.25
"""The light that a place without attention keeps."""

_STOPS = "00224e 123570 3b496c 575d6d 707173 8a8678 a59c74 c3b369 e1cc55 fee838".split()
CIVIDIS = [f"#{stop}" for stop in _STOPS]
"""Ten evenly spaced colours of cividis (Nunez et al. 2018), perceptually uniform, the same for colour-blind eyes."""
_RGB = np.array([[int(stop[i : i + 2], 16) for i in (0, 2, 4)] for stop in _STOPS], dtype=np.float64)


def checked(tokens: Sequence[Token], amounts: NDArray[Any], scale_max: float) -> NDArray[np.float64]:
    """``amounts`` as float64 ``[token]``. Raises ``ValueError`` for amounts or a scale that make no sense."""
    if amounts.shape != (len(tokens),):
        raise ValueError(f"{len(tokens)} tokens need as many amounts, not {list(amounts.shape)}")
    if not np.isfinite(amounts).all() or not (np.isfinite(scale_max) and scale_max > 0):
        raise ValueError(f"amounts must be finite, and the scale (0 to {scale_max}) not empty")
    return np.asarray(amounts, dtype=np.float64)


def fraction(amounts: NDArray[Any], scale_max: float) -> NDArray[np.float64]:
    """Where ``amounts`` lie between 0 and ``scale_max``, kept within 0 .. 1; any shape."""
    return np.clip(np.asarray(amounts, dtype=np.float64) / scale_max, 0.0, 1.0)


def light(amounts: NDArray[Any], scale_max: float) -> NDArray[np.float64]:
    """The light on a place: linear from `DIMMEST` (amount 0) to 1 (``scale_max``); any shape."""
    return DIMMEST + (1 - DIMMEST) * fraction(amounts, scale_max)


def cividis(fractions: NDArray[Any]) -> NDArray[np.uint8]:
    """The colours of ``fractions`` (0 .. 1, any shape): uint8, one more axis of red, green, blue."""
    stops = np.linspace(0, 1, len(_RGB))
    channels = [np.interp(fractions, stops, _RGB[:, channel]) for channel in range(3)]
    return np.round(np.stack(channels, axis=-1)).astype(np.uint8)


def hex_colour(amount: float, scale_max: float) -> str:
    """The cividis colour of one amount, ``#rrggbb``."""
    return "#" + bytes(cividis(fraction(np.array(amount), scale_max))).hex()


def contrast(one: str, other: str) -> float:
    """Contrast of two ``#rrggbb`` colours, 1 .. 21 (WCAG 2.1; AA asks for 4.5)."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def ink(ground: str) -> str:
    """Black or white, whichever reads better on ``ground``; one of the two always reaches AA."""
    return max(("#000000", "#ffffff"), key=lambda colour: contrast(colour, ground))


def short(amount: float) -> str:
    """Two digits that count: 0.31, 0.0042; "<0.0001" for less, "0" for none."""
    if amount == 0:
        return "0"
    if abs(amount) < 0.0001:
        return "<0.0001"
    return f"{amount:.0f}" if abs(amount) >= 9.95 else f"{amount:#.2g}"


def exact(amount: float) -> str:
    """Six digits that count."""
    return f"{amount:.6g}"


def range_words(scale_max: float, amounts: NDArray[Any]) -> str:
    """The printed range of a scale: ``0 to 0.31``, with "and above" where an amount lies beyond it."""
    return tell("range-beyond" if beyond(amounts, scale_max) else "range", most=short(scale_max))


def beyond(amounts: NDArray[Any], scale_max: float) -> bool:
    """Whether an amount lies above the scale by more than rounding."""
    return bool((np.asarray(amounts) > scale_max * (1 + 1e-6)).any())


def _luminance(colour: str) -> float:
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))
