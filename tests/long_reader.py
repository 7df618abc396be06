"""A tower of 576 patches whose tokens, merged by four, stand among the words of a decoder: both streams are long."""

from __future__ import annotations

import torch
from co_attention import HEADS, SIZE, Attention, Layer
from torch import Tensor, nn

import mmviz
from mmviz.types import Modality, PixelBox, Sample, Token

SIDE, WORDS = 24, 400
PATCHES, PLACES = SIDE * SIDE, SIDE * SIDE // 4
TOKENS = 1 + PLACES + WORDS
COUNTS = {"tower": PATCHES, "decoder": TOKENS}


class FusedAttention(Attention):
    """`Attention` by a fused kernel, which keeps no weights."""

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        split = [part.unflatten(-1, (HEADS, -1)).transpose(1, 2)
                 for part in (self.query(x) * 3, *self.memory(memory).chunk(2, -1))]  # fmt: skip
        attended = nn.functional.scaled_dot_product_attention(*split)
        output: Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return output


class FusedLayer(Layer):
    """`Layer` with fused attention."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = FusedAttention()


class LongReader(nn.Module):
    """Two logits of the last word."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.tower = nn.ModuleList(FusedLayer() for _ in range(2))
        self.decoder = nn.ModuleList(FusedLayer() for _ in range(2))
        self.merger, self.head = nn.Linear(4 * SIZE, SIZE), nn.Linear(SIZE, 2)

    def forward(self, patches: Tensor, words: Tensor) -> Tensor:
        for layer in self.tower:
            patches = layer(patches)
        grid = patches.transpose(1, 2).unflatten(2, (SIDE, SIDE))
        merged = self.merger(nn.functional.pixel_unshuffle(grid, 2).flatten(2).mT)
        x = torch.cat([words[:, :1], merged, words[:, 1:]], 1)
        for layer in self.decoder:
            x = layer(x)
        logits: Tensor = self.head(x[:, -1])
        return logits


def inputs(rows: int = 1) -> tuple[Tensor, Tensor]:
    """Patches and words of some samples, the first of which is always the same."""
    generators = [torch.Generator().manual_seed(row) for row in range(rows)]
    counts = (PATCHES, 1 + WORDS)
    parts = [torch.cat([3 * torch.randn(1, n, SIZE, generator=g) for g in generators]) for n in counts]
    return parts[0], parts[1]


def streams(sample: Sample) -> dict[str, list[Token]]:
    """Patches with their places in the picture, and the tokens of the decoder: a start, merged patches, words."""
    width, height = (sample.image.width, sample.image.height) if sample.image else (SIDE, SIDE)

    def patches(side: int) -> list[Token]:
        x, y = width / side, height / side
        boxes = [
            PixelBox(x * column, y * row, x * (column + 1), y * (row + 1))
            for row in range(side) for column in range(side)
        ]  # fmt: skip
        return [Token(Modality.IMAGE, f"patch {k // side}, {k % side}", box) for k, box in enumerate(boxes)]

    words = [Token(Modality.TEXT, f"word{k}") for k in range(WORDS)]
    return {"tower": patches(SIDE), "decoder": [Token(Modality.SPECIAL, "start"), *patches(SIDE // 2), *words]}


def make() -> mmviz.CustomModel:
    """The model for the page: ``MMVIZ_MODEL=long_reader:make``."""
    return mmviz.CustomModel(
        LongReader(), lambda sample: (inputs(), streams(sample)), ["yes", "no"], name="reader", trained=False,
        streams={"tower.*": "tower", "decoder.*": "decoder"}, answer_token=("decoder", TOKENS - 1),
    )  # fmt: skip
