"""Tokens and their places in the original inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mmviz.types.errors import CaptureError


class Modality(StrEnum):
    """What a token comes from; ``SPECIAL`` are special tokens."""

    IMAGE = "image"
    TEXT = "text"
    AUDIO = "audio"
    SPECIAL = "special"


MODALITIES = tuple(Modality)
"""All modalities, in the order in which they index arrays: image, text, audio, special."""
INPUT_MODALITIES = MODALITIES[:3]
"""The modalities of an input: image, text, audio."""


@dataclass(frozen=True)
class PixelBox:
    """A rectangle in pixels of the original picture, ``x0 <= x < x1``."""

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        if not (self.x0 < self.x1 and self.y0 < self.y1):
            raise ValueError(f"an empty box: {self}")


@dataclass(frozen=True)
class Seconds:
    """A stretch of the original sound, in seconds."""

    start: float
    end: float

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(f"an empty stretch of time: {self}")


@dataclass(frozen=True)
class Chars:
    """A stretch of the original text, in characters (Python string indices)."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(f"an empty stretch of text: {self}")


ABSENT = "absent"
"""The label of a token that stands in for a modality that is missing."""
Location = PixelBox | Seconds | Chars | None
_PLACES = {Modality.IMAGE: PixelBox, Modality.AUDIO: Seconds, Modality.TEXT: Chars}


@dataclass(frozen=True)
class Token:
    """One token and its place; ``location`` is None for special tokens and for a modality's "absent" token."""

    modality: Modality
    label: str
    location: Location = None

    def __post_init__(self) -> None:
        if self.location is not None and not isinstance(self.location, _PLACES.get(self.modality, type(None))):
            raise ValueError(f"a token of {self.modality} cannot lie at {self.location}")


def is_word(token: Token) -> bool:
    """Whether a token is a word of a text that need not be at hand: it has no place, and stands in for nothing."""
    return token.modality is Modality.TEXT and token.location is None and token.label != ABSENT


def as_tokens(given: Sequence[str | Token]) -> tuple[Token, ...]:
    """Tokens as they are; strings as tokens of the text without a place.

    Raises ``CaptureError`` (``capture-token-kind``) for anything else.
    """
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise CaptureError("capture-token-kind", kind=type(given).__name__)
    for one in given:
        if not isinstance(one, str | Token):
            raise CaptureError("capture-token-kind", kind=type(one).__name__)
    return tuple(one if isinstance(one, Token) else Token(Modality.TEXT, one) for one in given)


def index_tokens(count: int) -> tuple[Token, ...]:
    """Tokens of which nothing is known but how many there are."""
    return tuple(Token(Modality.SPECIAL, str(k)) for k in range(count))
