"""What is asked of a backend, and what a model is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mmviz.types.samples import Sample
from mmviz.types.tokens import Chars, Modality, PixelBox, Seconds, Token


@dataclass(frozen=True)
class DropModality:
    """A change: take a modality away."""

    modality: Modality


@dataclass(frozen=True)
class ShuffleWeights:
    """A change: shuffle the entries of every weight, so that nothing learned is left."""

    seed: int


@dataclass(frozen=True)
class UniformAttention:
    """A change: every query attends to every token alike."""


@dataclass(frozen=True)
class DropTokens:
    """A change: take single tokens out of what the model attends to, by their indices in the order of the model, among
    those that the changes before this one leave.

    A modality that has no token left becomes what it is when it is dropped: the model's own "absent"."""

    tokens: tuple[int, ...]


InputBaseline = Literal["mean", "blur", "noise"]


@dataclass(frozen=True)
class ReplaceInput:
    """A change: put something without content in the place of ``locations``, before the model reads its inputs.

    ``fill``: the ``mean`` colour of the picture, silence in the sound; ``blur``: what is coarse stays (the picture
    through a wide blur, the sound's loudness without its words); ``noise`` of the same spread. Of a text, whatever the
    fill, the characters are left out. ``locations`` empty: all of ``modality``."""

    modality: Modality
    fill: InputBaseline
    locations: tuple[PixelBox | Seconds | Chars, ...] = ()

    def __post_init__(self) -> None:
        for place in self.locations:
            Token(self.modality, "", place)  # which refuses to lie where it cannot


@dataclass(frozen=True)
class AblateHead:
    """A change: what one head brings is set to 0; ``map`` is its attention, in order of execution, both from 0."""

    map: int
    head: int


Change = DropModality | DropTokens | ReplaceInput | AblateHead | ShuffleWeights | UniformAttention


@dataclass(frozen=True)
class Request:
    """One run to be made: ``sample`` through ``model`` with ``changes``; ``seed`` for whatever is random.

    ``maps``: whether attention is wanted, or the answers are enough. ``relevance``: gradient relevance of the winning
    answer as well (a backward pass); ``norms``: the norms of what each token brings to each; ``integrated``: integrated
    gradients of the winning answer; ``steps``: the vectors by which each attention can be worked out again. ``sweep``:
    further changes, tried beside ``changes`` one variant at a time, of which only the answers are wanted; a backend
    makes as many of them in one call of the model as it can.
    """

    model: str
    sample: Sample
    changes: tuple[Change, ...] = ()
    seed: int = 0
    relevance: bool = False
    maps: bool = True
    norms: bool = False
    integrated: bool = False
    steps: bool = False
    sweep: tuple[tuple[Change, ...], ...] = ()


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
