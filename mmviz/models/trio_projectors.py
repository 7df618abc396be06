"""From the features of the frozen encoders to tokens in the common space of `trio`.

Axes: B batch, P patches (144), F frames (50), D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmviz.models.encoders.picture_encoder import FEATURES, FIFTH, LAST
from mmviz.models.encoders.sound_encoder import WIDTH as SOUND_FEATURES

POOLED = 4
"""Tokens of the sound encoder, 20 ms each, whose mean is a frame."""
_HIDDEN, _DROPOUT = 512, 0.15


class PatchProjection(nn.Module):
    """Features of patches ``[B, P, 768]`` and the words that the classifier says ``[B, P, D]`` to ``[B, P, D]``.

    A two-layer MLP on each patch by itself; the words are added, so that what a photograph shows is in the token even
    where the MLP, which learns from drawings, does not know it.
    """

    def __init__(self, width: int):
        super().__init__()
        self.norm_last, self.norm_fifth = nn.LayerNorm(LAST), nn.LayerNorm(FIFTH)
        self.dropout = nn.Dropout(_DROPOUT)
        self.hidden = nn.Linear(FEATURES, _HIDDEN)
        self.output = nn.Linear(_HIDDEN, width)
        self.words = nn.Parameter(torch.ones(()))

    def forward(self, features: Tensor, words: Tensor) -> Tensor:
        """Returns the tokens of the patches, ``[B, P, D]``."""
        last, fifth = torch.split(features, [LAST, FIFTH], -1)
        x = self.dropout(torch.cat([self.norm_last(last), self.norm_fifth(fifth)], -1))
        tokens: Tensor = self.output(self.dropout(functional.gelu(self.hidden(x)))) + self.words * words
        return tokens


class FrameProjection(nn.Module):
    """Features of frames ``[B, F, 384]``, see `pooled_frames`, to ``[B, F, D]``; a frame sees the two beside it."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(SOUND_FEATURES)
        self.dropout = nn.Dropout(_DROPOUT)
        self.hidden = nn.Conv1d(SOUND_FEATURES, _HIDDEN, 3, padding=1)
        self.output = nn.Linear(_HIDDEN, width)

    def forward(self, features: Tensor) -> Tensor:
        """Returns the tokens of the frames, ``[B, F, D]``."""
        x = self.dropout(self.norm(features)).transpose(1, 2)
        tokens: Tensor = self.output(self.dropout(functional.gelu(self.hidden(x).transpose(1, 2))))
        return tokens


def pooled_frames(tokens: Tensor) -> Tensor:
    """Returns the mean of every four tokens of the sound encoder, ``[B, 200, 384]`` to ``[B, 50, 384]``."""
    return tokens.reshape(len(tokens), -1, POOLED, tokens.shape[2]).mean(2)
