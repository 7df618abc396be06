"""A model of three modalities whose effects are computed on paper, and tokens for it.

Every modality of a sample has one token with a number: image 2, text 1, audio -1. Two heads attend uniformly to all
tokens; head 0 outputs `HEADS[0]` and head 1 `HEADS[1]`, whatever they attend to. The logits are ``[z, 0]`` with z the
sum of the numbers and of the heads' outputs, so that the probability of "yes" is the logistic function of z.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mmviz.models import Prepared
from mmviz.types import Card, Modality, Sample, Token

NUMBERS = {Modality.IMAGE: 2.0, Modality.TEXT: 1.0, Modality.AUDIO: -1.0}
HEADS = (1.5, -0.5)


class PaperHeads(nn.Module):
    """Two heads with uniform weights, as their query is 0, over values that are all equal."""

    def forward(self, numbers: Tensor) -> Tensor:
        keys = numbers[:, None, :, None].expand(-1, len(HEADS), -1, -1)
        weights = torch.softmax(torch.zeros(1, len(HEADS), 1, 1) @ keys.mT, -1)
        values = torch.tensor(HEADS)[None, :, None, None].expand(1, -1, numbers.shape[1], 1)
        return (weights @ values)[0, :, 0, 0]


class PaperNet(nn.Module):
    """Numbers in, two logits out."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = PaperHeads()

    def forward(self, numbers: Tensor) -> Tensor:
        return torch.stack([numbers.sum() + self.heads(numbers).sum(), torch.zeros(())])


class Paper:
    """`PaperNet` as a model of mmviz. It runs one sample at a time."""

    capture_targets = None

    def __init__(self) -> None:
        self.module = PaperNet().eval()
        self.card = Card("paper", "paper", "Known on paper.", True, ("yes", "no"), "none")

    def prepare(self, sample: Sample) -> Prepared:
        parts = dict(zip(NUMBERS, (sample.image, sample.text, sample.audio), strict=True))
        modalities = [modality for modality, part in parts.items() if part is not None]
        tokens = [Token(Modality.SPECIAL, "answer"), *(Token(modality, str(modality)) for modality in modalities)]
        numbers = torch.tensor([[0.0, *(NUMBERS[modality] for modality in modalities)]])
        return Prepared(numbers, {"query": tokens[:1], "keys": tokens})

    def __call__(self, tensors: Any) -> Tensor:
        logits: Tensor = self.module(tensors)
        return logits
