"""The measured model: six pre-norm layers of six heads, d = 384, with fused or with eager attention."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYERS, HEADS, SIZE = 6, 6, 384


class Layer(nn.Module):
    """Attention and an MLP four times as wide."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_attention, self.norm_mlp = nn.LayerNorm(SIZE), nn.LayerNorm(SIZE)
        self.qkv, self.output = nn.Linear(SIZE, 3 * SIZE), nn.Linear(SIZE, SIZE)
        self.mlp = nn.Sequential(nn.Linear(SIZE, 4 * SIZE), nn.GELU(), nn.Linear(4 * SIZE, SIZE))

    def forward(self, x: Tensor, options: dict[str, Any], kept: list[Tensor] | None) -> Tensor:
        """``kept``: list that eager attention appends its weights to; None for fused attention."""
        parts = self.qkv(self.norm_attention(x)).chunk(3, -1)
        query, key, value = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in parts)
        if kept is None:
            attn_output = F.scaled_dot_product_attention(query, key, value, **options)
        else:
            kept.append(eager(query, key, **options))
            attn_output = kept[-1] @ value
        x = x + self.output(attn_output.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm_mlp(x))


class Model(nn.Module):
    """`LAYERS` layers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, x: Tensor, options: dict[str, Any] | None = None, kept: list[Tensor] | None = None) -> Tensor:
        """``x`` ``[batch, token, 384]``; ``options`` are passed to attention, see `masks`."""
        for layer in self.layers:
            x = layer(x, options or {}, kept)
        return x


def eager(query: Tensor, key: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
    """Returns all weights, ``[batch, head, query, key]``: softmax(Q K^T / sqrt(d) + mask)."""
    scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
    if is_causal:
        scores.masked_fill_(torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1), -torch.inf)
    if attn_mask is not None:
        scores = (
            scores.masked_fill_(~attn_mask, -torch.inf) if attn_mask.dtype is torch.bool else scores.add_(attn_mask)
        )
    return scores.softmax(-1)


def masks(count: int) -> dict[str, dict[str, Any]]:
    """Returns options of attention by name: an eighth of the keys is padding; a bias has a value per query and key."""
    positions = torch.arange(count)
    return {
        "no mask": {},
        "causal": {"is_causal": True},
        "padding mask": {"attn_mask": (positions < count * 7 // 8).expand(1, 1, 1, count)},
        "bias": {"attn_mask": -(positions[:, None] - positions).abs()[None, None] / count},
    }
