"""A model of 8,192 tokens whose attention is known by construction: 4,096 patches, 4,000 moments, 95 words, an answer.

Every token is of a kind, and asks one other kind: patches of a sixteenth of the picture ask that sixteenth of the sound
and the other way round, word k asks the patches of sixteenth k mod 16, the answer asks the words.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

import mmviz
from mmviz.models.custom import CustomModel
from mmviz.types import Modality, PixelBox, Sample, Seconds, Token

SIDE, MOMENTS, WORDS, PARTS = 64, 4000, 95, 16
LAYERS, HEADS, SIZE = 3, 2, 34
SHARPNESS = (7.0, 4.0)
"""Of each head; the layers are one like another."""
TOKENS = 1 + SIDE * SIDE + MOMENTS + WORDS


def kinds() -> tuple[Tensor, Tensor]:
    """The kind of each token, and the kind that it asks."""
    patch = torch.arange(SIDE * SIDE) * PARTS // (SIDE * SIDE)
    moment = torch.arange(MOMENTS) * PARTS // MOMENTS
    word = torch.full((WORDS,), 2 * PARTS)
    own = torch.cat([torch.tensor([2 * PARTS + 1]), patch, moment + PARTS, word])
    asked = torch.cat([torch.tensor([2 * PARTS]), patch + PARTS, moment, torch.arange(WORDS) % PARTS])
    return own, asked


def expected(query: int, head: int) -> NDArray[np.float64]:
    """What one query gives to every key, on paper."""
    own, asked = kinds()
    weights = torch.where(own == asked[query], np.exp(SHARPNESS[head]), 1.0).double()
    return (weights / weights.sum()).numpy()


class Layer(nn.Module):
    """Fused attention between the kinds; what it gives is not used."""

    def forward(self, own: Tensor, asked: Tensor) -> Tensor:
        key = F.one_hot(own, SIZE).float()[:, None].expand(-1, HEADS, -1, -1)
        query = F.one_hot(asked, SIZE).float()[:, None] * torch.tensor(SHARPNESS)[:, None, None]
        return F.scaled_dot_product_attention(query, key, key, scale=1.0)


class Long(nn.Module):
    """Three layers and two logits."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, own: Tensor, asked: Tensor) -> Tensor:
        found = sum(layer(own, asked) for layer in self.layers)
        return found[:, 0, 0, :2]


def tokens(sample: Sample) -> list[Token]:
    """Places for all tokens, in the picture and the sound that there are."""
    wide, high = (sample.image.width, sample.image.height) if sample.image else (SIDE, SIDE)
    seconds = sample.audio.seconds if sample.audio else 4.0
    across, down, long = wide / SIDE, high / SIDE, seconds / MOMENTS
    found = [Token(Modality.SPECIAL, "answer")]
    for row in range(SIDE):
        for column in range(SIDE):
            place = PixelBox(column * across, row * down, (column + 1) * across, (row + 1) * down)
            found.append(Token(Modality.IMAGE, f"patch {row}, {column}", place))
    found += [Token(Modality.AUDIO, f"moment {k}", Seconds(k * long, (k + 1) * long)) for k in range(MOMENTS)]
    return found + [Token(Modality.TEXT, f"word{k}") for k in range(WORDS)]


def prepare(sample: Sample) -> tuple[Any, list[Token]]:
    own, asked = kinds()
    return (own[None], asked[None]), tokens(sample)


def make() -> CustomModel:
    return mmviz.CustomModel(Long(), prepare, ["yes", "no"], name="long", trained=False)
