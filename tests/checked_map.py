"""The check of a map as most tests run it."""

from __future__ import annotations

from mmviz.capture import AttentionCall
from mmviz.capture.map_check import check_short_map
from mmviz.types import AttentionMap


def attention_map(
    attention: AttentionCall, layer: int, queries: str, keys: str, batch: int = 0
) -> tuple[AttentionMap, float]:
    """Returns the map of one sample, and its parity."""
    attn_map, check = check_short_map(attention, layer, queries, keys, batch)
    return attn_map, check.parity
