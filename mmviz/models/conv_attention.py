"""A small model of convolution and attention, to be trained from nothing within a minute: a picture in, one word out.

Two stages of 3 x 3 convolution, ReLU and 2 x 2 pooling make a grid of positions; an answer token and the positions
attend to each other once (Vaswani et al. 2017); what the answer token gathers is classified. Axes in the comments:
B batch, N = 1 + positions, D width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

SIDE = 40
"""Pixels of the picture's side."""
GRID = SIDE // 4
"""Positions along a side, after two poolings."""
FIRST, SECOND, KERNEL, POOL = 32, 64, 3, 2
"""Filters of the two convolutions, the side of a filter, and the side of what is pooled into one."""


class SelfAttention(nn.Module):
    """``softmax(Q K^T / sqrt(d_k)) V``, one head, every token asks all tokens."""

    def __init__(self, width: int):
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What every token gathers ``[B, N, D]``, and the weights ``[B, N, N]``: rows ask, each adds up to 1."""
        q, k, v = self.query(x), self.key(x), self.value(x)
        weights = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(q.shape[-1]), dim=-1)
        return weights @ v, weights


class ConvAttention(nn.Module):
    """Conv 32, pool, Conv 64, pool, self-attention with an answer token, a linear layer over ``classes``.

    Without places: a position is known by what the filters see there, so that attention can only go by what is seen.
    """

    def __init__(self, classes: int):
        super().__init__()
        self.see = nn.Sequential(
            nn.Conv2d(3, FIRST, KERNEL, padding=1), nn.ReLU(), nn.MaxPool2d(POOL),
            nn.Conv2d(FIRST, SECOND, KERNEL, padding=1), nn.ReLU(), nn.MaxPool2d(POOL),
        )  # fmt: skip
        self.answer = nn.Parameter(torch.zeros(SECOND))
        self.attention = SelfAttention(SECOND)
        self.classify = nn.Linear(SECOND, classes)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``[B, classes]`` and attention ``[B, N, N]``, token 0 the answer token, then the grid row by row.

        ``pictures`` float ``[B, 3, 40, 40]`` in -1 .. 1 (another side, a multiple of 4, makes another grid).
        """
        positions = self.see(pictures).flatten(2).transpose(1, 2)
        x = torch.cat([self.answer.expand(len(positions), 1, -1), positions], dim=1)
        gathered, weights = self.attention(x)
        return self.classify(gathered[:, 0]), weights
