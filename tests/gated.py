"""The gate as most tests ask it."""

from __future__ import annotations

from mmviz.capture import Heard
from mmviz.capture.gate import gate_short
from mmviz.types import AttentionMap


def attention_map(heard: Heard, layer: int, queries: str, keys: str, batch: int = 0) -> tuple[AttentionMap, float]:
    """The map of one sample, and its parity."""
    found, checked = gate_short(heard, layer, queries, keys, batch)
    return found, checked.parity
