"""The bundled fusion model `trio`: three modalities into one common space, then a transformer over all tokens.

Pictures and sounds are read by frozen encoders; what is trained are projections into the common space and the fusion.
Sequence: ``[answer] [text tokens] [image patches] [audio frames]``; a missing modality is one learned "absent" token.
One table of token vectors is the common space itself: text enters through it, patches and frames are named against it,
and the answer is scored against it. Axes: B batch, N tokens, T text tokens, D width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmviz.inputs.mel import HOP, SAMPLE_RATE
from mmviz.models.batch_invariance import key_padding_mask, length_mask, of_rows, padding_last, row_by_row
from mmviz.models.encoders.frozen_encoders import FrozenEncoders, classified_words
from mmviz.models.encoders.picture_encoder import PATCHES
from mmviz.models.encoders.sound_encoder import POSITIONS
from mmviz.models.trio_layers import Block
from mmviz.models.trio_projectors import POOLED, FrameProjection, PatchProjection, pooled_frames

STREAM = "tokens"
"""The stream of all tokens, over which attention runs."""
FRAMES = POSITIONS // POOLED
"""Audio frames that the model reads."""
HOPS_PER_FRAME = 2 * POOLED
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
    classified: tuple[int, ...]
    """Rows of that table for the words that the picture encoder's classifier knows."""
    width: int = 192
    """Features of a token in the common space, D."""
    heads: int = 4
    """Attention heads of a layer."""
    layers: int = 6
    """Transformer layers."""
    mlp_ratio: int = 3
    """Hidden units of an MLP, in multiples of the width."""


def trio_config(vocabulary: Mapping[str, int], answers: Sequence[str]) -> TrioConfig:
    """Returns the sizes of the bundled `trio` for the ids of its text tokens and its answers."""
    rows, classified = ([vocabulary[word] for word in words] for words in (answers, classified_words()))
    return TrioConfig(len(vocabulary), tuple(rows), tuple(classified))


@dataclass
class TrioInput:
    """A batch. A modality can be absent in a row; its tokens then give way to one absent token."""

    image: Tensor
    """Float ``[B, 3, 384, 384]``, see `picture_encoder.normalised`; a single row is shared by all rows."""
    mel: Tensor
    """Log-mel spectrogram, float ``[B, 80, 400]``, see `whisper_log_mel`; a single row is shared by all rows."""
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
    """Tokens that are masked out, bool ``[B, T + 144 + 50]``."""
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


class Trio(nn.Module):
    """The whole model. It does not know that it is captured."""

    patch_features: Tensor
    """Where each patch lies, float ``[144, 22]``, see `_patch_features`."""
    answer_ids: Tensor
    """`TrioConfig.answers`, int64 ``[answer]``."""
    classified_ids: Tensor
    """`TrioConfig.classified`, int64 ``[word]``."""

    def __init__(self, config: TrioConfig, tied_layers: int = 3, encoders: FrozenEncoders | None = None):
        super().__init__()
        width = config.width
        self.config = config
        self.token_embedding = nn.Embedding(config.vocabulary, width)
        self.encoders = encoders
        self.image_projection = PatchProjection(width)
        self.audio_projection = FrameProjection(width)
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
        self.register_buffer("classified_ids", torch.tensor(config.classified), persistent=False)

    def encode_image(self, image: Tensor) -> Tensor:
        """Returns patch tokens in the common space, ``[B, 144, D]``."""
        return self.project_image(*self.image_features(image))

    def encode_audio(self, mel: Tensor) -> Tensor:
        """Returns frame tokens in the common space, ``[B, 50, D]``."""
        return self.project_audio(self.audio_features(mel))

    def image_features(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Returns what the frozen encoder gives: features ``[B, 144, 768]`` and `FrozenEncoders.words`."""
        return self._frozen.encode_picture(image)

    def audio_features(self, mel: Tensor) -> Tensor:
        """Returns what the frozen encoder gives, a row for each frame, ``[B, 50, 384]``."""
        return pooled_frames(self._frozen.encode_sound(mel))

    @property
    def _frozen(self) -> FrozenEncoders:
        assert self.encoders is not None, "made without encoders, to be trained on their features"
        return self.encoders

    def project_image(self, features: Tensor, words: Tensor) -> Tensor:
        """Returns patch tokens ``[B, 144, D]`` for `image_features`."""
        vectors = words @ self.token_embedding(self.classified_ids)
        tokens: Tensor = self.common_norm(self.image_projection(features, vectors))
        return tokens

    def project_audio(self, features: Tensor) -> Tensor:
        """Returns frame tokens ``[B, 50, D]`` for `audio_features`."""
        tokens: Tensor = self.common_norm(self.audio_projection(features))
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
        logits = self.answer_logits(x[:, 0]) if self.training else row_by_row(self.answer_logits, x[:, 0])
        return TrioOutput(logits, states, {STREAM: valid_mask})

    def answer_logits(self, x: Tensor) -> Tensor:
        """Returns logits ``[B, answer]`` for states ``x`` ``[B, D]`` of the answer token."""
        return self.score(self.answer_head(self.final_norm(x)), self.answer_ids, self.logit_scale[2])

    def sequence(self, batch: TrioInput, patches: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Returns all tokens ``[B, 1 + T + 144 + 50, D]``, and which of them are valid (not padding)."""
        text = self.token_embedding(batch.text) + self.text_position[: batch.text.shape[1]] + self.modality_embedding[0]
        image = patches + self.patch_position(self.patch_features) + self.modality_embedding[1]
        audio = frames + self.frame_position + self.modality_embedding[2]
        rows, length = batch.text.shape
        image, audio = of_rows(image, batch.image_rows, rows), of_rows(audio, batch.mel_rows, rows)
        all_patches = torch.ones(rows, PATCHES**2, dtype=torch.bool, device=image.device)
        masks = [length_mask(batch.text_lengths, length), all_patches, length_mask(batch.frames, FRAMES)]
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


def sounding_frames(samples: int) -> int:
    """Returns how many frames hold something of a sound of ``samples`` samples at 16 kHz, at least 1."""
    return min(FRAMES, max(1, -(-samples // (HOPS_PER_FRAME * HOP))))


def _patch_features() -> Tensor:
    """Returns smooth features of each patch's centre, ``[144, 22]``: x and y from -1 to 1, their sines and cosines."""
    line = (torch.arange(PATCHES) + 0.5) / PATCHES * 2 - 1
    y, x = (axis.flatten() for axis in torch.meshgrid(line, line, indexing="ij"))
    waves = [wave(axis * math.pi * k / 2) for k in range(1, 6) for axis in (x, y) for wave in (torch.sin, torch.cos)]
    return torch.stack([x, y, *waves], dim=1)
