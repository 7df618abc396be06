"""How far overviews are from those of eager attention in float64, made of the same queries and keys."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from model import HEADS, SIZE, eager
from times import edges_of, means
from torch import Tensor, nn

import mmviz

DTYPES = {"error, float32": torch.float32, "error, bfloat16": torch.bfloat16}
PEAKED = 6.0
"""Half of the heads have scores so many times as large, and look at few keys."""


class Attention(nn.Module):
    """Fused attention and nothing else."""

    def forward(self, *tensors: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(*tensors)


def errors(count: int, with_eager: bool) -> dict[str, dict[str, float]]:
    """By way and precision, the largest difference of a mean weight over all heads and bins."""
    edges = edges_of(count)
    mean = means(edges).double()
    found: dict[str, dict[str, float]] = {"mmviz": {}, "eager": {}}
    for name, dtype in DTYPES.items():
        query, key, value = (torch.randn(1, HEADS, count, SIZE // HEADS) for _ in range(3))
        query[:, HEADS // 2 :] *= PEAKED
        query, key, value = (part.to(dtype) for part in (query, key, value))
        attention = Attention()
        with mmviz.capture(attention) as seen:
            attention(query, key, value)
        overview = torch.from_numpy(seen.view(0).overview(edges, edges)).double()
        for head in range(HEADS):
            one = (query[0, head], key[0, head])
            true = mean @ eager(*(part.double() for part in one)) @ mean.T
            made = {"mmviz": overview[head]}
            if with_eager:
                made["eager"] = mean @ eager(*one).double() @ mean.T
            for way, values in made.items():
                found[way][name] = max(found[way].get(name, 0.0), float((values - true).abs().max()))
    return found
