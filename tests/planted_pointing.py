"""A model in which it is known which heads point: 1:0 to the brightest patch, 1:1 to the loudest moment."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

import mmviz
from mmviz.inputs.token_builders import audio_moments, image_patches
from mmviz.types import Modality, Sample, Token

SIDE, MOMENTS, SECONDS = 4, 8, 0.8
SHARP = 40.0
POINTS_TO_IMAGE, POINTS_TO_AUDIO = "1:0", "1:1"


class Pointing(nn.Module):
    """Two heads, each with one wish: the query of every token is that vector, times its last feature, which is 1."""

    def __init__(self, wishes: list[list[float]]):
        super().__init__()
        self.register_buffer("wishes", SHARP * torch.tensor(wishes))

    def forward(self, x: Tensor) -> Tensor:
        """Returns ``[token, feature]`` for ``[1, token, (brightness, loudness, is the first patch, 1)]``."""
        query = x[:, None, :, 3:] * self.get_buffer("wishes")[None, :, None]
        key = x[:, None].expand(-1, query.shape[1], -1, -1)
        return ((query @ key.mT).softmax(-1) @ key).mean((0, 1))


class Planted(nn.Module):
    """The heads of the first layer attend to the first patch, and to everything; those of the second point."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Pointing([[0, 0, 1, 0], [0, 0, 0, 0]]), Pointing([[1, 0, 0, 0], [0, 1, 0, 0]])])

    def forward(self, x: Tensor) -> Tensor:
        first, second = (layer(x)[0] for layer in self.layers)
        return torch.stack([second[0] + 0.1 * first[0], second[1]])


def prepare(sample: Sample) -> tuple[Tensor, list[Token]]:
    features, tokens = [[0.0, 0.0, 0.0, 1.0]], [Token(Modality.SPECIAL, "answer")]
    if sample.image is not None:
        grid = sample.image.pixels.astype(np.float32).mean(2) / 255
        rows = [part.mean() for row in np.array_split(grid, SIDE) for part in np.array_split(row, SIDE, 1)]
        features += [[float(value), 0.0, float(k == 0), 1.0] for k, value in enumerate(rows)]
        tokens += image_patches(sample.image, SIDE, SIDE)
    if sample.audio is not None:
        parts = np.array_split(sample.audio.wave, MOMENTS)
        features += [[0.0, float(np.abs(part).mean()) * 3, 0.0, 1.0] for part in parts]
        tokens += audio_moments(sample.audio, MOMENTS, SECONDS / MOMENTS)
    return torch.tensor([features]), tokens


def make() -> mmviz.CustomModel:
    return mmviz.CustomModel(Planted(), prepare, ["lit", "loud"], name="planted")
