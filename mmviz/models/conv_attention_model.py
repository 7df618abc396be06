"""A small model of convolution and attention that is trained from scratch within a minute: image in, one word out.

Two stages of 3 x 3 convolution, ReLU and 2 x 2 pooling make a grid of positions; an answer token and the positions
attend to each other once (Vaswani et al. 2017); the output of the answer token is classified. Axes: B batch,
N = 1 + positions, D width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

SIDE = 40
"""Pixels along one side of the image."""
GRID = SIDE // 4
"""Positions along one side, after two poolings."""
FIRST, SECOND, KERNEL, POOL = 32, 64, 3, 2
"""Filters of the two convolutions, the side of a filter, and the side of a pooling window."""


class SelfAttention(nn.Module):
    """``softmax(Q K^T / sqrt(d_k)) V``, one head, every token attends to all tokens."""

    def __init__(self, width: int):
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the output ``[B, N, D]`` and the attention weights ``[B, query, key]``, whose rows sum to 1."""
        q, k, v = self.query(x), self.key(x), self.value(x)
        weights = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(q.shape[-1]), dim=-1)
        return weights @ v, weights


class ConvAttention(nn.Module):
    """Conv 32, pool, Conv 64, pool, self-attention with an answer token, a linear layer over ``classes``.

    There are no position embeddings: attention depends on the features of a position alone.
    """

    def __init__(self, classes: int):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, FIRST, KERNEL, padding=1), nn.ReLU(), nn.MaxPool2d(POOL),
            nn.Conv2d(FIRST, SECOND, KERNEL, padding=1), nn.ReLU(), nn.MaxPool2d(POOL),
        )  # fmt: skip
        self.answer = nn.Parameter(torch.zeros(SECOND))
        self.attention = SelfAttention(SECOND)
        self.classifier = nn.Linear(SECOND, classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Returns logits ``[B, classes]`` and attention weights ``[B, N, N]``.

        ``images`` float ``[B, 3, 40, 40]``, -1 .. 1; another side, a multiple of 4, gives another grid. Token 0 is the
        answer token; the positions follow, row by row.
        """
        positions = self.features(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.answer.expand(len(positions), 1, -1), positions], dim=1)
        attn_output, weights = self.attention(x)
        return self.classifier(attn_output[:, 0]), weights
