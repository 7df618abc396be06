"""EfficientNet-Lite0 as an encoder of pictures: a token for each of 12 x 12 patches, and what its classifier says.

Source: Tan and Le 2019, "EfficientNet"; the Lite variants of the TPU repository leave out squeeze-and-excitation and
have ReLU6. Batch normalisation is part of the convolutions before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

PATCHES = 12
"""Patches along one side of a picture."""
STRIDE = 32
"""Pixels along one side of a patch."""
SIDE = PATCHES * STRIDE
"""Pixels along one side of a picture."""
LAST, FIFTH = 320, 4 * 112
"""Features of a patch from the last stage, and from the four cells of the fifth stage that it covers."""
FEATURES = LAST + FIFTH
"""Features of a patch."""
CLASSES = 1000
"""Classes of ImageNet."""
_STEM, _HEAD, _FIFTH_STAGE_END = 32, 1280, 11


@dataclass(frozen=True)
class Stage:
    """Several blocks of one kind."""

    kernel: int
    """Side of the kernel of the convolution of each channel."""
    stride: int
    """Stride of the first block; the others have 1."""
    expansion: int
    """Channels within a block, in multiples of those that go in."""
    channels: int
    """Channels that come out."""
    blocks: int
    """Number of blocks."""


STAGES = (
    Stage(3, 1, 1, 16, 1), Stage(3, 2, 6, 24, 2), Stage(5, 2, 6, 40, 2), Stage(3, 2, 6, 80, 3), Stage(5, 1, 6, 112, 3),
    Stage(5, 2, 6, 192, 4), Stage(3, 1, 6, 320, 1),
)  # fmt: skip
"""The stages of EfficientNet-Lite0."""


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's "same": the result has the size of the input divided by the stride."""

    def forward(self, x: Tensor) -> Tensor:
        """Returns ``[B, channel out, height / stride, width / stride]``, rounded up, for ``[B, channel in, height,
        width]``."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        down, right = (max((math.ceil(n / stride) - 1) * stride + kernel - n, 0) for n in x.shape[-2:])
        return super().forward(functional.pad(x, [right // 2, right - right // 2, down // 2, down - down // 2]))


class InvertedResidual(nn.Module):
    """Expansion, a convolution of each channel by itself, projection, beside a shortcut (Sandler et al. 2018)."""

    def __init__(self, inside: int, outside: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        middle = inside * expansion
        self.has_shortcut = stride == 1 and inside == outside
        self.expand = nn.Conv2d(inside, middle, 1) if expansion > 1 else None
        self.depthwise = SameConv(middle, middle, kernel, stride, groups=middle)
        self.project = nn.Conv2d(middle, outside, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Returns ``[B, outside, height / stride, width / stride]``, rounded up, for ``[B, inside, height, width]``."""
        y = x if self.expand is None else functional.relu6(self.expand(x))
        y = self.project(functional.relu6(self.depthwise(y)))
        result: Tensor = x + y if self.has_shortcut else y
        return result


class PictureEncoder(nn.Module):
    """``[B, 3, 384, 384]``, see `normalised`, to the features of 12 x 12 patches ``[B, 144, 768]``, row by row.

    The first `LAST` features are those of the last stage, the others those of the fifth stage, whose cells have half
    the side. What a patch sees is far wider than the patch: its features depend most on the patch and its neighbours.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, _STEM, 3, 2)
        blocks, channels = [], _STEM
        for stage in STAGES:
            for number in range(stage.blocks):
                stride = stage.stride if number == 0 else 1
                blocks.append(InvertedResidual(channels, stage.channels, stage.kernel, stride, stage.expansion))
                channels = stage.channels
        self.blocks = nn.ModuleList(blocks)

    def forward(self, picture: Tensor) -> Tensor:
        """Returns the features of the patches, ``[B, 144, 768]``."""
        x = functional.relu6(self.stem(picture.contiguous(memory_format=torch.channels_last)))
        for block in self.blocks[:_FIFTH_STAGE_END]:
            x = block(x)
        fifth = functional.pixel_unshuffle(x, 2)
        for block in self.blocks[_FIFTH_STAGE_END:]:
            x = block(x)
        return torch.cat([x, fifth], 1).flatten(2).transpose(1, 2)


class PhotographClassifier(nn.Module):
    """The classifier of EfficientNet-Lite0, at each patch by itself: ``[..., 320]`` to logits ``[..., 1000]``."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(LAST, _HEAD)
        self.output = nn.Linear(_HEAD, CLASSES)

    def forward(self, last: Tensor) -> Tensor:
        """Returns the logits of the classes of ImageNet, ``[..., 1000]``, for features ``[..., 320]`` of the last
        stage."""
        logits: Tensor = self.output(functional.relu6(self.head(last)))
        return logits


def normalised(pixels: Tensor) -> Tensor:
    """Returns uint8 pixels as the encoder reads them: ``(x - 127) / 128``."""
    return (pixels.float() - 127) / 128
