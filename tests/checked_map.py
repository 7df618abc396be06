"""The gate as most tests ask it."""

from __future__ import annotations

from mmviz.capture import AttentionCall
from mmviz.capture.map_check import check_short_map
from mmviz.types import AttentionMap


def attention_map(
    heard: AttentionCall, layer: int, queries: str, keys: str, batch: int = 0
) -> tuple[AttentionMap, float]:
    """The map of one sample, and its parity."""
    found, checked = check_short_map(heard, layer, queries, keys, batch)
    return found, checked.parity
