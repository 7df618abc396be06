"""Models whose attention is known by construction: tokens of a few kinds, each kind of which asks one other kind."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

KINDS, HEADS = 4, 2
SHARPNESS = 3.0


def kinds(count: int, seed: int = 0) -> Tensor:
    """A kind for each token, all of them there."""
    drawn = torch.randint(0, KINDS, (count,), generator=torch.Generator().manual_seed(seed))
    return torch.cat([torch.arange(KINDS), drawn])[:count]


def expected(kind: Tensor) -> NDArray[np.float64]:
    """The weights on paper, ``[head, query, key]``: a query of kind c asks, in head h, keys of kind c + h + 1. Each of
    these n has e^s / (n e^s + rest), each of the rest 1 / (n e^s + rest)."""
    found = []
    for head in range(HEADS):
        asked = (kind + head + 1) % KINDS
        match = kind[None] == asked[:, None]
        weights = torch.where(match, np.exp(SHARPNESS), 1.0).double()
        found.append((weights / weights.sum(1, keepdim=True)).numpy())
    return np.stack(found)


class Planted(nn.Module):
    """One layer; ``how``: by which code the attention is computed. Takes kinds ``[batch, token]``."""

    def __init__(self, how: str = "fused"):
        super().__init__()
        self.how = how
        self.attention = PlantedAttention(how)

    def forward(self, kind: Tensor) -> Tensor:
        found: Tensor = self.attention(F.one_hot(kind, KINDS).float())
        return found


class PlantedAttention(nn.Module):
    """Queries are the kinds, moved on by one in the first head and by two in the second."""

    def __init__(self, how: str):
        super().__init__()
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        query = torch.stack([x.roll(head + 1, -1) for head in range(HEADS)], 1) * SHARPNESS
        key = x[:, None].expand(-1, HEADS, -1, -1)
        if self.how == "fused":
            return F.scaled_dot_product_attention(query, key, key, scale=1.0)
        if self.how == "grouped":
            return F.scaled_dot_product_attention(query, x[:, None], x[:, None], scale=1.0, enable_gqa=True)
        if self.how == "einsum":
            weights = torch.einsum("bhqd,bhkd->bhqk", query, key).softmax(-1)
            return torch.einsum("bhqk,bhkd->bhqd", weights, key)
        return (query @ key.transpose(-2, -1)).softmax(-1) @ key
