"""Error of overviews against eager attention in float64 on the same queries and keys."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from capture_timing import bin_means, uneven_edges
from model import HEADS, SIZE, eager
from torch import Tensor, nn

import mmviz

DTYPES = {"error, float32": torch.float32, "error, bfloat16": torch.bfloat16}
PEAKED = 6.0
"""Factor on the queries of half of the heads, which then attend to few keys."""


class Attention(nn.Module):
    """Fused attention and nothing else."""

    def forward(self, *tensors: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(*tensors)


def numeric_errors(count: int, with_eager: bool) -> dict[str, dict[str, float]]:
    """Returns by method and precision the largest error of a mean weight over all heads and bins."""
    edges = uneven_edges(count)
    mean = bin_means(edges).double()
    errors: dict[str, dict[str, float]] = {"mmviz": {}, "eager": {}}
    for name, dtype in DTYPES.items():
        query, key, value = (torch.randn(1, HEADS, count, SIZE // HEADS) for _ in range(3))
        query[:, HEADS // 2 :] *= PEAKED
        query, key, value = (part.to(dtype) for part in (query, key, value))
        attention = Attention()
        with mmviz.capture(attention) as result:
            attention(query, key, value)
        overview = torch.from_numpy(result.view(0).overview(edges, edges)).double()
        for head in range(HEADS):
            of_head = (query[0, head], key[0, head])
            true = mean @ eager(*(part.double() for part in of_head)) @ mean.T
            overviews = {"mmviz": overview[head]}
            if with_eager:
                overviews["eager"] = mean @ eager(*of_head).double() @ mean.T
            for method, values in overviews.items():
                errors[method][name] = max(errors[method].get(name, 0.0), float((values - true).abs().max()))
    return errors
