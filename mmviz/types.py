"""The nouns of mmviz: frozen, self-checking, with read-only arrays.

Axes, wherever an attention array appears: ``[head, query, key]``.  A query (a row) asks, a key (a column) is asked,
and every row sums to 1.  Places are in the ORIGINAL input: pixels of the picture as the user sees it (after EXIF
turning), seconds of the sound, characters of the text; so that no figure ever guesses a grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class MmvizError(Exception):
    """Every refusal of mmviz. ``code`` and ``parameters`` say what happened; the message is one clear sentence."""

    def __init__(self, code: str, **parameters: object):
        from mmviz.texts import sentence

        self.code = code
        self.parameters = parameters
        super().__init__(sentence(code, **parameters))


class InputError(MmvizError):
    """A picture, sound or text that mmviz does not take."""


class CaptureError(MmvizError):
    """Attention that could not be read, or that is not what it claims to be."""


class Modality(StrEnum):
    """What a token comes from; ``OTHER`` are special tokens."""

    IMAGE = "image"
    TEXT = "text"
    AUDIO = "audio"
    OTHER = "other"


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


Where = PixelBox | Seconds | Chars | None
_PLACES = {Modality.IMAGE: PixelBox, Modality.AUDIO: Seconds, Modality.TEXT: Chars}


@dataclass(frozen=True)
class Token:
    """One token and its place; ``where`` is None for special tokens and for a modality's "absent" token."""

    modality: Modality
    label: str
    where: Where = None

    def __post_init__(self) -> None:
        if self.where is not None and not isinstance(self.where, _PLACES.get(self.modality, type(None))):
            raise ValueError(f"a token of {self.modality} cannot lie at {self.where}")


@dataclass(frozen=True)
class Notice:
    """Something the user should know: an input that was cut, resampled or converted. `mmviz.texts` has the words."""

    code: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        from mmviz.texts import sentence

        return sentence(self.code, **self.parameters)


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only view of ``array``."""
    view = array.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True)
class Picture:
    """``pixels`` uint8 ``[height, width, 3]``, at most 2,048 a side; ``width`` and ``height`` of the original."""

    pixels: NDArray[np.uint8]
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[2] != 3 or self.pixels.dtype != np.uint8:
            raise ValueError(f"a picture is uint8 [height, width, 3], not {self.pixels.dtype} {self.pixels.shape}")
        object.__setattr__(self, "pixels", frozen(self.pixels))


@dataclass(frozen=True)
class Sound:
    """``wave`` float32 mono ``[sample]`` at ``rate`` Hz (16,000), -1 .. 1; ``seconds`` long in the original."""

    wave: NDArray[np.float32]
    rate: int
    seconds: float

    def __post_init__(self) -> None:
        if self.wave.ndim != 1 or self.wave.dtype != np.float32:
            raise ValueError(f"a sound is float32 [sample], not {self.wave.dtype} {self.wave.shape}")
        object.__setattr__(self, "wave", frozen(self.wave))


@dataclass(frozen=True)
class Sample:
    """Checked inputs; any but not all may be None."""

    image: Picture | None = None
    text: str | None = None
    audio: Sound | None = None
    notices: tuple[Notice, ...] = ()


_TOLERANCE = {"float32": 1e-5, "float16": 1e-3, "bfloat16": 5e-3}


@dataclass(frozen=True)
class AttentionMap:
    """Exact attention weights of one layer, float32 ``[head, query, key]``.

    ``queries`` and ``keys`` name token streams of the record, so self- and cross-attention are the same type.
    ``dtype`` is the precision the model computed in. Raises ``CaptureError`` where a row does not sum to 1 (tolerance
    1e-5 for float32, 1e-3 float16, 5e-3 bfloat16), a weight is negative or not a number.
    """

    name: str
    layer: int
    queries: str
    keys: str
    weights: NDArray[np.float32]
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.weights.ndim != 3:
            raise CaptureError("map-shape", name=self.name, shape=self.weights.shape)
        if not np.isfinite(self.weights).all() or (self.weights < 0).any():
            raise CaptureError("map-negative", name=self.name)
        worst = float(np.abs(self.weights.sum(-1, dtype=np.float64) - 1).max())
        if worst > _TOLERANCE[self.dtype]:
            raise CaptureError("map-rows", name=self.name, worst=worst)
        object.__setattr__(self, "weights", frozen(self.weights))

    @property
    def heads(self) -> int:
        return int(self.weights.shape[0])


@dataclass(frozen=True)
class Answer:
    """One possible answer and the model's probability for it."""

    label: str
    probability: float


@dataclass(frozen=True)
class AttentionRecord:
    """What one run left behind: numpy and plain values only.

    ``streams`` name -> tokens; ``maps`` in order of execution; ``answers`` most probable first (all of them);
    ``notices`` of the model (input cut to its limits); ``made_by``: model, weights digest, device, dtype, seed,
    versions, milliseconds of each stage, the route by which the maps were taken and the parity measured;
    ``relevance`` ``[query, key]`` for the winning answer, where it was asked for.
    """

    id: str
    streams: Mapping[str, tuple[Token, ...]]
    maps: tuple[AttentionMap, ...]
    answers: tuple[Answer, ...]
    made_by: Mapping[str, Any]
    notices: tuple[Notice, ...] = ()
    relevance: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if self.relevance is not None:
            object.__setattr__(self, "relevance", frozen(self.relevance))
        for found in self.maps:
            expected = (len(self.streams[found.queries]), len(self.streams[found.keys]))
            if found.weights.shape[1:] != expected:
                raise CaptureError("map-tokens", name=found.name, shape=found.weights.shape[1:], expected=expected)


@dataclass(frozen=True)
class Drop:
    """A change: take a modality away."""

    modality: Modality


@dataclass(frozen=True)
class Randomise:
    """A change: shuffle the entries of every weight, so that nothing learned is left."""

    seed: int


@dataclass(frozen=True)
class Uniform:
    """A change: every query attends to every token alike."""


Change = Drop | Randomise | Uniform


@dataclass(frozen=True)
class Request:
    """One run to be made: ``sample`` through ``model`` with ``changes``; ``seed`` for whatever is random.

    ``relevance`` asks for gradient relevance of the winning answer as well (a backward pass).
    """

    model: str
    sample: Sample
    changes: tuple[Change, ...] = ()
    seed: int = 0
    relevance: bool = False


@dataclass(frozen=True)
class Card:
    """What a model is: ``id`` for requests, ``title`` and ``about`` for people, its limits and measured figures."""

    id: str
    title: str
    about: str
    trained: bool
    answers: tuple[str, ...]
    weights_digest: str
    details: Mapping[str, Any] = field(default_factory=dict)
