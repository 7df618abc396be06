"""A model of one's own with two heads a layer, whose carrying pairs are known on paper."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from routed_model import SHARP, prepare
from torch import Tensor, nn

import mmviz
from mmviz.types import Sample, Token

ANSWER_TOKEN, PATCHES, WORD, IDLE, MARKING = 0, (1, 2, 3), 4, 5, 8
TOKENS = 10
READS: tuple[tuple[dict[int, tuple[int, ...]], ...], ...] = (
    ({WORD: (2,)}, {}),
    ({ANSWER_TOKEN: (WORD,)}, {ANSWER_TOKEN: tuple(range(TOKENS))}),
    ({ANSWER_TOKEN: PATCHES}, {ANSWER_TOKEN: (WORD, 7)}),
    ({query: (MARKING,) for query in range(1, TOKENS)}, {}),
    ({}, {}),
)
"""Of each layer and head, the queries that attend to other keys than the idle word, and to which, all equally. In the
last layer the answer token attends to the marked tokens, all equally."""
VALUES: tuple[tuple[dict[int, float], ...], ...] = (
    ({2: 2.0}, {}),
    ({}, dict.fromkeys(range(TOKENS), 0.5)),
    (dict.fromkeys(PATCHES, 0.75), {WORD: 0.4, 7: 0.4}),
    ({MARKING: 1.0}, {}),
    ({}, {}),
)
"""Of each layer and head, what keys add to who attends to them. Head 0 of layer 1 reads what tokens have read, that of
layer 3 adds to the mark of tokens, and that of the last layer reads marks."""
MARK = 0.6
"""What the answer token reads of marked tokens, as many as there are."""
OFFSET = 2.0
"""The logit of the other answer; that of this one is `READ` with all heads."""
READ = 2 + 0.5 + 0.75 + 0.4 + MARK
STATE, MARKED = TOKENS, TOKENS + 1
"""The features that hold what a token has read, and whether it is marked."""


class TwoHeads(nn.Module):
    """Adds to the last two features of each token what its heads read; the others tell which token it is."""

    def __init__(self, layer: int, implementation: str):
        super().__init__()
        self.num_heads = 2
        sizes = (2 * TOKENS, 2 * TOKENS, 2 * 2)
        self.query, self.key, self.value = (nn.Linear(TOKENS + 2, size, bias=False) for size in sizes)
        for projection in (self.query, self.key, self.value):
            nn.init.zeros_(projection.weight)
        for head in range(2):
            own = slice(head * TOKENS, (head + 1) * TOKENS)
            scores = torch.zeros(TOKENS, TOKENS)
            scores[:, IDLE] = SHARP
            for query, keys in READS[layer][head].items():
                scores[query] = 0
                scores[query, list(keys)] = SHARP
            self.query.weight.data[own, :TOKENS] = scores.mT
            self.key.weight.data[own, :TOKENS] = torch.eye(TOKENS)
            for key, value in VALUES[layer][head].items():
                self.value.weight.data[2 * head + (layer == 3), key] = value
        if layer == 1:
            self.value.weight.data[0, STATE] = 1
        if layer == len(READS) - 1:
            self.query.weight.data[:TOKENS, ANSWER_TOKEN] = 0
            self.query.weight.data[0, ANSWER_TOKEN] = SHARP
            self.key.weight.data[0] = torch.eye(TOKENS + 2)[MARKED]
            self.value.weight.data[0, MARKED] = MARK
        self.implementation = implementation

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            projection(x).unflatten(-1, (2, -1)).transpose(1, 2) for projection in (self.query, self.key, self.value)
        )
        if self.implementation == "fused":
            read = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        else:
            read = (query @ key.transpose(-2, -1)).softmax(-1) @ value
        return torch.cat([x[..., :TOKENS], x[..., TOKENS:] + read.sum(1)], -1)


class Edged(nn.Module):
    """Tokens ``[batch, token, 10 + 2]`` to two logits: what the first has read, and `OFFSET`."""

    def __init__(self, implementation: str):
        super().__init__()
        self.layers = nn.ModuleList(TwoHeads(layer, implementation) for layer in range(len(READS)))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return torch.stack([x[:, ANSWER_TOKEN, STATE], torch.full_like(x[:, 0, 0], OFFSET)], 1)


def tokens_of(sample: Sample) -> tuple[Tensor, dict[str, list[Token]]]:
    """Returns the tokens of the routed model, each with its own number as its features."""
    return torch.cat([torch.eye(TOKENS), torch.zeros(TOKENS, 2)], -1)[None], prepare(sample)[1]


def edged(implementation: str = "fused") -> mmviz.CustomModel:
    """Returns the model as one of one's own."""
    return mmviz.CustomModel(
        Edged(implementation), tokens_of, ["seen", "unseen"], name="edged", batches=True, answer_token=0,
        pairs={"layers.*": ("tokens", "tokens")},
    )  # fmt: skip
