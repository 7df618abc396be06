"""Which attention is looked at: a way of looking, and the weights of a record seen that way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.flow import rollout
from mmviz.texts import sentence
from mmviz.types import AttentionMap, AttentionRecord, LongMap

Method = Literal["mean", "head", "rollout", "relevance"]
Direction = Literal["from", "to"]
Streams = tuple[str, str]
"""The names of the streams of the queries and of the keys."""


@dataclass(frozen=True)
class Way:
    """A way of looking: ``mean`` over the heads of a layer, one ``head``, ``rollout`` or ``relevance``.

    Layers and heads count from 0; ``nth`` is the map of the layer, where it has several. ``str(way)`` is ``mean:5``,
    ``head:4:2``, ``rollout`` or ``relevance``, and ``Way.parse`` reads it back. Raises ``ValueError`` where a layer or
    head is missing, or is given without need.
    """

    method: Method
    layer: int | None = None
    head: int | None = None
    nth: int = 0

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ValueError(f"no way of looking is called {self.method!r}; there are {', '.join(get_args(Method))}")
        given = (self.layer is not None, self.head is not None)
        if given != {"mean": (True, False), "head": (True, True)}.get(self.method, (False, False)):
            raise ValueError(f"{self.method} with layer {self.layer} and head {self.head} is not a way of looking")
        if any(number is not None and number < 0 for number in (self.layer, self.head)):
            raise ValueError(f"layers and heads count from 0: {self}")

    @classmethod
    def parse(cls, written: str) -> Way:
        """The way that ``str`` wrote. Raises ``ValueError`` for anything else."""
        method, *numbers = written.split(":")
        if len(numbers) > 2 or not all(number.isascii() and number.isdecimal() for number in numbers):
            raise ValueError(f"{written!r} is not a way of looking, such as mean:5, head:4:2, rollout or relevance")
        return cls(method, *(int(number) for number in numbers))  # type: ignore[arg-type]  # checked on the way in

    def words(self) -> str:
        """For people, who count layers and heads from 1: "layer 5, mean of heads", "layer 5, head 3"."""
        numbers = {"layer": self.layer, "head": self.head}
        return sentence(f"way-{self.method}", **{name: k + 1 for name, k in numbers.items() if k is not None})

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.method, self.layer, self.head) if part is not None)


def map_number(record: AttentionRecord, way: Way) -> int:
    """Which map of the record a mean or a head is of. Raises ``LookupError`` where there is none."""
    there = [number for number, found in enumerate(record.maps) if found.layer == way.layer]
    if way.nth >= len(there):
        raise LookupError(f"the record has no attention map for {way}")
    number = there[way.nth]
    if way.head is not None and way.head >= record.maps[number].heads:
        heads = record.maps[number].heads
        raise LookupError(f"layer {way.layer} has {heads} heads, counted from 0; there is no head {way.head}")
    return number


def find_layer(record: AttentionRecord, layer: int, streams: Streams | None = None) -> AttentionMap | LongMap:
    """The attention map of ``layer``; of the streams (queries, keys), where the layer has more than one map.

    Raises ``LookupError`` where there is none, or more than one to choose from.
    """
    found = [
        candidate
        for candidate in record.maps
        if candidate.layer == layer and streams in (None, (candidate.queries, candidate.keys))
    ]
    if len(found) == 1:
        return found[0]
    wanted = f"layer {layer}" + (f" from {streams[0]} to {streams[1]}" if streams else "")
    if found:
        choice = ", ".join(f"{candidate.queries} to {candidate.keys}" for candidate in found)
        raise LookupError(f"{wanted} has {len(found)} attention maps ({choice}); name the streams")
    there = ", ".join(f"{candidate.layer} ({candidate.queries} to {candidate.keys})" for candidate in record.maps)
    raise LookupError(f"the record has no attention map for {wanted}; it has {there or 'none'}")


def weights(
    record: AttentionRecord, way: Way, relevance: NDArray[Any] | None = None, streams: Streams | None = None
) -> NDArray[np.float64]:
    """The weights of ``record`` seen in one ``way``: who looks at whom.

    Formula: ``mean``: mean over the heads of the layer; ``head``: that head; ``rollout``: see `flow.rollout`, over all
    self-attention maps of one stream; ``relevance``: the array given (it needs gradients, which a record does not
    hold). Shapes: float64 ``[query, key]``. ``streams`` names queries and keys where a record has several.
    Source: Vaswani et al. 2017 (the weights); Abnar and Zuidema 2020 (rollout); Chefer et al. 2021 (relevance).
    Raises ``LookupError`` for a layer or head that is not there, ``ValueError`` for relevance without its array.
    """
    if way.method == "relevance":
        return _given_relevance(record, relevance, streams)
    if way.method == "rollout":
        return rollout([found.weights for found in _self_attention(record, streams)])
    assert way.layer is not None  # Way has seen to it
    found = record.maps[map_number(record, way)] if streams is None else find_layer(record, way.layer, streams)
    if way.head is None:
        return np.asarray(found.weights.mean(axis=0, dtype=np.float64))
    return np.asarray(found.weights[way.head], dtype=np.float64)


def spread(heads: NDArray[Any]) -> NDArray[np.float64]:
    """How far the heads of a layer differ in what is looked at: what the mean over the heads hides.

    Formula: standard deviation over the heads, ``sqrt(mean((a_h - mean(a_h))^2))`` (the heads are all there are, so it
    is divided by their number). Shapes: ``heads`` ``[head, token]``, a row for what `looked` shows of each head; the
    result float64 ``[token]``. Source: textbook.
    """
    return np.asarray(heads.astype(np.float64).std(axis=0))


def looked(
    record: AttentionRecord,
    way: Way,
    token: int | Sequence[int],
    direction: Direction,
    relevance: NDArray[Any] | None = None,
    streams: Streams | None = None,
) -> NDArray[np.float64]:
    """One row or column of `weights`, or the mean over those of a group of tokens.

    Formula: ``from``: ``w[token, :]``, what this query asks, an amount for every key; ``to``: ``w[:, token]``, who
    asks this key, an amount for every query. A group T together: ``mean over t in T of w[t, :]`` (``w[:, t]``).
    Shapes: float64 ``[token]``. Source: none needed.
    Raises ``IndexError`` where there is no such token, ``ValueError`` for a group of none.
    """
    return _asked(weights(record, way, relevance, streams), token, direction)


def _asked(found: NDArray[np.float64], token: int | Sequence[int], direction: Direction) -> NDArray[np.float64]:
    """``[..., query, key]`` to ``[..., token]``: the row or column of ``token``, the mean over those of a group."""
    group = np.atleast_1d(np.asarray(token, dtype=np.int64))
    axis = -2 if direction == "from" else -1
    if not group.size:
        raise ValueError("a group of tokens needs at least one")
    for one in group:
        if not 0 <= one < found.shape[axis]:
            raise IndexError(f"there is no token {one}; there are {found.shape[axis]}, counted from 0")
    return np.asarray(np.take(found, group, axis=axis).mean(axis=axis))


def _self_attention(record: AttentionRecord, streams: Streams | None) -> list[AttentionMap | LongMap]:
    pairs = {(found.queries, found.keys) for found in record.maps}
    if streams is None and len(pairs) == 1:
        streams = next(iter(pairs))
    if streams is None or streams[0] != streams[1]:
        raise ValueError(f"rollout needs the self-attention of one stream; name it. The record has {sorted(pairs)}")
    found = [candidate for candidate in record.maps if (candidate.queries, candidate.keys) == streams]
    return sorted(found, key=lambda candidate: candidate.layer)


def _given_relevance(
    record: AttentionRecord, relevance: NDArray[Any] | None, streams: Streams | None
) -> NDArray[np.float64]:
    if relevance is None:
        raise ValueError("relevance needs gradients: compute it where the model runs and pass the array [query, key]")
    pairs = [streams] if streams else [(found.queries, found.keys) for found in record.maps]
    shapes = {(len(record.streams[queries]), len(record.streams[keys])) for queries, keys in pairs}
    if relevance.shape not in shapes:
        raise ValueError(f"relevance is {list(relevance.shape)}, but the record has {sorted(shapes)} [query, key]")
    return np.asarray(relevance, dtype=np.float64)
