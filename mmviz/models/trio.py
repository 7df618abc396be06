"""The bundled fusion model `trio`, whole: three encoders into one common space, then attention over all tokens.

Sequence: ``[answer] [text pieces] [picture patches] [sound frames]``; a missing modality is one learned "absent" token.
One table of word vectors is the common space in person: text goes in through it, patches and frames are named against
it, and the answer is scored against it.  Axes in the comments: B batch, N tokens, H heads, D width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmviz.inputs.mel import HOP, SAMPLE_RATE

PATCHES = 10
"""Patches along one side of the picture."""
IMAGE_SIDE = 160
FRAMES = 50
HOPS_A_FRAME = 8
SECONDS_A_FRAME = HOPS_A_FRAME * HOP / SAMPLE_RATE
MAX_PIECES = 24


@dataclass(frozen=True)
class TrioConfig:
    """Sizes of a `trio`: ``vocabulary`` word pieces, ``answers`` rows of the word table that can be answered."""

    vocabulary: int
    answers: tuple[int, ...]
    width: int = 192
    heads: int = 4
    layers: int = 6
    expansion: int = 3


@dataclass
class TrioInput:
    """A batch. A modality may be switched off a row at a time; its tokens then give way to one absent token.

    ``image`` float ``[B, 3, 160, 160]`` in -1 .. 1; ``mel`` float ``[B, 64, 400]``; either may have a single row, which
    all rows share; ``frames`` ``[B]`` sounding frames; ``text`` int ``[B, T]`` padded with 0, ``pieces`` ``[B]`` its
    lengths; ``has_*`` bool ``[B]``; ``hidden`` bool ``[B, T + 100 + 50]``: tokens that take no part.
    """

    image: Tensor
    mel: Tensor
    frames: Tensor
    text: Tensor
    pieces: Tensor
    has_image: Tensor
    has_audio: Tensor
    has_text: Tensor
    hidden: Tensor | None = None


@dataclass
class TrioOutput:
    """``logits`` ``[B, answer]``; ``states`` the token states after every layer, each ``[B, N, D]``."""

    logits: Tensor
    states: list[Tensor]


class Residual2d(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut (He et al. 2016)."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


class Residual1d(nn.Module):
    """Two dilated convolutions over time beside a shortcut."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation, bias=False),
            nn.BatchNorm1d(channels), nn.ReLU(),
            nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation, bias=False),
            nn.BatchNorm1d(channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


def _down2d(inside: int, outside: int, kernel: int, stride: int | tuple[int, int]) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, stride, padding=kernel // 2, bias=False), nn.BatchNorm2d(outside), nn.ReLU()
    )


class ImageEncoder(nn.Module):
    """Convolutional patch stem: ``[B, 3, 160, 160]`` -> 10 x 10 patch tokens ``[B, 100, D]``, row by row."""

    def __init__(self, width: int):
        super().__init__()
        self.body = nn.Sequential(
            _down2d(3, 48, 7, 4), Residual2d(48),
            _down2d(48, 96, 3, 2), Residual2d(96), Residual2d(96),
            _down2d(96, width, 3, 2), Residual2d(width), Residual2d(width),
        )  # fmt: skip
        self.project = nn.Linear(width, width)

    def forward(self, image: Tensor) -> Tensor:
        maps = self.body(image.contiguous(memory_format=torch.channels_last))
        tokens: Tensor = self.project(maps.flatten(2).transpose(1, 2))
        return tokens


