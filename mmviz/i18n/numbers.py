"""Numbers as text."""

from __future__ import annotations


def signed_text(value: float) -> str:
    """Returns a number with two decimals and its sign, never -0.00."""
    return f"{round(value, 2) + 0.0:+.2f}"
