"""A model small enough to compute its attention on paper.

Three words have vectors: ``left`` (1, 0), ``right`` (0, 1), ``both`` (1, 1); every other word is (0, 0).  One layer,
one head, d_k = 2, queries = keys = values = the vectors.  "left right" gives scores [[1, 0], [0, 1]] / sqrt(2), so each
word attends to itself with e^(1/sqrt 2) / (e^(1/sqrt 2) + 1) = 0.6698.  The answer is the larger part of the mean
output.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

from mmviz.models.protocol import CaptureTargets, Prepared
from mmviz.types import Card, Chars, InputError, Modality, Sample, Token

_VECTORS = {"left": (1.0, 0.0), "right": (0.0, 1.0), "both": (1.0, 1.0)}


class PaperAttention(nn.Module):
    """softmax(x x^T / sqrt 2) x for ``x`` ``[1, 1, token, 2]``."""

    def forward(self, x: Tensor) -> Tensor:
        """Returns the weighted sum of the vectors for each query, ``[1, 1, token, 2]``."""
        return torch.softmax(x @ x.transpose(-2, -1) / 2**0.5, dim=-1) @ x


class PaperModel(nn.Module):
    """Returns the mean output of the attention as logits ``[2]``."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = PaperAttention()

    def forward(self, x: Tensor) -> Tensor:
        """Returns the logits for vectors ``[1, 1, token, 2]``."""
        output: Tensor = self.attention(x)
        return output[0, 0].mean(0)


class Toy:
    """`PaperModel` as a model of mmviz. It reads text only."""

    capture_targets: CaptureTargets | None = CaptureTargets(("attention",), (("words", "words"),))
    """Its only attention, of the stream ``words`` to itself."""

    def __init__(self, device: str):
        self.device = device
        self.module = PaperModel().to(device).eval()
        about = "A one-layer, one-head model over words, small enough to check by hand."
        self.card = Card("toy", "toy", about, trained=False, answers=("left", "right"), weights_digest="none")

    def prepare(self, sample: Sample) -> Prepared:
        """Returns words as vectors. Raises ``InputError`` (``model-needs-text``) for a text without words."""
        if sample.text is None:
            raise InputError("model-needs-text", model="toy")
        matches = list(re.finditer(r"\w+", sample.text))
        if not matches:
            raise InputError("model-needs-text", model="toy")
        vectors = [_VECTORS.get(match.group().lower(), (0.0, 0.0)) for match in matches]
        tokens = tuple(Token(Modality.TEXT, match.group(), Chars(*match.span())) for match in matches)
        return Prepared(torch.tensor([[vectors]], device=self.device), {"words": tokens})

    def __call__(self, tensors: Tensor) -> Tensor:
        """Returns logits of left and right, ``[2]``."""
        logits: Tensor = self.module(tensors)
        return logits
