"""Models of one's own in which what carries the answer, who reads it and in which layer are known on paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mmviz
from mmviz.types import Chars, Modality, PixelBox, Sample, Seconds, Token

SHARP = 60.0
SIDE, WORDS, MOMENTS = 3, 3, 4
ANSWER_AT, PATCH, WORD, MOMENT = 0, 1, 1 + SIDE**2, 1 + SIDE**2 + WORDS
"""Indices of the answer token, and of the first patch, word and moment."""
COUNT = MOMENT + MOMENTS
Reads = Mapping[int, int]
"""Query -> the one key that it attends to; any other token attends to itself."""


class Read(nn.Module):
    """Adds to the value of each token that of the one token which it attends to; a token adds nothing of itself."""

    scores: Tensor

    def __init__(self, reads: Reads):
        super().__init__()
        scores = torch.eye(COUNT) * SHARP
        for query, key in reads.items():
            scores[query] = 0
            scores[query, query] = -SHARP
            scores[query, key] = SHARP
        self.register_buffer("scores", scores)
        self.readers = sorted(reads)

    def forward(self, x: Tensor) -> Tensor:
        names, value = x[..., :COUNT], x[..., COUNT:]
        read = F.scaled_dot_product_attention((names @ self.scores)[:, None], names[:, None], value[:, None], scale=1.0)
        reads = torch.zeros(COUNT, 1)
        reads[self.readers] = 1
        return torch.cat([names, value + read[:, 0] * reads], -1)


class Planted(nn.Module):
    """Tokens ``[batch, token, name and value]`` to two logits: the value of the answer token, at most 1, and 0."""

    def __init__(self, layers: Sequence[Reads]):
        super().__init__()
        self.layers = nn.ModuleList(Read(reads) for reads in layers)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        known = 4 * x[:, ANSWER_AT, COUNT].clamp(max=1)
        return torch.stack([known, torch.zeros_like(known)], 1)


def planted(layers: Sequence[Reads], sources: Sequence[int], amount: float = 1.0) -> mmviz.CustomModel:
    """Returns a model whose tokens ``sources`` have the value ``amount``, all others 0, with what each layer reads."""

    def prepare(sample: Sample) -> tuple[Tensor, dict[str, list[Token]]]:
        tokens = [Token(Modality.SPECIAL, "answer")]
        tokens += [
            Token(Modality.IMAGE, f"patch {k}", PixelBox(k % SIDE, k // SIDE, k % SIDE + 1, k // SIDE + 1))
            for k in range(SIDE**2)
        ]
        tokens += [Token(Modality.TEXT, f"word{k}", Chars(6 * k, 6 * k + 5)) for k in range(WORDS)]
        tokens += [Token(Modality.AUDIO, f"{k} s", Seconds(k, k + 1)) for k in range(MOMENTS)]
        value = torch.zeros(COUNT, 1)
        value[list(sources)] = amount
        return torch.cat([torch.eye(COUNT), value], -1)[None], {"tokens": tokens}

    return mmviz.CustomModel(
        Planted(layers), prepare, ["seen", "unseen"], name="planted", batches=True, answer_token=ANSWER_AT,
        pairs={"layers.*": ("tokens", "tokens")},
    )  # fmt: skip


CHAIN = (MOMENT + 2, PATCH + 4, WORD + 1)
"""The moment that a patch reads, the word that reads the patch, and that the answer reads: layers 0, 2 and 3."""


def chain() -> mmviz.CustomModel:
    """Returns a model in which each of three routes carries the answer, for ``--model planted_story:chain``."""
    moment, place, word = CHAIN
    return planted([{place: moment}, {}, {word: place}, {ANSWER_AT: word}], [moment])


def copies() -> mmviz.CustomModel:
    """Returns a model whose answer two routes carry alike, so that it needs neither."""
    return planted([{ANSWER_AT: PATCH}, {ANSWER_AT: MOMENT}], [PATCH, MOMENT])
