"""Tokens with their locations, as the ``prepare`` of a custom model needs them: patches, moments, words, a prompt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mmviz.types import AudioInput, Chars, ImageInput, MmvizError, Modality, PixelBox, Seconds, Token

Offsets = Iterable[tuple[int, int]]
"""Start and end of each piece in a string, as a tokenizer of Hugging Face returns them (``return_offsets_mapping``)."""


def image_patches(image: ImageInput, rows: int, columns: int) -> list[Token]:
    """Returns ``rows`` x ``columns`` equal patches of the original image, row by row."""
    width, height = image.width / columns, image.height / rows
    return [
        Token(
            Modality.IMAGE,
            f"patch {row}, {column}",
            PixelBox(column * width, row * height, (column + 1) * width, (row + 1) * height),
        )
        for row in range(rows)
        for column in range(columns)
    ]


def audio_moments(audio: AudioInput, count: int, seconds: float) -> list[Token]:
    """Returns ``count`` moments of ``seconds`` each; those after the end of the audio are padding, special tokens."""
    moments = []
    for index in range(count):
        start, end = index * seconds, min((index + 1) * seconds, audio.seconds)
        is_audio = start < end
        location = Seconds(start, end) if is_audio else None
        label = f"{start:.2f} s" if is_audio else "padding"
        moments.append(Token(Modality.AUDIO if is_audio else Modality.SPECIAL, label, location))
    return moments


def prompt_tokens(
    prompt: str, offsets: Offsets, text: str = "", placeholders: Mapping[str, Sequence[Token]] | None = None
) -> list[Token]:
    """Returns the token of each piece of a prompt.

    Args:
        prompt: What the tokenizer was given, special tokens included.
        offsets: Start and end of each piece in it.
        text: The part of the prompt that the user wrote, where it last stands; its pieces are text with their
            characters, all others special tokens.
        placeholders: By placeholder, such as ``"<|IMAGE|>"``, the tokens that take its places, in order.

    Raises ``MmvizError`` (``own-placeholders``) where there are more or fewer places than tokens.
    """
    start = prompt.rindex(text) if text else len(prompt)
    waiting = {placeholder: list(tokens) for placeholder, tokens in (placeholders or {}).items()}
    counts = dict.fromkeys(waiting, 0)
    pieces = []
    for first, end in offsets:
        piece = prompt[first:end]
        if piece in waiting:
            counts[piece] += 1
            pieces.extend(waiting[piece][counts[piece] - 1 : counts[piece]])
        elif start <= first < end <= start + len(text):
            pieces.append(Token(Modality.TEXT, piece, Chars(first - start, end - start)))
        else:
            pieces.append(Token(Modality.SPECIAL, piece))
    for placeholder, tokens in waiting.items():
        if counts[placeholder] != len(tokens):
            raise MmvizError(
                "own-placeholders", placeholder=placeholder, places=counts[placeholder], tokens=len(tokens)
            )
    return pieces
