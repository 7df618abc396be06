"""The gate: what every map must pass before it becomes part of a record. Torch ends here."""

from __future__ import annotations

import torch

from mmviz.capture.exact import Exact
from mmviz.capture.heard import Heard
from mmviz.types import AttentionMap, CaptureError

PARITY = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
"""Largest difference between A.V and what the module used, relative to the largest value."""


def attention_map(heard: Heard, layer: int, queries: str, keys: str, row: int = 0) -> tuple[AttentionMap, float]:
    """The map of one heard attention for batch ``row``, and its measured parity (a relative difference).

    Raises ``CaptureError``: not 4-D, key count unlike the values', rows that do not sum to 1, or A.V that does not
    reproduce the module's own output.
    """
    if heard.weights is not None and heard.weights.ndim != 4:
        raise CaptureError("map-shape", name=heard.module, shape=tuple(heard.weights.shape))
    exact = Exact(heard, row).full()
    value, mixed = (tensor[row].detach().double().cpu() for tensor in (heard.value, heard.mixed))
    if value.shape[-2] != exact.shape[-1]:
        raise CaptureError("map-keys", name=heard.module, keys=exact.shape[-1], values=value.shape[-2])
    weights = torch.from_numpy(exact).double()
    value = value.repeat_interleave(weights.shape[0] // value.shape[0], 0)
    scale = max(float(mixed.abs().max()), 1e-30)
    parity = float((torch.matmul(weights, value) - mixed).abs().max()) / scale
    if not parity <= PARITY[heard.dtype]:
        raise CaptureError("map-parity", name=heard.module, parity=parity)
    return AttentionMap(heard.module, layer, queries, keys, exact, heard.dtype), parity
