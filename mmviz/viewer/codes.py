"""Amounts as 16-bit codes and back: four decimal digits, so that the digits shown are exactly the record's.

A plane has a ``decade`` e, the power of ten of its largest amount. With u = 10^(e - 9), a code c below 10,000 stands
for ``c * u``; above it, with ``k, r = divmod(c - 10000, 9000)``, for ``(1000 + r) * u * 10^(k + 1)``: 64,000 codes.
Amounts are rounded to these by decimal's ROUND_05UP, which keeps a mark of what it cuts: whoever rounds such a value
again, to three digits or to two, gets the same as from the amount itself. No amount above 0 becomes 0.
"""

from __future__ import annotations

from decimal import ROUND_05UP, Decimal, localcontext
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

PLAIN = 10_000
"""Codes below it count steps of u."""
POWER = 9_000
"""Codes for each further power of ten."""
POWERS = 6
BELOW = 9
"""Powers of ten from u up to the decade."""
_DOUBT = 1e-9
"""Four digits as a float64 are known to 4e-12; nearer than this to a whole number, they are worked out exactly."""


def encode(amounts: NDArray[Any]) -> tuple[NDArray[np.uint16], int]:
    """The codes of ``amounts`` and their decade.

    Shapes: any; float32 or float64, all 0 or more and finite. The decade of nothing but zeros is 0.
    Raises ``ValueError`` for an amount that is negative or not finite.
    """
    values = np.ascontiguousarray(amounts, dtype=np.float64).ravel()
    largest = float(values.max(initial=0.0))
    if not (np.isfinite(largest) and float(values.min(initial=0.0)) >= 0):
        raise ValueError("amounts to encode are 0 or more, and finite")
    if largest == 0:
        return np.zeros(amounts.shape, np.uint16), 0
    decade = Decimal(largest).adjusted()
    lowest = decade - BELOW
    power = np.zeros(len(values), np.int8)  # 0 for the codes below PLAIN, k + 1 for those above
    for k in range(POWERS):
        power += values >= 10.0 ** (lowest + 4 + k)
    digits = values * (10.0 ** -np.arange(lowest, lowest + POWERS + 1.0))[power]
    whole = np.floor(digits)
    cut = digits - whole
    codes = whole.astype(np.int32)
    codes += (codes % 5 == 0) & (cut > 0)
    codes += np.array([0, *(PLAIN - 1000 + POWER * np.arange(POWERS))], np.int32)[power]
    doubtful = np.flatnonzero(((cut < _DOUBT) | (cut > 1 - _DOUBT)) & (values > 0))
    if len(doubtful):
        found, where = np.unique(values[doubtful], return_inverse=True)
        codes[doubtful] = np.array([_exactly(float(value), lowest) for value in found], np.int32)[where]
    return codes.astype(np.uint16).reshape(amounts.shape), decade


def decode(codes: NDArray[np.uint16], decade: int) -> NDArray[np.float64]:
    """The amounts that ``codes`` stand for, float64 of the same shape; the nearest there is, for decades from -13."""
    return _values(decade)[codes]


@lru_cache(maxsize=16)
def _values(decade: int) -> NDArray[np.float64]:
    """What every code stands for, ``[64000]``."""
    plain = np.arange(PLAIN, dtype=np.float64)
    four = np.arange(1000, 1000 + POWER, dtype=np.float64)
    lowest = decade - BELOW
    return np.concatenate([_times(plain, lowest), *(_times(four, lowest + 1 + k) for k in range(POWERS))])


def _times(digits: NDArray[np.float64], power: int) -> NDArray[np.float64]:
    """``digits`` times a power of ten: one rounding, as powers of ten are exact up to 10^22."""
    return digits * 10.0**power if power >= 0 else digits / 10.0**-power


def _exactly(value: float, lowest: int) -> int:
    """The code of one amount, by decimal arithmetic."""
    with localcontext() as context:
        context.prec = 1100  # more digits than any float64 has
        steps = Decimal(value).scaleb(-lowest)
        power = max(0, steps.adjusted() - 3)
        digits = int(steps.scaleb(-power).quantize(Decimal(1), rounding=ROUND_05UP))
    return digits if power == 0 else PLAIN - 1000 + POWER * (power - 1) + digits
