"""The cost of attention by the number of tokens: bytes by formula, and extrapolations of what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

LAYERS, HEADS, SIZE = 6, 4, 48
"""Layers, heads and d_k of the bundled model."""
SIZES = (128, 256, 512, 1_024, 2_048, 4_096)
"""Numbers of tokens that are measured."""
LARGE = 512
"""From so many tokens on, fixed costs hardly count."""


def map_bytes(tokens: int, layers: int = LAYERS, heads: int = HEADS) -> int:
    """Returns the bytes of all attention weights of a model, float32: one for each layer, head, query and key."""
    return 4 * layers * heads * tokens**2


def exponent(tokens: Sequence[int], amounts: Sequence[float]) -> float | None:
    """Returns the power of the number of tokens with which ``amounts`` grow.

    It is the slope of their logarithms by least squares, over `LARGE` tokens and more; None for fewer than two of
    these.
    """
    large = [(count, amount) for count, amount in zip(tokens, amounts, strict=True) if count >= LARGE]
    if len(large) < 2:
        return None
    x, y = np.log(np.array(large, dtype=np.float64)).T
    return float(np.polyfit(x, y, 1)[0])


def quadratic_estimate(count: int, tokens: Sequence[int], amounts: Sequence[float]) -> float:
    """Returns the estimated amount for ``count`` tokens of something that grows with their square.

    ``amounts`` were measured at ``tokens``, ascending. Between them it interpolates the logarithms; beyond the last it
    grows with the square, since every query is compared with every key; below the first it returns the first.
    """
    if count > tokens[-1]:
        return amounts[-1] * (count / tokens[-1]) ** 2
    return float(np.exp(np.interp(np.log(count), np.log(tokens), np.log(amounts))))


def linear_estimate(count: int, tokens: Sequence[int], amounts: Sequence[float]) -> float:
    """Returns the estimated amount for ``count`` tokens of something that grows linearly from `LARGE` tokens on.

    Within what was measured it interpolates as `quadratic_estimate` does. Returns NaN where fewer than two amounts
    above `LARGE` tokens were measured.
    """
    if count <= tokens[-1]:
        return quadratic_estimate(count, tokens, amounts)
    if len(tokens) < 2 or tokens[-2] <= LARGE:
        return math.nan
    slope = (amounts[-1] - amounts[-2]) / (tokens[-1] - tokens[-2])
    return amounts[-1] + slope * (count - tokens[-1])
