"""The model that is measured: six pre-norm layers of six heads, d = 384, with fused or with eager attention."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYERS, HEADS, SIZE = 6, 6, 384


class Layer(nn.Module):
    """Attention and a perceptron four times as wide."""

    def __init__(self) -> None:
        super().__init__()
        self.before_attention, self.before_rest = nn.LayerNorm(SIZE), nn.LayerNorm(SIZE)
        self.parts, self.output = nn.Linear(SIZE, 3 * SIZE), nn.Linear(SIZE, SIZE)
        self.rest = nn.Sequential(nn.Linear(SIZE, 4 * SIZE), nn.GELU(), nn.Linear(4 * SIZE, SIZE))

    def forward(self, x: Tensor, options: dict[str, Any], kept: list[Tensor] | None) -> Tensor:
        """``kept``: where eager attention leaves its weights; None for fused attention."""
        parts = self.parts(self.before_attention(x)).chunk(3, -1)
        query, key, value = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in parts)
        if kept is None:
            mixed = F.scaled_dot_product_attention(query, key, value, **options)
        else:
            kept.append((query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5).softmax(-1))
            mixed = kept[-1] @ value
        x = x + self.output(mixed.transpose(1, 2).flatten(2))
        return x + self.rest(self.before_rest(x))


class Model(nn.Module):
    """`LAYERS` layers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, x: Tensor, options: dict[str, Any] | None = None, kept: list[Tensor] | None = None) -> Tensor:
        """``x`` ``[batch, token, 384]``; ``options`` go to the fused kernel."""
        for layer in self.layers:
            x = layer(x, options or {}, kept)
        return x


def masks(count: int) -> dict[str, dict[str, Any]]:
    """Options of the fused kernel, by name."""
    real = torch.arange(count) < count * 7 // 8
    return {
        "no mask": {},
        "causal": {"is_causal": True},
        "padding mask": {"attn_mask": real.expand(1, 1, count, count)},
        "bias": {"attn_mask": torch.linspace(-1, 1, count).expand(1, 1, count, count).contiguous()},
    }
