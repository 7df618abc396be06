"""The bundled `trio` as a model of mmviz: weights and card from the assets, samples to tensors, tokens to places."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from mmviz.assets_path import assets_dir
from mmviz.inputs.mel import fitted_log_mel
from mmviz.inputs.text import composed
from mmviz.models import CaptureTargets, Prepared
from mmviz.models.cards import trio_card
from mmviz.models.out_of_distribution import picture_notices, question_notices, sound_notices
from mmviz.models.trio import (
    FRAMES,
    HOPS_A_FRAME,
    IMAGE_SIDE,
    MAX_PIECES,
    PATCHES,
    SECONDS_A_FRAME,
    Trio,
    TrioConfig,
    TrioInput,
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

STREAM = "tokens"
SECONDS = FRAMES * SECONDS_A_FRAME
_ORDER = (Modality.TEXT, Modality.IMAGE, Modality.AUDIO)
_MASK = re.compile(r"\[mask\]", re.IGNORECASE)


class BundledTrio:
    """`trio` with the weights that travel in ``assets/trio``, or with ``weights`` (safetensors bytes) of one's own."""

    def __init__(self, device: str, weights: bytes | None = None):
        folder = assets_dir() / "trio"
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        pieces = self.tokenizer.get_vocab()
        data = weights if weights is not None else (folder / "weights.safetensors").read_bytes()
        self.card = trio_card(data)
        config = TrioConfig(len(pieces), tuple(pieces[answer] for answer in self.card.answers))
        module = Trio(config)
        try:
            state = load(data)
            module.load_state_dict(
                {name.removeprefix("model."): tensor for name, tensor in state.items() if name.startswith("model.")}
            )
        except (SafetensorError, RuntimeError, ValueError, LookupError) as problem:  # of another model, or damaged
            raise MmvizError("weights-unreadable", name="weights.safetensors") from problem
        self.module: torch.nn.Module = module.to(device=device, dtype=torch.float32).eval()
        self.device = device
        paths = tuple(f"blocks.{layer}.attention" for layer in range(config.layers))
        self.capture_targets: CaptureTargets | None = CaptureTargets(paths, ((STREAM, STREAM),) * len(paths))

    def __call__(self, tensors: TrioInput) -> Tensor:
        """Logits ``[answer]``."""
        output: Tensor = self.module(tensors).logits[0]
        return output

    def prepare(self, sample: Sample) -> Prepared:
        """One row of input, without padding, and its tokens in the order in which the model sees them."""
        notices: list[Notice] = []
        ids, words = self._words(sample.text, notices)
        mel, moments = _frames(sample.audio, notices)
        pixels, patches = _patches(sample.image, notices)
        has_text, has_image, has_audio = bool(words), bool(patches), bool(moments)
        notices += question_notices(sample.text) if sample.text is not None else []
        notices += sound_notices(mel, HOPS_A_FRAME * len(moments)) if has_audio else []
        notices += picture_notices(pixels) if has_image else []
        tensors = TrioInput(
            image=torch.from_numpy(pixels)[None], mel=torch.from_numpy(mel)[None],
            frames=torch.tensor([max(1, len(moments))]), text=torch.tensor([ids or [0]]),
            pieces=torch.tensor([max(1, len(ids))]), has_image=torch.tensor([has_image]),
            has_audio=torch.tensor([has_audio]), has_text=torch.tensor([has_text]),
        )  # fmt: skip
        tensors = TrioInput(
            **{name: value.to(self.device) for name, value in vars(tensors).items() if value is not None}
        )
        tokens = (
            Token(Modality.SPECIAL, "answer"),
            *(words or [Token(Modality.TEXT, ABSENT)]),
            *(patches or [Token(Modality.IMAGE, ABSENT)]),
            *(moments or [Token(Modality.AUDIO, ABSENT)]),
        )
        return Prepared(tensors, {STREAM: tokens}, tuple(notices))

    embedding = "tokens"

    def nothing(self, prepared: Prepared, tokens: Tensor) -> Tensor:
        """``tokens`` ``[1, token, width]`` with the learned absent token of its modality in the place of each."""
        stream, learned = _stream_of(prepared), self.module.get_parameter("absent")  # of shuffled weights as well
        absent = dict(zip(_ORDER, learned.detach(), strict=True))
        parts = [absent.get(token.modality, own) for token, own in zip(stream, tokens[0], strict=True)]
        return torch.stack(parts)[None]

    def vary(self, prepared: Prepared, dropped: frozenset[Modality], hidden: Sequence[int]) -> Prepared:
        """``prepared`` without some modalities, and without the tokens at the indices ``hidden``: these take no part. A
        modality without any gives way to its learned absent token. Raises ``CaptureError`` (``view-tokens``)."""
        stream = _stream_of(prepared)
        for k in hidden:
            if not 0 <= k < len(stream):
                raise CaptureError("view-tokens", token=k, count=len(stream))
        gone = {k for k in hidden if stream[k].modality is not Modality.SPECIAL}
        gone |= {k for k, token in enumerate(stream) if token.modality in dropped}
        tensors: TrioInput = prepared.tensors
        at = self._hidden(tensors).clone()
        tokens = [token for token in stream if token.modality is Modality.SPECIAL]
        pieces = tensors.text.shape[1]
        for modality, part in zip(_ORDER, torch.split(at, [pieces, PATCHES**2, FRAMES], dim=1), strict=True):
            own = [k for k, token in enumerate(stream) if token.modality is modality]
            left = (~part[0]).nonzero()[:, 0].tolist()  # their places, in order
            part[0, [place for place, k in zip(left, own, strict=False) if k in gone]] = True
            tokens += [stream[k] for k in own if k not in gone] or [Token(modality, ABSENT)]
        return Prepared(replace(tensors, hidden=at), {STREAM: tuple(tokens)}, prepared.notices)

    def _hidden(self, tensors: TrioInput) -> Tensor:
        """Which tokens take no part, bool ``[1, T + 100 + 50]``."""
        size = tensors.text.shape[1] + PATCHES**2 + FRAMES
        return torch.zeros(1, size, dtype=torch.bool, device=self.device) if tensors.hidden is None else tensors.hidden

    def join(self, rows: Sequence[Prepared]) -> TrioInput:
        """A batch of ``rows``; a picture or sound that is the same in all of them is there, and encoded, once."""
        inputs: list[TrioInput] = [row.tensors for row in rows]
        longest = max(one.text.shape[1] for one in inputs)
        hidden = []
        for one in inputs:
            text, rest = torch.split(self._hidden(one), [one.text.shape[1], PATCHES**2 + FRAMES], dim=1)
            hidden.append(torch.cat([functional.pad(text, (0, longest - text.shape[1])), rest], dim=1))
        return TrioInput(
            image=_shared([one.image for one in inputs]), mel=_shared([one.mel for one in inputs]),
            text=torch.cat([functional.pad(one.text, (0, longest - one.text.shape[1])) for one in inputs]),
            hidden=torch.cat(hidden),
            **{name: torch.cat([getattr(one, name) for one in inputs])
               for name in ("frames", "pieces", "has_image", "has_audio", "has_text")},
        )  # fmt: skip

    def batch(self, tensors: TrioInput, rows: int) -> Tensor:
        """Logits ``[row, answer]``."""
        output: Tensor = self.module(tensors).logits
        return output

    def _words(self, text: str | None, notices: list[Notice]) -> tuple[list[int], list[Token]]:
        if text is None:
            return [], []
        normal, spans = composed(text)  # the same word must not depend on how a keyboard writes its accents
        encoded = self.tokenizer.encode(_MASK.sub("[MASK]", normal))  # case is free, there as well
        if len(encoded.ids) > MAX_PIECES:
            notices.append(Notice("text-cut", {"limit": MAX_PIECES}))
        tokens = [
            Token(Modality.TEXT, piece, Chars(spans[start][0], spans[end - 1][1]))
            for piece, (start, end) in zip(encoded.tokens, encoded.offsets, strict=True)
        ]
        return encoded.ids[:MAX_PIECES], tokens[:MAX_PIECES]


