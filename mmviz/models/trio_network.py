"""The bundled fusion model `trio`: three encoders into one common space, then a transformer over all tokens.

Sequence: ``[answer] [text tokens] [image patches] [audio frames]``; a missing modality is one learned "absent" token.
One table of token vectors is the common space itself: text enters through it, patches and frames are named against it,
and the answer is scored against it. Axes: B batch, N tokens, T text tokens, H heads, D width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmviz.inputs.mel import HOP, SAMPLE_RATE

STREAM = "tokens"
"""The stream of all tokens, over which attention runs."""
PATCHES = 10
"""Patches along one side of the image."""
IMAGE_SIDE = 160
"""Pixels along one side of the image that the model reads."""
FRAMES = 50
"""Audio frames that the model reads."""
HOPS_PER_FRAME = 8
"""Hops of the spectrogram in one frame."""
SECONDS_PER_FRAME = HOPS_PER_FRAME * HOP / SAMPLE_RATE
MAX_TEXT_TOKENS = 24


@dataclass(frozen=True)
class TrioConfig:
    """Sizes of a `trio`."""

    vocabulary: int
    """Text tokens in the table of token vectors."""
    answers: tuple[int, ...]
    """Rows of that table that can be answered."""
    width: int = 192
    heads: int = 4
    layers: int = 6
    mlp_ratio: int = 3
    """Hidden units of an MLP, in multiples of the width."""


@dataclass
class TrioInput:
    """A batch. A modality can be absent in a row; its tokens then give way to one absent token."""

    image: Tensor
    """Float ``[B, 3, 160, 160]``, -1 .. 1; a single row is shared by all rows."""
    mel: Tensor
    """Log-mel spectrogram, float ``[B, 64, 400]``; a single row is shared by all rows."""
    frames: Tensor
    """Frames that sound, int ``[B]``."""
    text: Tensor
    """Ids of text tokens, int ``[B, T]``, padded with 0."""
    text_lengths: Tensor
    """Text tokens in each row, int ``[B]``."""
    has_image: Tensor
    """Bool ``[B]``."""
    has_audio: Tensor
    """Bool ``[B]``."""
    has_text: Tensor
    """Bool ``[B]``."""
    hidden: Tensor | None = None
    """Tokens that are masked out, bool ``[B, T + 100 + 50]``."""
    image_rows: Tensor | None = None
    """Which row of ``image`` each row has, int ``[B]``; None where all have the only one, or each its own."""
    mel_rows: Tensor | None = None
    """Which row of ``mel`` each row has, int ``[B]``, as ``image_rows``."""


@dataclass
class TrioOutput:
    """What one forward pass returns."""

    logits: Tensor
    """``[B, answer]``."""
    states: list[Tensor]
    """Token states after every layer, each ``[B, N, D]``."""
    valid_masks: dict[str, Tensor]
    """By stream of tokens that attention runs over: which tokens of each row are no padding, bool ``[B, n]``."""


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


def _strided_conv2d(in_channels: int, out_channels: int, kernel: int, stride: int | tuple[int, int]) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels), nn.ReLU(),
    )  # fmt: skip


class ImageEncoder(nn.Module):
    """Convolutional patch stem: ``[B, 3, 160, 160]`` -> 10 x 10 patch tokens ``[B, 100, D]``, row by row."""

    def __init__(self, width: int):
        super().__init__()
        self.body = nn.Sequential(
            _strided_conv2d(3, 48, 7, 4), Residual2d(48),
            _strided_conv2d(48, 96, 3, 2), Residual2d(96), Residual2d(96),
            _strided_conv2d(96, width, 3, 2), Residual2d(width), Residual2d(width),
        )  # fmt: skip
        self.project = nn.Linear(width, width)

    def forward(self, image: Tensor) -> Tensor:
        features = self.body(image.contiguous(memory_format=torch.channels_last))
        tokens: Tensor = self.project(features.flatten(2).transpose(1, 2))
        return tokens


class AudioEncoder(nn.Module):
    """Log-mel stem: ``[B, 64, 400]`` -> 50 frame tokens of 80 ms ``[B, 50, D]``."""

    def __init__(self, width: int):
        super().__init__()
        self.stem = nn.Sequential(_strided_conv2d(1, 32, 3, 2), _strided_conv2d(32, 64, 3, 2))
        self.flatten = nn.Sequential(nn.Conv2d(64, width, (16, 1), bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.body = nn.Sequential(
            nn.Conv1d(width, width, 3, 2, padding=1, bias=False), nn.BatchNorm1d(width), nn.ReLU(),
            Residual1d(width, 1), Residual1d(width, 2), Residual1d(width, 4),
        )  # fmt: skip
        self.project = nn.Linear(width, width)

    def forward(self, mel: Tensor) -> Tensor:
        features = self.flatten(self.stem(mel[:, None])).squeeze(2)
        tokens: Tensor = self.project(self.body(features).transpose(1, 2))
        return tokens


class Attention(nn.Module):
    """softmax(Q K^T / sqrt(d_k)) V over all tokens (Vaswani et al. 2017, section 3.2)."""

    def __init__(self, width: int, heads: int, tie_qk_init: bool):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        if tie_qk_init:
            # Similar tokens attend to each other from the start: one word seen, spoken and read has one direction in
            # the common space.
            self.key.load_state_dict(self.query.state_dict())
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, attn_mask: Tensor | None, context: Tensor | None = None) -> Tensor:
        """Returns the output ``[B, N, D]`` for queries ``x`` ``[B, N, D]`` and keys ``context`` ``[B, M, D]``.

        Without ``context`` this is self-attention. ``attn_mask`` ``[B, 1, 1, M]`` is added to the scores: 0 for valid
        keys, -inf for padding.
        """
        batch, tokens, width = x.shape
        memory = x if context is None else context
        query, key, value = (
            projection(source).view(batch, source.shape[1], self.heads, -1).transpose(1, 2)
            for projection, source in ((self.query, x), (self.key, memory), (self.value, memory))
        )
        scores = (query / math.sqrt(width // self.heads)) @ key.transpose(-2, -1)
        if attn_mask is not None:
            scores = scores + attn_mask.to(scores.dtype)
        weights = torch.softmax(scores, dim=-1)
        attn_output = weights @ value
        output: Tensor = self.output(attn_output.transpose(1, 2).reshape(batch, tokens, width))
        return output


class Block(nn.Module):
    """Pre-norm transformer layer."""

    def __init__(self, width: int, heads: int, mlp_ratio: int, tie_qk_init: bool):
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = Attention(width, heads, tie_qk_init)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, mlp_ratio * width), nn.GELU(), nn.Linear(mlp_ratio * width, width))

    def forward(self, x: Tensor, attn_mask: Tensor | None, context: Tensor | None = None) -> Tensor:
        memory = None if context is None else self.norm_attention(context)
        x = x + self.attention(self.norm_attention(x), attn_mask, memory)
        y: Tensor = x + self.mlp(self.norm_mlp(x))
        return y


class Trio(nn.Module):
    """The whole model. It does not know that it is captured."""

    patch_features: Tensor
    answer_ids: Tensor

    def __init__(self, config: TrioConfig, tied_layers: int = 3):
        super().__init__()
        width = config.width
        self.config = config
        self.token_embedding = nn.Embedding(config.vocabulary, width)
        self.image_encoder = ImageEncoder(width)
        self.audio_encoder = AudioEncoder(width)
        self.common_norm = nn.LayerNorm(width, elementwise_affine=False)
        self.patch_position = nn.Linear(_patch_features().shape[1], width)
        self.frame_position = nn.Parameter(torch.randn(FRAMES, width) * 0.3)
        self.text_position = nn.Parameter(torch.randn(MAX_TEXT_TOKENS, width) * 0.3)
        self.modality_embedding = nn.Parameter(torch.randn(3, width) * 0.3)
        self.absent_embedding = nn.Parameter(torch.randn(3, width) * 0.5)
        self.answer_embedding = nn.Parameter(torch.randn(width) * 0.5)
        self.blocks = nn.ModuleList(
            Block(width, config.heads, config.mlp_ratio, tie_qk_init=layer < tied_layers)
            for layer in range(config.layers)
        )
        self.fusion_input = nn.Identity()  # the point where tokens enter the layers, for hooks
        self.final_norm = nn.LayerNorm(width)
        self.answer_head = nn.Linear(width, width)
        self.logit_scale = nn.Parameter(torch.ones(3))
        self.register_buffer("patch_features", _patch_features(), persistent=False)
        self.register_buffer("answer_ids", torch.tensor(config.answers), persistent=False)

    def encode_image(self, image: Tensor) -> Tensor:
        """Returns patch tokens in the common space, ``[B, 100, D]``."""
        tokens: Tensor = self.common_norm(self.image_encoder(image))
        return tokens

    def encode_audio(self, mel: Tensor) -> Tensor:
        """Returns frame tokens in the common space, ``[B, 50, D]``."""
        tokens: Tensor = self.common_norm(self.audio_encoder(mel))
        return tokens

    def score(self, x: Tensor, ids: Tensor, logit_scale: Tensor) -> Tensor:
        """Returns logits of ``x`` ``[..., D]`` against rows ``ids`` of the table of token vectors, ``[..., id]``."""
        table: Tensor = self.token_embedding(ids)
        return x @ table.transpose(0, 1) * (logit_scale / math.sqrt(self.config.width))

    def forward(self, batch: TrioInput) -> TrioOutput:
        """Returns the answers. Padding is left out, or stands behind all other tokens of its row."""
        return self.fuse(*padding_last(*self.encoded(batch)))

    def encoded(self, batch: TrioInput) -> tuple[Tensor, Tensor]:
        """Returns `sequence` of the encoded inputs, in which each row has the numbers that it has alone."""
        patches, frames = row_by_row(self.encode_image, batch.image), row_by_row(self.encode_audio, batch.mel)
        return self.sequence(batch, patches, frames)

    def fuse(self, x: Tensor, valid_mask: Tensor) -> TrioOutput:
        """Fuses tokens ``x`` ``[B, N, D]``; ``valid_mask`` ``[B, N]`` is False for padding."""
        attn_mask = None if bool(valid_mask.all()) else key_padding_mask(valid_mask, x)
        x = self.fusion_input(x)
        states = []
        for block in self.blocks:
            x = block(x, attn_mask)
            states.append(x)
        return TrioOutput(self.answer_logits(x[:, 0]), states, {STREAM: valid_mask})

    def answer_logits(self, x: Tensor) -> Tensor:
        """Returns logits ``[B, answer]`` for states ``x`` ``[B, D]`` of the answer token."""
        return self.score(self.answer_head(self.final_norm(x)), self.answer_ids, self.logit_scale[2])

    def sequence(self, batch: TrioInput, patches: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Returns all tokens ``[B, 1 + T + 100 + 50, D]``, and which of them are valid (not padding)."""
        text = self.token_embedding(batch.text) + self.text_position[: batch.text.shape[1]] + self.modality_embedding[0]
        image = patches + self.patch_position(self.patch_features) + self.modality_embedding[1]
        audio = frames + self.frame_position + self.modality_embedding[2]
        rows, length = batch.text.shape
        image, audio = _of_rows(image, batch.image_rows, rows), _of_rows(audio, batch.mel_rows, rows)
        all_patches = torch.ones(rows, PATCHES**2, dtype=torch.bool, device=image.device)
        masks = [_length_mask(batch.text_lengths, length), all_patches, _length_mask(batch.frames, FRAMES)]
        if batch.hidden is not None:
            hidden = torch.split(batch.hidden, [length, PATCHES**2, FRAMES], dim=1)
            masks = [mask & ~part for mask, part in zip(masks, hidden, strict=True)]
        has = (batch.has_text, batch.has_image, batch.has_audio)
        modalities = [
            self._with_absent(tokens, mask, present, absent)
            for tokens, mask, present, absent in zip(
                (text, image, audio), masks, has, self.absent_embedding, strict=True
            )
        ]
        answer = self.answer_embedding.expand(len(text), 1, -1)
        x = torch.cat([answer, *(tokens for tokens, _ in modalities)], dim=1)
        answer_mask = torch.ones_like(x[:, :1, 0], dtype=torch.bool)
        return x, torch.cat([answer_mask, *(mask for _, mask in modalities)], dim=1)

    @staticmethod
    def _with_absent(tokens: Tensor, valid_mask: Tensor, has: Tensor, absent: Tensor) -> tuple[Tensor, Tensor]:
        """Where a row lacks the modality, or no token of it is valid, the first token becomes the absent token and the
        rest become padding."""
        has = has & valid_mask.any(1)
        lead = torch.where(has[:, None, None], tokens[:, :1], absent)
        first_only = torch.zeros_like(valid_mask)
        first_only[:, 0] = True
        return torch.cat([lead, tokens[:, 1:]], dim=1), torch.where(has[:, None], valid_mask, first_only)


