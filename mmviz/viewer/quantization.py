"""16-bit quantization of attention weights, in base 10: four significant digits, so that printed digits are exact.

A map has a ``decade`` e, the power of ten of its largest weight. With the unit u = 10^(e - 9), a code c below 10,000
stands for ``c * u``; above it, with ``k, r = divmod(c - 10000, 9000)``, for ``(1000 + r) * u * 10^(k + 1)``. There are
64,000 codes.

Weights are rounded to the next code by decimal's ROUND_05UP, which leaves a mark of what it cuts off: rounding the
result again, to three digits or to two, gives the same digits as rounding the weight itself. No weight above 0
becomes 0.
"""

from __future__ import annotations

from decimal import ROUND_05UP, Decimal, localcontext
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

LINEAR = 10_000
"""Codes below it count units u."""
PER_DECADE = 9_000
"""Codes for each further power of ten."""
DECADES = 6
"""Powers of ten above the linear codes."""
UNIT_EXPONENT = 9
"""Powers of ten from u up to the decade."""
_TOLERANCE = 1e-9
"""Four digits as a float64 are known to 4e-12; nearer than this to an integer, they are computed in decimal."""


def encode(amounts: NDArray[Any]) -> tuple[NDArray[np.uint16], int]:
    """Returns the codes of ``amounts``, uint16 of the same shape, and their decade, which is 0 where all are 0.

    ``amounts``: float32 or float64 of any shape. Raises ``ValueError`` for an amount that is negative or not finite.
    """
    values = np.ascontiguousarray(amounts, dtype=np.float64).ravel()
    largest = float(values.max(initial=0.0))
    if not (np.isfinite(largest) and float(values.min(initial=0.0)) >= 0):
        raise ValueError("amounts to encode are 0 or more, and finite")
    if largest == 0:
        return np.zeros(amounts.shape, np.uint16), 0
    decade = Decimal(largest).adjusted()
    lowest = decade - UNIT_EXPONENT
    power = np.zeros(len(values), np.int8)  # 0 for linear codes, k + 1 for those above
    for k in range(DECADES):
        power += values >= 10.0 ** (lowest + 4 + k)
    digits = values * (10.0 ** -np.arange(lowest, lowest + DECADES + 1.0))[power]
    whole = np.floor(digits)
    remainder = digits - whole
    codes = whole.astype(np.int32)
    codes += (codes % 5 == 0) & (remainder > 0)
    codes += np.array([0, *(LINEAR - 1000 + PER_DECADE * np.arange(DECADES))], np.int32)[power]
    uncertain = np.flatnonzero(((remainder < _TOLERANCE) | (remainder > 1 - _TOLERANCE)) & (values > 0))
    if len(uncertain):
        unique, inverse = np.unique(values[uncertain], return_inverse=True)
        codes[uncertain] = np.array([_exact_code(float(value), lowest) for value in unique], np.int32)[inverse]
    return codes.astype(np.uint16).reshape(amounts.shape), decade


def decode(codes: NDArray[np.uint16], decade: int) -> NDArray[np.float64]:
    """Returns the amounts of ``codes``, float64 of the same shape: the nearest doubles, for decades from -13."""
    return _table(decade)[codes]


@lru_cache(maxsize=16)
def _table(decade: int) -> NDArray[np.float64]:
    """Returns the amount of every code, ``[64000]``."""
    linear = np.arange(LINEAR, dtype=np.float64)
    four_digits = np.arange(1000, 1000 + PER_DECADE, dtype=np.float64)
    lowest = decade - UNIT_EXPONENT
    return np.concatenate([_scaled(linear, lowest), *(_scaled(four_digits, lowest + 1 + k) for k in range(DECADES))])


def _scaled(digits: NDArray[np.float64], power: int) -> NDArray[np.float64]:
    """Returns ``digits`` times 10^``power``, rounded once, as powers of ten are exact up to 10^22."""
    return digits * 10.0**power if power >= 0 else digits / 10.0**-power


def _exact_code(value: float, lowest: int) -> int:
    """Returns the code of one amount, by decimal arithmetic."""
    with localcontext() as context:
        context.prec = 1100  # more digits than any float64 has
        units = Decimal(value).scaleb(-lowest)
        power = max(0, units.adjusted() - 3)
        digits = int(units.scaleb(-power).quantize(Decimal(1), rounding=ROUND_05UP))
    return digits if power == 0 else LINEAR - 1000 + PER_DECADE * (power - 1) + digits
