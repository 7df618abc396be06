"""Models whose lens is known: one where an answer forms in a known layer, and one as people write them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import mmviz
from mmviz.types import Modality, Sample, Token

ANSWERS = ("cat", "dog", "fox", "owl")
CONTENT, PLACES = len(ANSWERS), 5
SHARP, SCALE = 60.0, 3.0
SOURCE = 2
"""The token that holds the answer, a dog."""
COPIES_AT = 2
"""The layer, from 1, in which the answering token, the first, attends to it."""


class CopyLayer(nn.Module):
    """Adds to the first token what the token at ``source`` holds, by attention; without a source nothing changes.

    States ``[1, token, CONTENT + PLACES]``: what a token holds, then a one for its place.
    """

    def __init__(self, source: int | None):
        super().__init__()
        self.source = source

    def forward(self, x: Tensor) -> Tensor:
        places = x[..., CONTENT:]
        wanted = torch.zeros(PLACES, PLACES)
        wanted[:, 0 if self.source is None else self.source] = SHARP
        weights = ((places @ wanted) @ places.mT).softmax(-1)
        moved = weights @ torch.cat([x[..., :CONTENT], torch.zeros_like(places)], -1)
        is_first = places[..., :1]
        return x + moved * is_first * (self.source is not None)


class UnitNorm(nn.Module):
    """Divides what a token holds by its length."""

    def forward(self, x: Tensor) -> Tensor:
        unit: Tensor = x / x[..., :CONTENT].norm(dim=-1, keepdim=True).clamp_min(1e-6)
        return unit


class Forming(nn.Module):
    """Three layers. The first token holds a cat, and the answer is a dog once layer `COPIES_AT` has run."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(CopyLayer(SOURCE if k + 1 == COPIES_AT else None) for k in range(3))
        self.final_norm = UnitNorm()
        self.answer_head = nn.Linear(CONTENT + PLACES, CONTENT, bias=False)
        with torch.no_grad():
            self.answer_head.weight.copy_(torch.cat([SCALE * torch.eye(CONTENT), torch.zeros(CONTENT, PLACES)], 1))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.answer_head(self.final_norm(x[:, 0]))
        return logits


def holdings() -> Tensor:
    """Returns what the tokens hold, ``[token, answer]``: half a cat, a fox, a dog, an owl, a cat."""
    rows = torch.eye(CONTENT)[[0, 2, 1, 3, 0]]
    rows[0] *= 0.5
    return rows


def prepare(sample: Sample) -> tuple[Tensor, list[Token]]:
    kinds = [Modality.SPECIAL, Modality.IMAGE, Modality.AUDIO, Modality.TEXT, Modality.TEXT]
    tokens = [Token(kind, f"token {k}") for k, kind in enumerate(kinds)]
    return torch.cat([holdings(), torch.eye(PLACES)], 1)[None], tokens


def forming(**options: Any) -> mmviz.CustomModel:
    return mmviz.CustomModel(Forming(), prepare, ANSWERS, name="forming", **options)


class Usual(nn.Module):
    """An encoder of torch with a final norm; ``pools``: the answer is read from the mean of all tokens."""

    def __init__(self, pools: bool = False) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.pools = pools
        self.embed = nn.Linear(3, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        states = self.norm(self.encoder(self.embed(x)))
        logits: Tensor = self.head(states.mean(1) if self.pools else states[:, 3])
        return logits


def usual(pools: bool = False, **options: Any) -> mmviz.CustomModel:
    numbers = torch.randn(1, 6, 3, generator=torch.Generator().manual_seed(2))
    words = [f"word{k}" for k in range(6)]
    return mmviz.CustomModel(Usual(pools), lambda sample: (numbers, words), ANSWERS, name="usual", **options)
