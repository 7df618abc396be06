"""The bundled `trio` as a model of mmviz: its weights and card, samples to tensors, tokens with their locations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load
from tokenizers import Encoding, Tokenizer
from torch import Tensor
from torch.nn import functional

from mmviz.assets_path import assets_dir
from mmviz.inputs.mel import SAMPLE_RATE
from mmviz.inputs.whisper_mel import N_MELS, whisper_log_mel
from mmviz.models.cards import trio_card
from mmviz.models.encoders.frozen_encoders import load_encoders
from mmviz.models.encoders.picture_encoder import PATCHES, SIDE, normalised
from mmviz.models.encoders.sound_encoder import LAYERS, POSITIONS
from mmviz.models.input_doubts import InputDoubts
from mmviz.models.joining_rows import joining_rows
from mmviz.models.lens_readout import LensReadout
from mmviz.models.nfc_spans import nfc_with_spans
from mmviz.models.out_of_distribution import question_notices, stored
from mmviz.models.protocol import BatchOutput, CaptureTargets, Prepared
from mmviz.models.trio_network import (
    FRAMES,
    HOPS_PER_FRAME,
    MAX_TEXT_TOKENS,
    SECONDS_PER_FRAME,
    STREAM,
    Trio,
    TrioInput,
    sounding_frames,
    trio_config,
)
from mmviz.types import (
    ABSENT,
    AudioInput,
    CaptureError,
    Chars,
    ImageInput,
    MmvizError,
    Modality,
    Notice,
    PixelBox,
    Sample,
    Seconds,
    Token,
    as_tokens,
)

SOUND_STREAM = "sound encoder"
SECONDS = FRAMES * SECONDS_PER_FRAME
"""Seconds of audio that the model reads."""
SECONDS_PER_MOMENT = SECONDS / POSITIONS
"""Seconds of a token of the sound encoder."""
PADDING = "padding"
"""Label of tokens of the sound encoder after the end of the sound, where it hears silence."""
_ORDER = (Modality.TEXT, Modality.IMAGE, Modality.AUDIO)
"""Modalities in the order of the sequence."""
UNKNOWN = "[UNK]"
"""Token of a word that the model does not know."""
_MASK = re.compile(r"\[mask\]", re.IGNORECASE)


class BundledTrio:
    """`trio` with the weights in ``assets/trio``, or with ``weights``, the bytes of a safetensors file.

    Raises ``MmvizError`` (``weights-unreadable``) for weights of another model, or damaged ones.
    """

    embedding = "fusion_input"
    """Path of the module whose output are the tokens that enter the layers."""
    takes_batches = joins_rows = True

    def __init__(self, device: str, weights: bytes | None = None):
        folder = assets_dir() / "trio"
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        vocabulary = self.tokenizer.get_vocab()
        self._unknown = vocabulary[UNKNOWN]
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
        ids, text_tokens = self._tokenize(sample.text, notices)
        mel, frames = _frames(sample.audio, notices)
        pixels, patches = _patches(sample.image, notices)
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
        """Returns notices of a picture and a sound out of the world of this model.

        A run asks for them once, of its own inputs: each that was not seen before costs a pass of its encoder.
        """
        image = None if sample.image is None else _patches(sample.image, [])[0]
        mel, frames = _frames(sample.audio, [])
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

    def _tokenize(self, text: str | None, notices: list[Notice]) -> tuple[list[int], list[Token]]:
        if text is None:
            return [], []
        normal, spans = nfc_with_spans(text)  # the same word must not depend on how a keyboard writes its accents
        encoded = self.tokenizer.encode(_MASK.sub("[MASK]", normal))  # case is free, there as well
        words = whole_words(encoded, normal, self._unknown)
        if len(words) > MAX_TEXT_TOKENS:
            notices.append(Notice("text-cut", {"limit": MAX_TEXT_TOKENS}))
        words = words[:MAX_TEXT_TOKENS]
        tokens = [
            Token(Modality.TEXT, label, Chars(spans[start][0], spans[end - 1][1])) for _, label, (start, end) in words
        ]
        return [number for number, _, _ in words], tokens


def whole_words(encoded: Encoding, text: str, unknown: int) -> list[tuple[int, str, tuple[int, int]]]:
    """Returns id, label and characters of each word of an encoded ``text``; one in several pieces is one unknown word.

    Its pieces mean nothing to the model, which never met them.
    """
    pieces = zip(encoded.ids, encoded.tokens, encoded.offsets, encoded.word_ids, strict=True)
    words: list[tuple[int, str, tuple[int, int]]] = []
    for _, group in groupby(pieces, lambda piece: piece[3] if piece[3] is not None else piece[2]):  # [MASK] has no word
        ids, labels, offsets, _ = zip(*group, strict=True)
        span = (offsets[0][0], offsets[-1][1])
        is_known = len(ids) == 1 and ids[0] != unknown
        words.append((ids[0], labels[0], span) if is_known else (unknown, text[slice(*span)], span))
    return words


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
    """Returns the different ones of ``parts``, one row each, and the row that each part has become.

    There are no numbers of rows where all parts are one tensor, or each is another.
    """
    different = list({id(part): part for part in parts}.values())
    if len(different) in (1, len(parts)):
        return torch.cat(different), None
    places = {id(part): row for row, part in enumerate(different)}
    return torch.cat(different), torch.tensor([places[id(part)] for part in parts], device=parts[0].device)


def _patches(image: ImageInput | None, notices: list[Notice]) -> tuple[Tensor, list[Token]]:
    """Returns pixels as the encoder reads them, float32 ``[3, 384, 384]``; patches in pixels of the original."""
    if image is None:
        return torch.zeros(3, SIDE, SIDE), []
    if image.width != image.height:
        notices.append(Notice("image-squeezed", {"width": image.width, "height": image.height}))
    resized = Image.fromarray(image.pixels).resize((SIDE, SIDE), Image.Resampling.BOX)
    pixels = normalised(torch.from_numpy(np.array(resized))).permute(2, 0, 1).contiguous()
    columns, rows = (np.linspace(0, length, PATCHES + 1) for length in (image.width, image.height))
    tokens = [
        Token(
            Modality.IMAGE, f"patch {row + 1},{column + 1}",
            PixelBox(float(columns[column]), float(rows[row]), float(columns[column + 1]), float(rows[row + 1])),
        )
        for row in range(PATCHES)
        for column in range(PATCHES)
    ]  # fmt: skip
    return pixels, tokens


def _frames(audio: AudioInput | None, notices: list[Notice]) -> tuple[np.ndarray, list[Token]]:
    """Returns the log-mel spectrogram of the first 4 s, float32 ``[80, 400]``, and its frames of 80 ms."""
    hops = FRAMES * HOPS_PER_FRAME
    if audio is None:
        return np.zeros((N_MELS, hops), np.float32), []
    if audio.seconds > SECONDS:
        notices.append(Notice("audio-cut", {"seconds": audio.seconds, "limit": SECONDS}))
    mel, count = whisper_log_mel(audio.wave, hops), sounding_frames(len(audio.wave))
    return mel, _moments(audio, count, SECONDS_PER_FRAME)


def sound_tokens(audio: AudioInput) -> tuple[Token, ...]:
    """Returns the tokens of the sound encoder: moments of 20 ms, and padding from the end of the sound up to 4 s.

    The encoder attends to the silence there as to any other moment.
    """
    samples = round(SECONDS_PER_MOMENT * SAMPLE_RATE)
    moments = _moments(audio, min(POSITIONS, max(1, -(-len(audio.wave) // samples))), SECONDS_PER_MOMENT)
    return (*moments, *[Token(Modality.SPECIAL, PADDING)] * (POSITIONS - len(moments)))


def _moments(audio: AudioInput, count: int, seconds: float) -> list[Token]:
    """Returns the first moments of a sound, each so many ``seconds`` long, the last one as long as the sound lasts."""
    ends = [min((k + 1) * seconds, max(audio.seconds, k * seconds + 1e-3)) for k in range(count)]
    return [Token(Modality.AUDIO, f"{k * seconds:.2f} s", Seconds(k * seconds, end)) for k, end in enumerate(ends)]
