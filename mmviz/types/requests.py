"""What is asked of a backend, and what a model is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mmviz.types.samples import Sample
from mmviz.types.tokens import Modality


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
