"""The transformer layer of `trio` and of the other bundled fusion models.

Axes: B batch, N query tokens, M key tokens, H heads, D width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Attention(nn.Module):
    """softmax(Q K^T / sqrt(d_k)) V over all tokens (Vaswani et al. 2017, section 3.2)."""

    def __init__(self, width: int, heads: int, tie_qk_init: bool):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        if tie_qk_init:
            # Similar tokens attend to each other from the start: one word seen, spoken and read has one direction in
            # the common space.
            self.key.load_state_dict(self.query.state_dict())
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, attn_mask: Tensor | None, context: Tensor | None = None) -> Tensor:
        """Returns the output ``[B, N, D]`` for queries ``x`` ``[B, N, D]`` and keys ``context`` ``[B, M, D]``.

        Without ``context`` this is self-attention. ``attn_mask`` ``[B, 1, 1, M]`` is added to the scores: 0 for valid
        keys, -inf for padding.
        """
        query, key, value = self.project(x, context)
        scores = (query / math.sqrt(query.shape[-1])) @ key.transpose(-2, -1)
        if attn_mask is not None:
            scores = scores + attn_mask.to(scores.dtype)
        weights = torch.softmax(scores, dim=-1)
        return self.join_heads(weights @ value)

    def project(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Returns queries ``[B, H, N, D / H]``, keys and values ``[B, H, M, D / H]``."""
        memory = x if context is None else context
        query, key, value = (
            projection(source).view(*source.shape[:2], self.heads, -1).transpose(1, 2)
            for projection, source in ((self.query, x), (self.key, memory), (self.value, memory))
        )
        return query, key, value

    def join_heads(self, attn_output: Tensor) -> Tensor:
        """Returns the output ``[B, N, D]`` for ``attn_output`` ``[B, H, N, D / H]``."""
        output: Tensor = self.output(attn_output.transpose(1, 2).flatten(2))
        return output


class Block(nn.Module):
    """Pre-norm transformer layer."""

    def __init__(self, width: int, heads: int, mlp_ratio: int, tie_qk_init: bool):
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = Attention(width, heads, tie_qk_init)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, mlp_ratio * width), nn.GELU(), nn.Linear(mlp_ratio * width, width))

    def forward(self, x: Tensor, attn_mask: Tensor | None, context: Tensor | None = None) -> Tensor:
        """Returns the tokens after the layer, ``[B, N, D]``, for ``x`` ``[B, N, D]``; the rest as in `Attention`."""
        memory = None if context is None else self.norm_attention(context)
        x = x + self.attention(self.norm_attention(x), attn_mask, memory)
        y: Tensor = x + self.mlp(self.norm_mlp(x))
        return y
