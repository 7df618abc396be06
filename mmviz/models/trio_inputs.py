"""What `trio` reads of a sample, with the tokens of it: words, patches of the picture, moments of the sound."""

from __future__ import annotations

import re
from itertools import groupby

import numpy as np
import torch
from PIL import Image
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from mmviz.inputs.mel import SAMPLE_RATE
from mmviz.inputs.whisper_mel import N_MELS, whisper_log_mel
from mmviz.models.encoders.picture_encoder import PATCHES, SIDE, normalised
from mmviz.models.encoders.sound_encoder import POSITIONS
from mmviz.models.nfc_spans import nfc_with_spans
from mmviz.models.trio_network import FRAMES, HOPS_PER_FRAME, MAX_TEXT_TOKENS, SECONDS_PER_FRAME, sounding_frames
from mmviz.types import AudioInput, Chars, ImageInput, Modality, Notice, PixelBox, Seconds, Token

SECONDS = FRAMES * SECONDS_PER_FRAME
"""Seconds of audio that the model reads."""
SECONDS_PER_MOMENT = SECONDS / POSITIONS
"""Seconds of a token of the sound encoder."""
PADDING = "padding"
"""Label of tokens of the sound encoder after the end of the sound, where it hears silence."""
UNKNOWN = "[UNK]"
"""Token of a word that the model does not know."""
_MASK = re.compile(r"\[mask\]", re.IGNORECASE)


def words_of(text: str | None, tokenizer: Tokenizer, notices: list[Notice]) -> tuple[list[int], list[Token]]:
    """Returns ids and tokens of the words of a text, at most `MAX_TEXT_TOKENS`; a notice where there are more."""
    if text is None:
        return [], []
    normal, spans = nfc_with_spans(text)  # the same word must not depend on how a keyboard writes its accents
    encoded = tokenizer.encode(_MASK.sub("[MASK]", normal))  # case is free, there as well
    unknown = tokenizer.token_to_id(UNKNOWN)
    assert unknown is not None
    words = whole_words(encoded, normal, unknown)
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


def patches_of(image: ImageInput | None, notices: list[Notice]) -> tuple[Tensor, list[Token]]:
    """Returns pixels as the encoder reads them, float32 ``[3, 384, 384]``; patches in pixels of the original."""
    if image is None:
        return torch.zeros(3, SIDE, SIDE, dtype=torch.float32), []
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


def frames_of(audio: AudioInput | None, notices: list[Notice]) -> tuple[np.ndarray, list[Token]]:
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
