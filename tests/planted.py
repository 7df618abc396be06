"""Models whose attention is known by construction: tokens are of a few kinds, and each kind attends to one other."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

KINDS, HEADS = 4, 2
SHARPNESS = 3.0


def kinds(count: int, seed: int = 0) -> Tensor:
    """Returns the kind of each token, ``[token]``; every kind occurs."""
    drawn = torch.randint(0, KINDS, (count,), generator=torch.Generator().manual_seed(seed))
    return torch.cat([torch.arange(KINDS), drawn])[:count]


def expected(kind: Tensor) -> NDArray[np.float64]:
    """Returns the weights computed on paper, ``[head, query, key]``.

    In head h, queries of kind c attend to keys of kind c + h + 1. Each of these n keys has e^s / (n e^s + rest), each
    of the other keys 1 / (n e^s + rest).
    """
    heads = []
    for head in range(HEADS):
        key_kind = (kind + head + 1) % KINDS
        weights = torch.where(kind[None] == key_kind[:, None], np.exp(SHARPNESS), 1.0).double()
        heads.append((weights / weights.sum(1, keepdim=True)).numpy())
    return np.stack(heads)


class Planted(nn.Module):
    """One layer of attention. ``implementation``: fused, grouped, einsum or matmul. Takes kinds ``[batch, token]``."""

    def __init__(self, implementation: str = "fused"):
        super().__init__()
        self.attention = PlantedAttention(implementation)

    def forward(self, kind: Tensor) -> Tensor:
        output: Tensor = self.attention(F.one_hot(kind, KINDS).float())
        return output


class PlantedAttention(nn.Module):
    """Queries are the kinds, shifted by one in the first head and by two in the second."""

    def __init__(self, implementation: str):
        super().__init__()
        self.implementation = implementation

    def forward(self, x: Tensor) -> Tensor:
        query = torch.stack([x.roll(head + 1, -1) for head in range(HEADS)], 1) * SHARPNESS
        key = x[:, None].expand(-1, HEADS, -1, -1)
        if self.implementation == "fused":
            return F.scaled_dot_product_attention(query, key, key, scale=1.0)
        if self.implementation == "grouped":
            return F.scaled_dot_product_attention(query, x[:, None], x[:, None], scale=1.0, enable_gqa=True)
        if self.implementation == "einsum":
            weights = torch.einsum("bhqd,bhkd->bhqk", query, key).softmax(-1)
            return torch.einsum("bhqk,bhkd->bhqd", weights, key)
        return (query @ key.transpose(-2, -1)).softmax(-1) @ key
