"""Which part of an input of the model the tokens of each stream come from.

Tokens are followed back from the first attention over a stream to the numbers of the input, see
`mmviz.capture.token_origins`: convolutions, pooling and merging join parts, and attention leaves a token in its place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmviz.capture.call_groups import Stream
from mmviz.capture.data_flow_step import Step
from mmviz.capture.origin_sets import NONE, OriginSets
from mmviz.capture.query_key_tokens import without_axis
from mmviz.capture.stream_graph import StreamGraph
from mmviz.capture.stream_links import beginning
from mmviz.capture.token_origins import TokenOrigins
from mmviz.types import InputFields, TokenFields


class StreamFields:
    """Finds the fields of all streams of a call, from the ``inputs`` whose numbers have fields, by their name."""

    def __init__(self, graph: StreamGraph, inputs: Mapping[str, InputFields]):
        self._graph = graph
        self._sets = OriginSets()
        self._known: dict[int, tuple[Tensor, int]] = {}
        """The origins of tokens, and the axis of features, for steps that hold those of streams which were followed
        before."""
        self._origins = TokenOrigins(self._sets, self._leaf, self._after_attention, follows_ids=True)
        self._keys_by_query = {
            id(call.queries_from.step): group.keys
            for group in graph.groups for call in group.calls if call.queries_from is not None
        }  # fmt: skip
        self._flat = {name: _distinct(fields) for name, fields in inputs.items()}
        self._axes = next((len(fields.low) for fields in inputs.values()), 2)
        self._rows: dict[int, int] = {}
        """The row of each known origin in the ends ``[row, axis]``."""
        self._low = self._high = np.zeros((0, self._axes), np.float32)
        self._read: set[int] = set()
        """The ids of streams of which some tokens come from an input."""

    def fields(self, sample: int) -> dict[int, TokenFields]:
        """Returns the fields of one sample of each stream, by its ``id``."""
        fields = {}
        for stream in self._graph.streams:
            _, base, places, axis = beginning(self._graph.groups, stream)
            if base is None or places is None:
                fields[id(stream)] = TokenFields(stream.count)
                continue
            origins = self._origins.of(base)
            if origins is None:
                of_tokens = torch.full((places.numel(),), NONE)
            else:
                of_tokens = self._sets.merged(origins, axis).flatten()
            before = {id(step) for step in base.chain()}
            if bool((of_tokens > NONE).any()):
                self._read.add(id(stream))
            later = self._later(stream, of_tokens)
            self._known |= {step: (later, axis) for step, axis in stream.steps.items() if step not in before}
            ordered = torch.full((stream.samples * stream.count,), NONE)
            ordered[places.flatten()] = of_tokens
            first = stream.count * (sample if stream.samples > 1 else 0)
            fields[id(stream)] = self._of_tokens(ordered[first : first + stream.count].tolist())
        return fields

    def _later(self, stream: Stream, of_tokens: Tensor) -> Tensor:
        """Returns the origins of the tokens of a stream after its attention."""
        attended = {id(group.keys) for group in self._graph.groups if group.queries is stream}
        return self._with_learned(of_tokens) if attended & self._read else of_tokens

    def _after_attention(self, query: Step, origins: Tensor) -> Tensor:
        """Returns the origins after an attention: tokens stay in their place."""
        keys = self._keys_by_query.get(id(query))
        return origins if keys is None or id(keys) not in self._read else self._with_learned(origins)

    def _with_learned(self, origins: Tensor) -> Tensor:
        """Returns the origins of tokens that attended to those of an input: what came from nowhere is learned."""
        return torch.where(origins == NONE, self._sets.token(len(self._flat), 0), origins)

    def _leaf(self, step: Step) -> Tensor | None:
        """Returns the origins of an input, and of tokens that were followed before."""
        if step.func is None and step.input_name in self._flat:
            numbers = self._flat[step.input_name][0]
            if tuple(numbers.shape) == step.shape:
                return numbers + self._sets.token([*self._flat].index(step.input_name), 0)
        of_tokens, axis = self._known.get(id(step), (None, -1))
        leading = without_axis(step.shape, axis) if step.shape else ()
        if of_tokens is None or math.prod(leading) != len(of_tokens):
            return None
        return of_tokens.reshape(leading).unsqueeze(axis).expand(step.shape)

    def _of_tokens(self, origins: list[int]) -> TokenFields:
        lost = next((origin for origin in origins if origin < NONE), None)
        if lost is not None:
            return TokenFields(len(origins), unfollowed=self._sets.loss(lost)[0])
        self._find_ends(origins)
        rows = [self._rows[origin] for origin in origins]
        low, high = np.ascontiguousarray(self._low[rows].T), np.ascontiguousarray(self._high[rows].T)
        is_learned = np.array([self._is_learned(origin) for origin in origins])
        return TokenFields(len(origins), low, high, is_learned if is_learned.any() else None)

    def _is_learned(self, origin: int) -> bool:
        """Returns whether an origin is that of learned tokens alone."""
        parts = self._sets.parts(origin)
        if parts:
            return all(map(self._is_learned, parts))
        return origin > NONE and self._sets.place(origin)[0] == len(self._flat)

    def _find_ends(self, origins: Sequence[int]) -> None:
        """Finds both ends of the smallest intervals that hold each origin; infinite for none.

        At once for all that are equally far from the numbers of the inputs: the patches of a picture have hundreds of
        thousands of numbers.
        """
        levels, open_origins = [], {origin for origin in origins if origin not in self._rows}
        while open_origins:
            levels.append(open_origins)
            parts = {part for origin in open_origins for part in self._sets.parts(origin)}
            open_origins = parts - self._rows.keys()
        for level in reversed(levels):
            unknown = [origin for origin in level if origin not in self._rows]
            means = [origin for origin in unknown if self._sets.parts(origin)]
            self._add_numbers([origin for origin in unknown if not self._sets.parts(origin)])
            if means:
                parts_of = [self._sets.parts(origin) for origin in means]
                rows = np.array([self._rows[part] for parts in parts_of for part in parts])
                starts = np.cumsum([0, *map(len, parts_of[:-1])])
                ends = np.minimum.reduceat(self._low[rows], starts), np.maximum.reduceat(self._high[rows], starts)
                self._add(means, *ends)

    def _add_numbers(self, origins: Sequence[int]) -> None:
        """Adds the ends of origins that are no means: those of the numbers of the inputs."""
        low = np.full((len(origins), self._axes), np.inf, np.float32)
        high = -low
        members: dict[int, tuple[list[int], list[int]]] = {}
        for row, origin in enumerate(origins):
            if origin > NONE:
                source, _, member = self._sets.place(origin)
                rows, numbers = members.setdefault(source, ([], []))
                rows.append(row)
                numbers.append(member)
        for source, (_, lows, highs) in enumerate(self._flat.values()):
            if source in members:
                rows, numbers = members[source]
                low[rows], high[rows] = lows[:, numbers].T, highs[:, numbers].T
        self._add(origins, low, high)

    def _add(self, origins: Sequence[int], low: NDArray[np.float32], high: NDArray[np.float32]) -> None:
        """Adds the ends ``[origin, axis]`` of origins."""
        self._rows |= {origin: len(self._low) + row for row, origin in enumerate(origins)}
        self._low, self._high = np.concatenate([self._low, low]), np.concatenate([self._high, high])


def _distinct(fields: InputFields) -> tuple[Tensor, NDArray[np.float32], NDArray[np.float32]]:
    """Returns a number for each place of an input, one for slices along an axis whose ends are the same, and the ends.

    The numbers have the shape of the input; the ends are ``[axis, number]``.
    """
    low, high = fields.low, fields.high
    shape, places = low.shape[1:], []
    for axis in range(1, low.ndim):
        if all((np.take(part, [0], axis) == part).all() for part in (low, high)):
            numbers = [0] * low.shape[axis]
        else:  # of the features of a patch of a video, say, as many differ as it has frames
            known: dict[bytes, int] = {}
            slices = zip(np.moveaxis(low, axis, 0), np.moveaxis(high, axis, 0), strict=True)
            numbers = [known.setdefault(a.tobytes() + b.tobytes(), len(known)) for a, b in slices]
        firsts = [numbers.index(number) for number in range(max(numbers, default=-1) + 1)]
        low, high = np.take(low, firsts, axis), np.take(high, firsts, axis)
        places.append(torch.tensor(numbers, dtype=torch.int64))
    flat = torch.arange(low[0].size).reshape(low.shape[1:])
    for axis, place in enumerate(places):
        flat = flat.index_select(axis, place) if flat.shape[axis] > 1 else flat
    return flat.expand(shape), low.reshape(len(low), -1), high.reshape(len(high), -1)