class AudioEncoder(nn.Module):
    """Log-mel stem: ``[B, 64, 400]`` -> 50 frame tokens of 80 ms ``[B, 50, D]``."""

    def __init__(self, width: int):
        super().__init__()
        self.stem = nn.Sequential(_down2d(1, 32, 3, 2), _down2d(32, 64, 3, 2))
        self.flatten = nn.Sequential(nn.Conv2d(64, width, (16, 1), bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.body = nn.Sequential(
            nn.Conv1d(width, width, 3, 2, padding=1, bias=False), nn.BatchNorm1d(width), nn.ReLU(),
            Residual1d(width, 1), Residual1d(width, 2), Residual1d(width, 4),
        )  # fmt: skip
        self.project = nn.Linear(width, width)

    def forward(self, mel: Tensor) -> Tensor:
        maps = self.flatten(self.stem(mel[:, None])).squeeze(2)
        tokens: Tensor = self.project(self.body(maps).transpose(1, 2))
        return tokens


class Attention(nn.Module):
    """softmax(Q K^T / sqrt(d_k)) V over all tokens (Vaswani et al. 2017, section 3.2)."""

    def __init__(self, width: int, heads: int, alike: bool):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        if alike:
            # Like finds like from the start: the same word seen, heard and read meets itself in the common space.
            self.key.load_state_dict(self.query.state_dict())
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, blocked: Tensor | None, context: Tensor | None = None) -> Tensor:
        """``x`` ``[B, N, D]`` asks; ``context`` ``[B, M, D]`` is asked (None: ``x`` itself); ``blocked``
        ``[B, 1, 1, M]``: 0 for real keys, -inf for padding."""
        batch, tokens, width = x.shape
        asked = x if context is None else context
        query, key, value = (
            part(given).view(batch, given.shape[1], self.heads, -1).transpose(1, 2)
            for part, given in ((self.query, x), (self.key, asked), (self.value, asked))
        )
        scores = (query / math.sqrt(width // self.heads)) @ key.transpose(-2, -1)
        if blocked is not None:
            scores = scores + blocked.to(scores.dtype)
        weights = torch.softmax(scores, dim=-1)
        mixed = weights @ value
        out: Tensor = self.output(mixed.transpose(1, 2).reshape(batch, tokens, width))
        return out


class Block(nn.Module):
    """Pre-norm transformer layer."""

    def __init__(self, width: int, heads: int, expansion: int, alike: bool):
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = Attention(width, heads, alike)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width))

    def forward(self, x: Tensor, blocked: Tensor | None, context: Tensor | None = None) -> Tensor:
        asked = None if context is None else self.norm_attention(context)
        x = x + self.attention(self.norm_attention(x), blocked, asked)
        y: Tensor = x + self.mlp(self.norm_mlp(x))
        return y


class Trio(nn.Module):
    """The whole model. It does not know when it is watched."""

    places: Tensor
    answers: Tensor

    def __init__(self, config: TrioConfig, alike: int = 3):
        super().__init__()
        width = config.width
        self.config = config
        self.words = nn.Embedding(config.vocabulary, width)
        self.image_encoder = ImageEncoder(width)
        self.audio_encoder = AudioEncoder(width)
        self.common = nn.LayerNorm(width, elementwise_affine=False)
        self.place = nn.Linear(_place_features().shape[1], width)
        self.moment = nn.Parameter(torch.randn(FRAMES, width) * 0.3)
        self.order = nn.Parameter(torch.randn(MAX_PIECES, width) * 0.3)
        self.kind = nn.Parameter(torch.randn(3, width) * 0.3)
        self.absent = nn.Parameter(torch.randn(3, width) * 0.5)
        self.answer = nn.Parameter(torch.randn(width) * 0.5)
        self.blocks = nn.ModuleList(
            Block(width, config.heads, config.expansion, alike=layer < alike) for layer in range(config.layers)
        )
        self.tokens = nn.Identity()  # where tokens enter the layers, for whoever watches
        self.norm = nn.LayerNorm(width)
        self.speak = nn.Linear(width, width)
        self.sharpness = nn.Parameter(torch.ones(3))
        self.register_buffer("places", _place_features(), persistent=False)
        self.register_buffer("answers", torch.tensor(config.answers), persistent=False)

    def encode_image(self, image: Tensor) -> Tensor:
        """Patch tokens in the common space, ``[B, 100, D]``."""
        tokens: Tensor = self.common(self.image_encoder(image))
        return tokens

    def encode_audio(self, mel: Tensor) -> Tensor:
        """Frame tokens in the common space, ``[B, 50, D]``."""
        tokens: Tensor = self.common(self.audio_encoder(mel))
        return tokens

    def score(self, x: Tensor, rows: Tensor, sharpness: Tensor) -> Tensor:
        """Logits of ``x`` ``[..., D]`` against rows of the word table, ``[..., row]``."""
        table: Tensor = self.words(rows)
        return x @ table.transpose(0, 1) * (sharpness / math.sqrt(self.config.width))

    def forward(self, batch: TrioInput) -> TrioOutput:
        """Answers; tokens that are padding in every row are left out."""
        x, real = self.sequence(batch, self.encode_image(batch.image), self.encode_audio(batch.mel))
        used = real.any(0)
        return self.fuse(x[:, used], real[:, used])

    def fuse(self, x: Tensor, real: Tensor) -> TrioOutput:
        """Fusion of tokens ``x`` ``[B, N, D]``, of which ``real`` ``[B, N]`` are not padding."""
        blocked = None if bool(real.all()) else key_padding_mask(real, x)
        x = self.tokens(x)
        states = []
        for block in self.blocks:
            x = block(x, blocked)
            states.append(x)
        return TrioOutput(self.say(x[:, 0]), states)

    def say(self, x: Tensor) -> Tensor:
        """Logits ``[B, answer]`` of what the answer token holds, ``x`` ``[B, D]``."""
        return self.score(self.speak(self.norm(x)), self.answers, self.sharpness[2])

    def sequence(self, batch: TrioInput, patches: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """All tokens ``[B, 1 + T + 100 + 50, D]`` and which of them are real (not padding)."""
        text = self.words(batch.text) + self.order[: batch.text.shape[1]] + self.kind[0]
        image = patches + self.place(self.places) + self.kind[1]
        audio = frames + self.moment + self.kind[2]
        rows, pieces = batch.text.shape
        image, audio = (part.expand(rows, -1, -1) for part in (image, audio))
        every = torch.ones(rows, PATCHES**2, dtype=torch.bool, device=image.device)
        shown = [_up_to(batch.pieces, pieces), every, _up_to(batch.frames, FRAMES)]
        if batch.hidden is not None:
            parts = torch.split(batch.hidden, [pieces, PATCHES**2, FRAMES], dim=1)
            shown = [real & ~part for real, part in zip(shown, parts, strict=True)]
        has = (batch.has_text, batch.has_image, batch.has_audio)
        streams = [
            self._stream(tokens, real, there, absent)
            for tokens, real, there, absent in zip((text, image, audio), shown, has, self.absent, strict=True)
        ]
        answer = self.answer.expand(len(text), 1, -1)
        x = torch.cat([answer, *(tokens for tokens, _ in streams)], dim=1)
        first = torch.ones_like(x[:, :1, 0], dtype=torch.bool)
        return x, torch.cat([first, *(real for _, real in streams)], dim=1)

    @staticmethod
    def _stream(tokens: Tensor, real: Tensor, has: Tensor, absent: Tensor) -> tuple[Tensor, Tensor]:
        """Where a row lacks the modality, or no token of it is real, its first token becomes the absent token and the
        rest are padding."""
        has = has & real.any(1)
        lead = torch.where(has[:, None, None], tokens[:, :1], absent)
        first = torch.zeros_like(real)
        first[:, 0] = True
        return torch.cat([lead, tokens[:, 1:]], dim=1), torch.where(has[:, None], real, first)


def key_padding_mask(real: Tensor, x: Tensor) -> Tensor:
    """``[B, 1, 1, N]`` in the precision of ``x``: 0 for keys that are ``real`` ``[B, N]``, -inf for padding."""
    free = torch.zeros_like(real, dtype=x.dtype)[:, None, None]
    return free.masked_fill(~real[:, None, None], -torch.inf)


def _up_to(lengths: Tensor, size: int) -> Tensor:
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def _place_features() -> Tensor:
    """Smooth features of a patch's centre, ``[100, 22]``: x and y from -1 to 1, and their sines and cosines."""
    line = (torch.arange(PATCHES) + 0.5) / PATCHES * 2 - 1
    y, x = (axis.flatten() for axis in torch.meshgrid(line, line, indexing="ij"))
    waves = [wave(axis * math.pi * k / 2) for k in range(1, 6) for axis in (x, y) for wave in (torch.sin, torch.cos)]
    return torch.stack([x, y, *waves], dim=1)
