"""From amounts to colours, brightness and printed numbers, the same for every figure and legend.

Colours are linear in the amount, from 0 to ``scale_max``. Larger amounts have the last colour, and the printed range
then says "and above".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.i18n.figures import tell
from mmviz.types import Token, is_unlocated_word

MIN_BRIGHTNESS = 0.4
"""Brightness of a location with the amount 0."""

_STOPS = "00224e 123570 3b496c 575d6d 707173 8a8678 a59c74 c3b369 e1cc55 fee838".split()
CIVIDIS = [f"#{stop}" for stop in _STOPS]
"""Ten evenly spaced colours of cividis (Nunez et al. 2018), perceptually uniform and safe for colour-blind readers."""
_RGB = np.array([[int(stop[i : i + 2], 16) for i in (0, 2, 4)] for stop in _STOPS], dtype=np.float64)


def checked_amounts(tokens: Sequence[Token], amounts: NDArray[Any], scale_max: float) -> NDArray[np.float64]:
    """Returns ``amounts`` as float64 ``[token]``.

    Raises ``ValueError`` if there is not one finite amount for each token, or if ``scale_max`` is not above 0.
    """
    if amounts.shape != (len(tokens),):
        raise ValueError(f"{len(tokens)} tokens need as many amounts, not {list(amounts.shape)}")
    if not np.isfinite(amounts).all() or not (np.isfinite(scale_max) and scale_max > 0):
        raise ValueError(f"amounts must be finite, and the scale (0 to {scale_max}) not empty")
    return np.asarray(amounts, dtype=np.float64)


def fraction(amounts: NDArray[Any], scale_max: float) -> NDArray[np.float64]:
    """Returns ``amounts / scale_max``, clipped to 0 .. 1, of any shape."""
    return np.clip(np.asarray(amounts, dtype=np.float64) / scale_max, 0.0, 1.0)


def brightness(amounts: NDArray[Any], scale_max: float) -> NDArray[np.float64]:
    """Returns brightness, linear from `MIN_BRIGHTNESS` (amount 0) to 1 (``scale_max``), of any shape."""
    return MIN_BRIGHTNESS + (1 - MIN_BRIGHTNESS) * fraction(amounts, scale_max)


def cividis(fractions: NDArray[Any]) -> NDArray[np.uint8]:
    """Returns the colours of ``fractions`` (0 .. 1, any shape), uint8 with one more axis of red, green, blue."""
    stops = np.linspace(0, 1, len(_RGB))
    channels = [np.interp(fractions, stops, _RGB[:, channel]) for channel in range(3)]
    return np.round(np.stack(channels, axis=-1)).astype(np.uint8)


def hex_colour(amount: float, scale_max: float) -> str:
    """Returns the cividis colour of one amount, ``#rrggbb``."""
    return "#" + bytes(cividis(fraction(np.array(amount), scale_max))).hex()


def contrast(first: str, second: str) -> float:
    """Returns the contrast of two ``#rrggbb`` colours, 1 .. 21 (WCAG 2.1; level AA needs 4.5)."""
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def text_colour(ground: str) -> str:
    """Returns black or white, whichever has more contrast with ``ground``. It always reaches level AA."""
    return max(("#000000", "#ffffff"), key=lambda colour: contrast(colour, ground))


def short(amount: float) -> str:
    """Returns the number with two significant digits, such as 0.31 or 0.0042; "<0.0001" below that, "0" for 0."""
    if amount == 0:
        return "0"
    if abs(amount) < 0.0001:
        return "<0.0001"
    return f"{amount:.0f}" if abs(amount) >= 9.95 else f"{amount:#.2g}"


def exact(amount: float) -> str:
    """Returns the number with six significant digits."""
    return f"{amount:.6g}"


def range_text(scale_max: float, amounts: NDArray[Any]) -> str:
    """Returns the range of a scale, such as "0 to 0.31", with "and above" if an amount exceeds it."""
    return tell("range-beyond" if exceeds_scale(amounts, scale_max) else "range", most=short(scale_max))


def largest_drawn(tokens: Sequence[Token], amounts: NDArray[Any]) -> float:
    """Returns the amount furthest from 0, without its sign, of the tokens that are drawn on an input.

    Where those are all 0, that of all tokens; 1 where every amount is 0.
    """
    sizes = np.abs(np.asarray(amounts, np.float64))
    drawn = [k for k, token in enumerate(tokens) if token.location is not None or is_unlocated_word(token)]
    return float(sizes[drawn].max(initial=0)) or float(sizes.max(initial=0)) or 1.0


def exceeds_scale(amounts: NDArray[Any], scale_max: float) -> bool:
    """Returns whether an amount is above ``scale_max`` by more than rounding."""
    return bool((np.asarray(amounts) > scale_max * (1 + 1e-6)).any())


def _luminance(colour: str) -> float:
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))
