"""Tokens and their locations in the original inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mmviz.types.errors import CaptureError
from mmviz.types.short_repr import ShortRepr, call_repr


class Modality(StrEnum):
    """Where a token comes from. ``SPECIAL``: special tokens, such as the answer token."""

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
    """A rectangle in pixels of the original image, with x to the right and y down.

    Raises ``ValueError`` for an empty rectangle.
    """

    x0: float
    """Left edge, included."""
    y0: float
    """Top edge, included."""
    x1: float
    """Right edge, excluded."""
    y1: float
    """Bottom edge, excluded."""

    def __post_init__(self) -> None:
        if not (self.x0 < self.x1 and self.y0 < self.y1):
            raise ValueError(f"the box is empty: {self}")

    @property
    def boxes(self) -> tuple[PixelBox, ...]:
        """All rectangles of the place: this one, and for a tube of a video those in the later frames."""
        return (self,)


@dataclass(frozen=True)
class PictureBox(PixelBox):
    """A rectangle in the pixels of a sheet of several pictures. Raises ``ValueError`` for an empty rectangle."""

    picture: int
    """The number of its picture, from 1."""


@dataclass(frozen=True)
class VideoPatch(PixelBox):
    """A rectangle in the pixels of a video's sheet of frames, and the moments for which its frame stands.

    A tube has the same rectangle in several frames. Raises ``ValueError`` for an empty rectangle, an empty or negative
    interval, or an odd number of ``later`` edges.
    """

    start: float
    """Start in seconds of the video, included."""
    end: float
    """End in seconds, excluded."""
    later: tuple[float, ...] = ()
    """Left and top edge of the rectangle in each later frame of a tube: x0, y0, x0, y0, ..."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "later", tuple(self.later))
        if not 0 <= self.start < self.end:
            raise ValueError(f"the time interval is empty or negative: {self}")
        if len(self.later) % 2:
            raise ValueError(f"a later frame lacks an edge: {self}")

    @property
    def boxes(self) -> tuple[PixelBox, ...]:
        """The rectangles in all frames, this one first."""
        width, height = self.x1 - self.x0, self.y1 - self.y0
        corners = zip(self.later[::2], self.later[1::2], strict=True)
        return (self, *(PixelBox(x, y, x + width, y + height) for x, y in corners))


@dataclass(frozen=True)
class Seconds:
    """An interval of the original audio. Raises ``ValueError`` for an empty or negative interval."""

    start: float
    """Start in seconds, included."""
    end: float
    """End in seconds, excluded."""

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(f"the time interval is empty or negative: {self}")


@dataclass(frozen=True)
class SpectrogramPatch(Seconds):
    """An interval of the original audio and a band of its frequencies. Raises ``ValueError`` for an empty one."""

    low_hertz: float
    """Lower end of the band in hertz, included."""
    high_hertz: float
    """Upper end of the band in hertz, excluded."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.low_hertz < self.high_hertz:
            raise ValueError(f"the band of frequencies is empty or negative: {self}")


@dataclass(frozen=True)
class Chars:
    """A span of the original text, as in ``text[start:end]``. Raises ``ValueError`` for an empty or negative span."""

    start: int
    """Index of the first character."""
    end: int
    """Index after the last character."""

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(f"the span of characters is empty or negative: {self}")


ABSENT = "absent"
"""Label of the token that stands in a missing modality's place."""
Location = PixelBox | PictureBox | VideoPatch | Seconds | SpectrogramPatch | Chars | None
"""Where a token lies in the original input; None for special tokens, and where it is not known."""

_LOCATION_TYPES = {Modality.IMAGE: PixelBox, Modality.AUDIO: Seconds, Modality.TEXT: Chars}


@dataclass(frozen=True, repr=False)
class Token(ShortRepr):
    """One token of the sequence that a model attends over.

    Raises ``ValueError`` for a location that its modality cannot have.
    """

    modality: Modality
    """The input that it is part of, or whose place it takes; `Modality.SPECIAL` for a token of no input."""
    label: str
    """What the token is called, such as a word or ``patch 3,4``."""
    location: Location = None
    """Where it lies in the original input; None for special tokens and for the token of a missing modality."""

    def __post_init__(self) -> None:
        expected = _LOCATION_TYPES.get(self.modality, type(None))
        if self.location is not None and not isinstance(self.location, expected):
            raise ValueError(f"a token of modality {self.modality} cannot have the location {self.location}")


class TokenSequence(tuple[Token, ...]):
    """The tokens of one stream: a tuple with a short ``repr``."""

    __slots__ = ()

    def __repr__(self) -> str:
        counts = Counter(token.modality for token in self)
        return call_repr(self, f"{len(self)} tokens", *(f"{modality}={count}" for modality, count in counts.items()))


def is_unlocated_word(token: Token) -> bool:
    """Returns whether a token is text whose location is not known, as in a record made without its sample."""
    return token.modality is Modality.TEXT and token.location is None and token.label != ABSENT


def as_tokens(tokens: Sequence[str | Token]) -> tuple[Token, ...]:
    """Returns ``tokens`` with every string as a text token without a location.

    Raises ``CaptureError`` (``capture-token-kind``) for anything but a sequence of strings and tokens.
    """
    if isinstance(tokens, str) or not isinstance(tokens, Sequence):
        raise CaptureError("capture-token-kind", kind=type(tokens).__name__)
    for token in tokens:
        if not isinstance(token, str | Token):
            raise CaptureError("capture-token-kind", kind=type(token).__name__)
    return tuple(token if isinstance(token, Token) else Token(Modality.TEXT, token) for token in tokens)


def location_numbers(location: Location) -> list[float]:
    """Returns the numbers of a location in the order of its fields; [] for None."""
    numbers: list[float] = []
    for value in () if location is None else vars(location).values():
        numbers += value if isinstance(value, tuple) else [value]
    return numbers


def index_tokens(count: int) -> tuple[Token, ...]:
    """Returns ``count`` tokens labelled by their index, for a sequence of which nothing else is known."""
    return tuple(Token(Modality.SPECIAL, str(k)) for k in range(count))
