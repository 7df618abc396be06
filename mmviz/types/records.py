"""What a run leaves behind, and views of its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeGuard

import numpy as np
from numpy.typing import NDArray

from mmviz.types.attention_steps import AttentionSteps
from mmviz.types.errors import CaptureError, Notice
from mmviz.types.map_ref import MapRef
from mmviz.types.maps import AttentionMap, PooledMap
from mmviz.types.samples import frozen
from mmviz.types.tokens import Token


@dataclass(frozen=True)
class Answer:
    """One possible answer and the model's probability for it."""

    label: str
    probability: float


@dataclass(frozen=True)
class AttentionRecord:
    """What one run left behind: numpy and plain values only.

    ``streams`` name -> tokens; ``maps`` in order of execution; ``answers`` most probable first, maybe none;
    ``notices`` of the model (input cut to its limits); ``made_by``: model, weights digest, device, dtype, seed,
    versions, milliseconds of each stage, the route by which the maps were taken and the parity measured;
    ``relevance`` ``[query, key]`` for the winning answer, where it was asked for. So also ``norms`` ``[query, key]`` of
    each map (`mmviz.capture.value_norms`), ``integrated`` gradients ``[key]`` for the last map (`mmviz.capture.integrated_gradients`),
    ``steps`` of each map (`mmviz.capture.attention_steps`), and ``sweep``: log-probabilities float64 ``[variant, answer]`` of the
    variants asked for, in the order of ``answers``. ``maps`` is empty where only answers were asked for.
    """

    id: str
    streams: Mapping[str, tuple[Token, ...]]
    maps: tuple[AttentionMap | PooledMap, ...]
    answers: tuple[Answer, ...]
    made_by: Mapping[str, Any]
    notices: tuple[Notice, ...] = ()
    relevance: NDArray[np.float32] | None = None
    norms: tuple[NDArray[np.float32], ...] = ()
    integrated: NDArray[np.float32] | None = None
    steps: tuple[AttentionSteps, ...] = ()
    sweep: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        for name in ("relevance", "integrated", "sweep"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, frozen(getattr(self, name)))
        object.__setattr__(self, "norms", tuple(map(frozen, self.norms)))
        for found in self.maps:
            expected = (len(self.streams[found.queries]), len(self.streams[found.keys]))
            if found.shape != expected:
                raise CaptureError("map-tokens", name=found.name, shape=found.shape, expected=expected)
        if self.steps and [(one.heads, one.shape) for one in self.steps] != [(m.heads, m.shape) for m in self.maps]:
            raise CaptureError("steps-shape", part="steps")

    @property
    def is_long(self) -> bool:
        """Whether there is a map without all its weights."""
        return any(isinstance(found, PooledMap) for found in self.maps)

    @property
    def batch(self) -> int | None:
        """How many samples the maps are of; None where they are of one."""
        return next((found.weights.shape[0] for found in self.maps if is_batch(found)), None)

    def map_ref(self, number: int, head: int | None = None) -> MapRef:
        """Returns the reference to a head of map ``number`` (in order of execution), or to the mean over its heads.

        Raises ``IndexError`` where the record has no such map.
        """
        layer = self.maps[number].layer
        return MapRef("attention", layer, head, sum(other.layer == layer for other in self.maps[:number]))

    def map_number(self, ref: MapRef) -> int:
        """Returns the position in ``maps`` of the map that ``ref`` names.

        Raises ``LookupError`` where the record has no such map or head, or ``ref`` is a flow through all layers.
        """
        numbers = [number for number, attn_map in enumerate(self.maps) if attn_map.layer == ref.layer]
        if ref.method != "attention" or ref.index >= len(numbers):
            raise LookupError(f"the record has no attention map {ref}")
        number = numbers[ref.index]
        heads = self.maps[number].heads
        if ref.head is not None and ref.head >= heads:
            raise LookupError(f"layer {ref.layer} has {heads} heads, counted from 0; there is no head {ref.head}")
        return number

    def row(self, number: int) -> AttentionRecord:
        """The record of one sample of a batch. Raises ``IndexError`` where the batch has no such sample."""
        maps = (replace(found, weights=found.weights[number]) if is_batch(found) else found for found in self.maps)
        return replace(self, maps=tuple(maps))


def is_batch(found: AttentionMap | PooledMap) -> TypeGuard[AttentionMap]:
    """Whether a map is of several samples."""
    return isinstance(found, AttentionMap) and found.weights.ndim == 4


@dataclass(frozen=True)
class Rows:
    """A view of a kept record: what ``tokens`` (queries) give in map ``map``, ``[token, key]``; ``head`` None: mean."""

    map: MapRef
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Columns:
    """A view of a kept record: what ``tokens`` (keys) get in map ``map``, ``[query, token]``; ``head`` None: mean."""

    map: MapRef
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Zoom:
    """A view of a kept record: means over bins, ``[bin of queries, bin of keys]``; with edges a token apart: weights.

    ``query_edges`` and ``key_edges`` ascend and need not begin at 0; ``head`` None: mean.
    """

    map: MapRef
    query_edges: tuple[int, ...]
    key_edges: tuple[int, ...]


@dataclass(frozen=True)
class Rollout:
    """A view of a kept record: rollout through all maps for ``tokens``; as queries (``from``) ``[token, key]``, as keys
    (``to``) ``[query, token]``."""

    tokens: tuple[int, ...]
    direction: Literal["from", "to"]


View = Rows | Columns | Zoom | Rollout
