"""What attention costs as inputs get longer: counts on paper, and lines through what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

LAYERS, HEADS, SIZE = 6, 4, 48
"""The bundled model's layers, heads and d_k."""
SIZES = (128, 256, 512, 1_024, 2_048, 4_096)
LARGE = 512
"""From so many tokens on, what does not grow with them hardly counts any more."""


def map_bytes(tokens: int, layers: int = LAYERS, heads: int = HEADS) -> int:
    """Bytes of all attention weights of a model, float32: one for each layer, head, query and key."""
    return 4 * layers * heads * tokens**2


def exponent(tokens: Sequence[int], amounts: Sequence[float]) -> float | None:
    """The power of the tokens with which ``amounts`` grow, from `LARGE` tokens on: the slope of their logarithms, by
    least squares. None of fewer than two."""
    large = [(one, amount) for one, amount in zip(tokens, amounts, strict=True) if one >= LARGE]
    if len(large) < 2:
        return None
    x, y = np.log(np.array(large, dtype=np.float64)).T
    return float(np.polyfit(x, y, 1)[0])


def on_square(wanted: int, tokens: Sequence[int], amounts: Sequence[float]) -> float:
    """What ``wanted`` tokens take: between two that were measured (``tokens``, ascending) on the line of their
    logarithms; beyond the last as the square, since every token is compared with every other; the first for fewer."""
    if wanted > tokens[-1]:
        return amounts[-1] * (wanted / tokens[-1]) ** 2
    return float(np.exp(np.interp(np.log(wanted), np.log(tokens), np.log(amounts))))


def on_line(wanted: int, tokens: Sequence[int], amounts: Sequence[float]) -> float:
    """What ``wanted`` tokens take of something that grows along a straight line from `LARGE` tokens on; within what was
    measured as `on_square`. NaN where too little was measured to draw that line."""
    if wanted <= tokens[-1]:
        return on_square(wanted, tokens, amounts)
    if len(tokens) < 2 or tokens[-2] <= LARGE:
        return math.nan
    slope = (amounts[-1] - amounts[-2]) / (tokens[-1] - tokens[-2])
    return amounts[-1] + slope * (wanted - tokens[-1])