def row_by_row(encode: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Returns ``encode(inputs)``. On a CPU the rows are encoded one by one: there, convolutions of a batch are no
    faster, and round a row otherwise than alone."""
    if inputs.device.type != "cpu" or len(inputs) == 1:
        return encode(inputs)
    return torch.cat([encode(row[None]) for row in inputs])


def padding_last(x: Tensor, valid_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the valid tokens of each row of ``x`` ``[B, N, D]`` in their order, and padding behind the shorter rows.

    Zeros at the end change no sum, so that a row of a batch has, on a CPU to the last bit, the numbers that it has
    alone. ``valid_mask`` ``[B, N]`` is returned for the same tokens.
    """
    used = valid_mask.any(0)
    x, valid_mask = x[:, used], valid_mask[:, used]
    if bool(valid_mask.all()):
        return x, valid_mask
    order = (~valid_mask).to(torch.int8).argsort(dim=1, stable=True)[:, : int(valid_mask.sum(1).max())]
    return x.gather(1, order[..., None].expand(-1, -1, x.shape[2])), valid_mask.gather(1, order)


def key_padding_mask(valid_mask: Tensor, x: Tensor) -> Tensor:
    """Returns ``[B, 1, 1, N]`` in the dtype of ``x``: 0 for valid keys, -inf for padding; ``valid_mask`` ``[B, N]``."""
    zeros = torch.zeros_like(valid_mask, dtype=x.dtype)[:, None, None]
    return zeros.masked_fill(~valid_mask[:, None, None], -torch.inf)


def _of_rows(tokens: Tensor, numbers: Tensor | None, rows: int) -> Tensor:
    """Returns the tokens ``[B, n, D]`` of every row, each from the row of ``tokens`` that ``numbers`` ``[B]`` names."""
    return tokens.expand(rows, -1, -1) if numbers is None else tokens[numbers]


def _length_mask(lengths: Tensor, size: int) -> Tensor:
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def _patch_features() -> Tensor:
    """Returns smooth features of each patch's centre, ``[100, 22]``: x and y from -1 to 1, their sines and cosines."""
    line = (torch.arange(PATCHES) + 0.5) / PATCHES * 2 - 1
    y, x = (axis.flatten() for axis in torch.meshgrid(line, line, indexing="ij"))
    waves = [wave(axis * math.pi * k / 2) for k in range(1, 6) for axis in (x, y) for wave in (torch.sin, torch.cos)]
    return torch.stack([x, y, *waves], dim=1)
