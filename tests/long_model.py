"""A model of 4,096 tokens whose attention follows a formula: an answer token, 2,304 patches, 1,696 frames, 95 words.

Every token belongs to a group and attends to one other group: patches of a sixteenth of the image to that sixteenth of
the audio and the reverse, word k to the patches of sixteenth k mod 16, the answer token to the words.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

import mmviz
from mmviz.models.custom import CustomModel
from mmviz.types import Modality, PixelBox, Sample, Seconds, Token

SIDE, FRAMES, WORDS, PARTS = 48, 1696, 95, 16
LAYERS, HEADS, SIZE = 3, 2, 34
SHARPNESS = (7.0, 4.0)
"""Score of an attended key, by head; all layers are alike."""
TOKENS = 1 + SIDE * SIDE + FRAMES + WORDS
WORD_GROUP, ANSWER_GROUP = 2 * PARTS, 2 * PARTS + 1


def groups() -> tuple[Tensor, Tensor]:
    """Returns the group of each token, and the group that it attends to."""
    patch = torch.arange(SIDE * SIDE) * PARTS // (SIDE * SIDE)
    frame = torch.arange(FRAMES) * PARTS // FRAMES
    group = torch.cat([torch.tensor([ANSWER_GROUP]), patch, frame + PARTS, torch.full((WORDS,), WORD_GROUP)])
    attended = torch.cat([torch.tensor([WORD_GROUP]), patch + PARTS, frame, torch.arange(WORDS) % PARTS])
    return group, attended


def expected_row(query: int, head: int) -> NDArray[np.float64]:
    """Returns the attention weights of one query by the formula, ``[key]``."""
    group, attended = groups()
    weights = torch.where(group == attended[query], np.exp(SHARPNESS[head]), 1.0).double()
    return (weights / weights.sum()).numpy()


def expected_mean_row(query: int) -> NDArray[np.float64]:
    """Returns the mean over heads of `expected_row`."""
    return np.asarray(np.mean([expected_row(query, head) for head in range(HEADS)], axis=0))


class Layer(nn.Module):
    """Fused attention from tokens to those of the group that they attend to, both in ``x`` ``[1, token, 2]``."""

    def forward(self, x: Tensor) -> Tensor:
        group, attended = x.long().unbind(-1)
        key = F.one_hot(group, SIZE).float()[:, None].expand(-1, HEADS, -1, -1)
        query = F.one_hot(attended, SIZE).float()[:, None] * torch.tensor(SHARPNESS)[:, None, None]
        return F.scaled_dot_product_attention(query, key, key, scale=1.0)


class LongModel(nn.Module):
    """Three layers and two logits."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, x: Tensor) -> Tensor:
        outputs = sum(layer(x) for layer in self.layers)
        return outputs[:, 0, 0, :2]


def tokens(sample: Sample) -> list[Token]:
    """Returns all tokens, with their locations in the image and the audio of the sample."""
    width, height = (sample.image.width, sample.image.height) if sample.image else (SIDE, SIDE)
    seconds = sample.audio.seconds if sample.audio else 4.0
    x_step, y_step, t_step = width / SIDE, height / SIDE, seconds / FRAMES
    sequence = [Token(Modality.SPECIAL, "answer")]
    for row in range(SIDE):
        for column in range(SIDE):
            box = PixelBox(column * x_step, row * y_step, (column + 1) * x_step, (row + 1) * y_step)
            sequence.append(Token(Modality.IMAGE, f"patch {row}, {column}", box))
    sequence += [Token(Modality.AUDIO, f"frame {k}", Seconds(k * t_step, (k + 1) * t_step)) for k in range(FRAMES)]
    return sequence + [Token(Modality.TEXT, f"word{k}") for k in range(WORDS)]


def prepare(sample: Sample) -> tuple[Any, list[Token]]:
    return torch.stack(groups(), -1)[None].float(), tokens(sample)


def make() -> CustomModel:
    return mmviz.CustomModel(LongModel(), prepare, ["yes", "no"], name="long", trained=False)
