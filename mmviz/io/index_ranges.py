"""Ascending numbers as text of an address or an option, such as ``3-5.9``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

_MAX_CHARS = 10
"""The longest form of a number."""


def read_group(text: str, count: int) -> tuple[int, ...] | None:
    """Returns the ascending indices below ``count`` that a text such as ``3-5.9`` names; None for any other text."""
    indices: list[int] = []
    if len(text) > _MAX_CHARS * count:
        return None
    for part in text.split("."):
        ends = [_read_number(end) for end in part.split("-")]
        first, last = ends[0], ends[-1]
        if first is None or last is None or len(ends) > 2 or last >= count or (len(ends) == 2 and first >= last):
            return None
        indices += range(first, last + 1)
    return tuple(indices) if all(index < after for index, after in pairwise(indices)) else None


def write_group(tokens: Sequence[int]) -> str:
    """Returns ascending indices as text, such as ``3-5.9``."""
    runs: list[list[int]] = []
    for token in tokens:
        if runs and token == runs[-1][-1] + 1:
            runs[-1].append(token)
        else:
            runs.append([token])
    return ".".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _read_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else None
