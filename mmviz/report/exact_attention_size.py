"""How much the queries, keys and log-sum-exp of a long run take, in words that are told before they are saved."""

from __future__ import annotations

from mmviz.figures.colour_scale import short
from mmviz.types import AttentionRecord

_UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def size_text(nbytes: float) -> str:
    """Returns a number of bytes with two digits and its unit, such as "18 MB"."""
    unit, size = next((pair for pair in _UNITS if nbytes >= pair[1]), ("bytes", 1.0))
    return f"{short(nbytes / size)} {unit}"


def size_per_token(record: AttentionRecord, nbytes: int) -> str:
    """Returns the `size_text` for each token of all streams."""
    return size_text(nbytes / sum(map(len, record.streams.values())))
