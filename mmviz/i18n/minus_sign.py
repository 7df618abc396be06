"""Numbers as text: the minus sign is a minus sign, not a hyphen, wherever people read it."""

from __future__ import annotations

import math
from numbers import Integral, Real

MINUS = "−"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def signed_text(value: float, digits: int = 2) -> str:
    """Returns a number with so many decimals and its sign, such as +0.50 or −2.96; never −0.00."""
    return f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", MINUS)


def scientific_text(value: float) -> str:
    """Returns a number that is not below 0, as in 2.1 × 10⁻⁷."""
    digits, power = f"{value:.1e}".split("e")
    return f"{digits} × 10{str(int(power)).translate(_SUPERSCRIPT)}"


class NegativeNumber(float):
    """A number below 0 that is formatted with `MINUS`, where a format is given; without sign where it rounds to 0."""

    def __format__(self, spec: str) -> str:
        text = super().__format__(spec)
        if not spec:
            return text
        is_zero = math.isfinite(self) and not any(digit in text for digit in "123456789")
        return text.replace("-", ("+" if "+" in spec else "") if is_zero else MINUS, 1)


def as_shown(value: object) -> object:
    """Returns a measured number below 0 as `NegativeNumber`; anything else, whole numbers too, as it is."""
    if isinstance(value, str | int):  # most are, and what follows takes long
        return value
    if isinstance(value, Real) and not isinstance(value, Integral) and value < 0:
        return NegativeNumber(value)
    return value
