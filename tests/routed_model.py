"""A model of one's own whose carrying route is known on paper: the answer hears of the picture through the words."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mmviz
from mmviz.types import Chars, Modality, PixelBox, Sample, Seconds, Token

SHARP = 40.0
KINDS = ("special", "image", "text", "audio")
COUNTS = {"special": 1, "image": 3, "text": 2, "audio": 4}
LAYERS: tuple[tuple[tuple[str, str], ...], ...] = ((("text", "image"),), (("special", "text"),))
"""Which kind attends to which other in each layer; all others attend to their own kind."""


def scores_of(routes: tuple[tuple[str, str], ...]) -> Tensor:
    """Returns the scores of queries and keys of each kind, ``[kind, kind]``."""
    scores = torch.eye(len(KINDS)) * SHARP
    for queries, keys in routes:
        scores[KINDS.index(queries)] = 0
        scores[KINDS.index(queries), KINDS.index(keys)] = SHARP
    return scores


class Attend(nn.Module):
    """Adds to the value of each token the mean value of the tokens that it attends to."""

    scores: Tensor

    def __init__(self, routes: tuple[tuple[str, str], ...], implementation: str):
        super().__init__()
        self.register_buffer("scores", scores_of(routes))
        self.implementation = implementation

    def forward(self, x: Tensor) -> Tensor:
        kinds, value = x[..., :4], x[..., 4:]
        query, key, value = ((kinds @ self.scores)[:, None], kinds[:, None], value[:, None])
        if self.implementation == "fused":
            read = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        elif self.implementation == "einsum":
            weights = torch.einsum("bhqd,bhkd->bqkh", query, key).softmax(2)
            read = torch.einsum("bqkh,bhkd->bhqd", weights, value)
        elif self.implementation == "gumbel":
            read = F.gumbel_softmax(query @ key.transpose(-2, -1), dim=-1) @ value
        else:
            read = (query @ key.transpose(-2, -1)).softmax(-1) @ value
        return torch.cat([x[..., :4], x[..., 4:] + read[:, 0]], -1)


class Routed(nn.Module):
    """Tokens ``[batch, token, kind and value]``, a special token first, to two logits: its value, and 0."""

    def __init__(self, implementation: str):
        super().__init__()
        self.layers = nn.ModuleList(Attend(routes, implementation) for routes in LAYERS)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return torch.stack([x[:, 0, 4], torch.zeros_like(x[:, 0, 4])], 1)


def prepare(sample: Sample) -> tuple[Tensor, dict[str, list[Token]]]:
    """Returns one special token, three patches whose value is 1, two words and four moments."""
    rows, tokens = [], []
    for kind, count in COUNTS.items():
        for k in range(count):
            rows.append([float(kind == other) for other in KINDS] + [float(kind == "image")])
            places: dict[str, PixelBox | Chars | Seconds] = {
                "image": PixelBox(k, 0, k + 1, 1), "text": Chars(k, k + 1), "audio": Seconds(k, k + 1),
            }  # fmt: skip
            tokens.append(Token(Modality(kind), f"{kind} {k}", places.get(kind)))
    return torch.tensor([rows]), {"tokens": tokens}


def routed(implementation: str = "fused", batches: bool = True) -> mmviz.CustomModel:
    """Returns the model as one of one's own."""
    return mmviz.CustomModel(
        Routed(implementation), prepare, ["seen", "unseen"], name="routed", batches=batches, answer_token=0,
        pairs={"layers.*": ("tokens", "tokens")},
    )  # fmt: skip


def uncuttable() -> mmviz.CustomModel:
    """Returns the model with attention whose weights cannot be masked."""
    return routed("gumbel", batches=False)