def _stream_of(prepared: Prepared) -> tuple[Token, ...]:
    assert isinstance(prepared.streams, Mapping)
    return as_tokens(prepared.streams[STREAM])


def _shared(parts: Sequence[Tensor]) -> Tensor:
    """One row where all are the same tensor, else all of them."""
    return parts[0] if all(part is parts[0] for part in parts) else torch.cat(list(parts))


def _patches(picture: ImageInput | None, notices: list[Notice]) -> tuple[np.ndarray, list[Token]]:
    """Pixels float32 ``[3, 160, 160]`` in -1 .. 1, and the patches, row by row, in pixels of the original."""
    if picture is None:
        return np.zeros((3, IMAGE_SIDE, IMAGE_SIDE), np.float32), []
    if picture.width != picture.height:
        notices.append(Notice("picture-squeezed", {"width": picture.width, "height": picture.height}))
    small = Image.fromarray(picture.pixels).resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.BOX)
    pixels = np.asarray(small, np.float32).transpose(2, 0, 1) / 127.5 - 1
    across, down = (np.linspace(0, length, PATCHES + 1) for length in (picture.width, picture.height))
    tokens = [
        Token(
            Modality.IMAGE, f"patch {row + 1},{column + 1}",
            PixelBox(float(across[column]), float(down[row]), float(across[column + 1]), float(down[row + 1])),
        )
        for row in range(PATCHES)
        for column in range(PATCHES)
    ]  # fmt: skip
    return np.ascontiguousarray(pixels), tokens


def _frames(sound: AudioInput | None, notices: list[Notice]) -> tuple[np.ndarray, list[Token]]:
    """Log-mel float32 ``[64, 400]`` of the first 4 s, and its frames of 80 ms."""
    hops = FRAMES * HOPS_A_FRAME
    if sound is None:
        return np.full((64, hops), -1, np.float32), []
    if sound.seconds > SECONDS:
        notices.append(Notice("sound-cut", {"seconds": sound.seconds, "limit": SECONDS}))
    mel, sounding = fitted_log_mel(sound.wave, hops)
    frames = -(-sounding // HOPS_A_FRAME)
    ends = [min((k + 1) * SECONDS_A_FRAME, max(sound.seconds, k * SECONDS_A_FRAME + 1e-3)) for k in range(frames)]
    tokens = [
        Token(Modality.AUDIO, f"{k * SECONDS_A_FRAME:.2f} s", Seconds(k * SECONDS_A_FRAME, end))
        for k, end in enumerate(ends)
    ]
    return mel, tokens
