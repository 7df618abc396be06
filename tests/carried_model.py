"""A deep model whose carrying routes, layers and heads are known on paper, with a head that attends for nothing.

The words read the picture in layer 2, by head 1; the answer token reads the words in layer 4, by head 0. In layer 3 the
answer token attends to the picture and takes nothing of it. All else attends to a sink, whose value is 0: there every
query also goes that a cut leaves without its keys.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mmviz
from mmviz.types import Chars, Modality, PixelBox, Sample, Seconds, Token

LAYERS, HEADS = 6, 2
KINDS = ("answer", "sink", "image", "text", "audio")
COUNTS = {"answer": 1, "sink": 1, "image": 3, "text": 2, "audio": 4}
SHARP = 40.0
CARRYING = {(2, 1): ("text", "image"), (4, 0): ("answer", "text")}
"""Which kind reads which other, by layer and head."""
DECOY = {(3, 1): ("answer", "image")}
"""The same, with values that are not taken."""


class Layer(nn.Module):
    """Adds to the value of each token those that its heads read, times the gain of each head."""

    scores: Tensor
    gains: Tensor

    def __init__(self, number: int, is_fused: bool):
        super().__init__()
        scores = torch.zeros(HEADS, len(KINDS), len(KINDS))
        scores[:, :, KINDS.index("sink")] = SHARP
        for (layer, head), (queries, keys) in {**CARRYING, **DECOY}.items():
            if layer == number:
                scores[head, KINDS.index(queries), KINDS.index(keys)] = 2 * SHARP
        self.register_buffer("scores", scores)
        self.register_buffer("gains", torch.tensor([float((number, head) in CARRYING) for head in range(HEADS)]))
        self.is_fused = is_fused

    def forward(self, x: Tensor) -> Tensor:
        kinds, value = x[..., :-1], x[..., -1:]
        query = torch.stack([kinds @ scores for scores in self.scores], 1)
        key = kinds[:, None].expand(-1, HEADS, -1, -1)
        values = value[:, None] * self.gains[:, None, None]
        if self.is_fused:
            read = F.scaled_dot_product_attention(query, key, values, scale=1.0)
        else:
            read = (query @ key.transpose(-2, -1)).softmax(-1) @ values
        return torch.cat([kinds, value + read.sum(1)], -1)


class Carried(nn.Module):
    """Tokens ``[batch, token, kind and value]`` to two logits: what the answer token has read, and 0."""

    def __init__(self, is_fused: bool):
        super().__init__()
        self.layers = nn.ModuleList(Layer(number, is_fused) for number in range(LAYERS))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return torch.stack([x[:, 0, -1], torch.zeros_like(x[:, 0, -1])], 1)


def prepare(sample: Sample) -> tuple[Tensor, dict[str, list[Token]]]:
    """Returns the tokens of `COUNTS`; the value of each patch is 1, of all others 0."""
    rows, tokens = [], []
    for kind, count in COUNTS.items():
        for k in range(count):
            rows.append([float(kind == other) for other in KINDS] + [float(kind == "image")])
            places: dict[str, PixelBox | Chars | Seconds] = {
                "image": PixelBox(k, 0, k + 1, 1), "text": Chars(k, k + 1), "audio": Seconds(k, k + 1),
            }  # fmt: skip
            modality = Modality(kind) if kind in places else Modality.SPECIAL
            tokens.append(Token(modality, f"{kind} {k}", places.get(kind)))
    return torch.tensor([rows]), {"tokens": tokens}


def carried(is_fused: bool = True) -> mmviz.CustomModel:
    """Returns the model as one of one's own."""
    return mmviz.CustomModel(
        Carried(is_fused), prepare, ["seen", "unseen"], name="carried", batches=True, answer_token=0,
        pairs={"layers.*": ("tokens", "tokens")},
    )  # fmt: skip
