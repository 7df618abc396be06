"""The bundled `trio` as a model of mmviz: its weights and card, its calls, and the variants of a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from mmviz.assets_path import assets_dir
from mmviz.models.cards import trio_card
from mmviz.models.encoders.frozen_encoders import load_encoders
from mmviz.models.encoders.picture_encoder import PATCHES
from mmviz.models.encoders.sound_encoder import LAYERS
from mmviz.models.input_doubts import InputDoubts
from mmviz.models.lens_readout import LensReadout
from mmviz.models.out_of_distribution import question_notices, stored
from mmviz.models.protocol import BatchOutput, CaptureTargets, Prepared
from mmviz.models.shared_early_layers import joining_rows
from mmviz.models.trio_inputs import frames_of, patches_of, sound_tokens, words_of
from mmviz.models.trio_network import (
    FRAMES,
    STREAM,
    Trio,
    TrioInput,
    trio_config,
)
from mmviz.types import (
    ABSENT,
    CaptureError,
    MmvizError,
    Modality,
    Notice,
    Sample,
    Token,
    as_tokens,
)

SOUND_STREAM = "sound encoder"
_ORDER = (Modality.TEXT, Modality.IMAGE, Modality.AUDIO)
"""Modalities in the order of the sequence."""


class BundledTrio:
    """`trio` with the weights in ``assets/trio``, or with ``weights``, the bytes of a safetensors file.

    Raises ``MmvizError`` (``weights-unreadable``) for damaged weights, or those of another model.
    """

    embedding = "fusion_input"
    """Path of the module whose output are the tokens that enter the layers."""
    takes_batches = joins_rows = True

    def __init__(self, device: str, weights: bytes | None = None):
        folder = assets_dir() / "trio"
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        vocabulary = self.tokenizer.get_vocab()
        data = weights if weights is not None else (folder / "weights.safetensors").read_bytes()
        self.card = trio_card(data)
        config = trio_config(vocabulary, self.card.answers)
        module = Trio(config, encoders=load_encoders())
        try:
            state = {name.removeprefix("model."): tensor for name, tensor in load(data).items() if "model." in name}
            missing, unknown = module.load_state_dict(state, strict=False)
            if unknown or any(not name.startswith("encoders.") for name in missing):
                raise LookupError
        except (SafetensorError, RuntimeError, ValueError, LookupError) as problem:
            raise MmvizError("weights-unreadable", name="weights.safetensors") from problem
        self.module: torch.nn.Module = module.to(device=device, dtype=torch.float32).eval()
        self.device = device
        self._input_doubts = InputDoubts(module, vocabulary, self.card.weights_digest)
        self.temperature: float | None = None
        if self._input_doubts.is_fitted:
            self.temperature = float(stored()["confidence"]["temperature"])
        self.capture_targets: CaptureTargets | None = attention_targets("blocks", config.layers, STREAM)
        self.towers: CaptureTargets | None = sound_targets("encoders")

    def __call__(self, tensors: TrioInput) -> Tensor:
        """Returns logits ``[answer]``."""
        output: Tensor = self.module(tensors).logits[0]
        return output

    def prepare(self, sample: Sample) -> Prepared:
        """Returns one row of input, without padding, and its tokens in the order of the sequence."""
        notices: list[Notice] = []
        ids, text_tokens = words_of(sample.text, self.tokenizer, notices)
        mel, frames = frames_of(sample.audio, notices)
        pixels, patches = patches_of(sample.image, notices)
        has_text, has_image, has_audio = bool(text_tokens), bool(patches), bool(frames)
        notices += question_notices(sample.text) if sample.text is not None else []
        tensors = TrioInput(
            image=pixels[None], mel=torch.from_numpy(mel)[None],
            frames=torch.tensor([max(1, len(frames))]), text=torch.tensor([ids or [0]]),
            text_lengths=torch.tensor([max(1, len(ids))]), has_image=torch.tensor([has_image]),
            has_audio=torch.tensor([has_audio]), has_text=torch.tensor([has_text]),
        )  # fmt: skip
        tensors = TrioInput(
            **{name: value.to(self.device) for name, value in vars(tensors).items() if value is not None}
        )
        tokens = (
            Token(Modality.SPECIAL, "answer"),
            *(text_tokens or [Token(Modality.TEXT, ABSENT)]),
            *(patches or [Token(Modality.IMAGE, ABSENT)]),
            *(frames or [Token(Modality.AUDIO, ABSENT)]),
        )
        towers = {} if sample.audio is None else {SOUND_STREAM: sound_tokens(sample.audio)}
        return Prepared(tensors, {STREAM: tokens}, tuple(notices), towers=towers)

    def doubts(self, sample: Sample) -> tuple[Notice, ...]:
        """Returns notices of a picture and a sound that are out of distribution.

        A run calls it once, for its own inputs: a new input costs a pass of its encoder.
        """
        image = None if sample.image is None else patches_of(sample.image, [])[0]
        mel, frames = frames_of(sample.audio, [])
        return self._input_doubts.notices(image, torch.from_numpy(mel) if frames else None, len(frames))

    def lens_readout(self, tensors: TrioInput) -> LensReadout:
        """Returns the layers, and the final norm and answer head that read the answer token."""
        network: Any = self.module  # whose weights may be shuffled
        layers = tuple(f"blocks.{layer}" for layer in range(len(network.blocks)))
        return LensReadout(layers, network.answer_logits, ("final_norm", "answer_head"), self.card.answers.__getitem__)

    def baseline_tokens(self, prepared: Prepared, tokens: Tensor) -> Tensor:
        """Returns ``tokens`` ``[1, token, width]``, each replaced by the learned absent token of its modality."""
        stream = _stream_of(prepared)
        learned = self.module.get_parameter("absent_embedding")  # of the module, whose weights may be shuffled
        absent = dict(zip(_ORDER, learned.detach(), strict=True))
        rows = [absent.get(token.modality, state) for token, state in zip(stream, tokens[0], strict=True)]
        return torch.stack(rows)[None]

    def vary(self, prepared: Prepared, dropped: frozenset[Modality], hidden: Sequence[int]) -> Prepared:
        """Returns ``prepared`` without some modalities, and with the tokens at the indices ``hidden`` masked out.

        A modality without any token left gives way to its learned absent token. Raises ``CaptureError``
        (``view-tokens``) for an index out of range.
        """
        stream = _stream_of(prepared)
        for k in hidden:
            if not 0 <= k < len(stream):
                raise CaptureError("view-tokens", token=k, count=len(stream))
        removed = {k for k in hidden if stream[k].modality is not Modality.SPECIAL}
        removed |= {k for k, token in enumerate(stream) if token.modality in dropped}
        tensors: TrioInput = prepared.tensors
        hidden_mask = self._hidden_mask(tensors).clone()
        tokens = [token for token in stream if token.modality is Modality.SPECIAL]
        sizes = [tensors.text.shape[1], PATCHES**2, FRAMES]
        for modality, part in zip(_ORDER, torch.split(hidden_mask, sizes, dim=1), strict=True):
            indices = [k for k, token in enumerate(stream) if token.modality is modality]
            positions = (~part[0]).nonzero()[:, 0].tolist()  # of these tokens in the row, in order
            part[0, [position for position, k in zip(positions, indices, strict=False) if k in removed]] = True
            tokens += [stream[k] for k in indices if k not in removed] or [Token(modality, ABSENT)]
        is_heard = any(token.modality is Modality.AUDIO and token.location is not None for token in tokens)
        return Prepared(
            replace(tensors, hidden=hidden_mask), {STREAM: tuple(tokens)}, prepared.notices,
            towers=prepared.towers if is_heard else {},
        )  # fmt: skip

    def _hidden_mask(self, tensors: TrioInput) -> Tensor:
        """Returns which tokens are masked out, bool ``[1, T + 144 + 50]``."""
        size = tensors.text.shape[1] + PATCHES**2 + FRAMES
        return torch.zeros(1, size, dtype=torch.bool, device=self.device) if tensors.hidden is None else tensors.hidden

    def join(self, rows: Sequence[Prepared]) -> TrioInput:
        """Returns a batch of ``rows``. An image or sound that several rows share is there, and encoded, once."""
        inputs: list[TrioInput] = [row.tensors for row in rows]
        longest = max(row.text.shape[1] for row in inputs)
        hidden = []
        for row in inputs:
            text, rest = torch.split(self._hidden_mask(row), [row.text.shape[1], PATCHES**2 + FRAMES], dim=1)
            hidden.append(torch.cat([functional.pad(text, (0, longest - text.shape[1])), rest], dim=1))
        image, image_rows = _each_once([row.image for row in inputs])
        mel, mel_rows = _each_once([row.mel for row in inputs])
        return TrioInput(
            image=image, mel=mel, image_rows=image_rows, mel_rows=mel_rows,
            text=torch.cat([functional.pad(row.text, (0, longest - row.text.shape[1])) for row in inputs]),
            hidden=torch.cat(hidden),
            **{name: torch.cat([getattr(row, name) for row in inputs])
               for name in ("frames", "text_lengths", "has_image", "has_audio", "has_text")},
        )  # fmt: skip

    def batch(self, tensors: TrioInput, rows: int) -> Tensor:
        """Returns logits ``[row, answer]``."""
        return self.batch_output(tensors, rows).logits

    def batch_output(self, tensors: TrioInput, rows: int) -> BatchOutput:
        """Returns the logits of every row, and which tokens of a batch are its own."""
        output = self.module(tensors)
        return BatchOutput(output.logits, output.valid_masks)

    def batch_from(self, tensors: TrioInput, layers: Sequence[int]) -> Tensor:
        """See `SupportsVariants.batch_from`."""
        with joining_rows(self.module.get_submodule("blocks"), layers):  # type: ignore[arg-type]
            return self.batch(tensors, 1 + len(layers))


def sound_targets(encoders: str) -> CaptureTargets:
    """Returns the self-attention of the sound encoder, in the module with this path."""
    return attention_targets(f"{encoders}.sound.layers", LAYERS, SOUND_STREAM)


def attention_targets(layers: str, count: int, stream: str) -> CaptureTargets:
    """Returns the self-attention of the layers in a list of modules."""
    paths = tuple(f"{layers}.{layer}.attention" for layer in range(count))
    return CaptureTargets(paths, ((stream, stream),) * count)


def _stream_of(prepared: Prepared) -> tuple[Token, ...]:
    assert isinstance(prepared.streams, Mapping)
    return as_tokens(prepared.streams[STREAM])


def _each_once(parts: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
    """Returns the distinct ``parts``, one row each, and the row of each part.

    The rows are None where all parts are the same tensor, or all are distinct.
    """
    different = list({id(part): part for part in parts}.values())
    if len(different) in (1, len(parts)):
        return torch.cat(different), None
    places = {id(part): row for row, part in enumerate(different)}
    return torch.cat(different), torch.tensor([places[id(part)] for part in parts], device=parts[0].device)
