"""A small custom torch model of image, text and audio. Any of the three may be missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import mmviz
from mmviz.types import Chars, Modality, PixelBox, Sample, Seconds, Token

WIDTH = 16


class Net(nn.Module):
    """One attention layer over tokens, the first of them a class token; two logits."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.embed = nn.Linear(4, WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True)
        self.out = nn.Linear(WIDTH, 2)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x)
        attn_output, _ = self.attention(tokens, tokens, tokens, need_weights=False)
        logits: Tensor = self.out((tokens + attn_output)[:, 0])
        return logits


def prepare(sample: Sample) -> tuple[Tensor, list[Token]]:
    """Returns four numbers for each token: four image patches, the words, four segments of audio, where given."""
    rows, tokens = [[1.0, 0.0, 0.0, 0.0]], [Token(Modality.SPECIAL, "class")]
    if sample.image is not None:
        width = sample.image.pixels.shape[1]
        for k in range(4):
            part = sample.image.pixels[:, k * width // 4 : (k + 1) * width // 4] / 255
            rows.append([0.0, *part.mean((0, 1)).tolist()])
            box = PixelBox(k * sample.image.width / 4, 0, (k + 1) * sample.image.width / 4, sample.image.height)
            tokens.append(Token(Modality.IMAGE, f"part {k + 1}", box))
    start = 0
    for word in (sample.text or "").split():
        at = (sample.text or "").index(word, start)
        start = at + len(word)
        rows.append([0.5, len(word) / 10, (ord(word[0]) % 7) / 7, 1.0])
        tokens.append(Token(Modality.TEXT, word, Chars(at, start)))
    if sample.audio is not None:
        parts: list[Any] = np.array_split(sample.audio.wave, 4)
        for k, part in enumerate(parts):
            rows.append([-1.0, float(np.sqrt((part**2).mean())) * 5, k / 4, 0.0])
            length = sample.audio.seconds / 4
            tokens.append(Token(Modality.AUDIO, f"{k * length:.1f} s", Seconds(k * length, (k + 1) * length)))
    return torch.tensor([rows]), tokens


def make() -> mmviz.CustomModel:
    return mmviz.CustomModel(Net(), prepare, ["yes", "no"], name="own", embedding="embed")
