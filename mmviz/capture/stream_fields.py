"""Which part of an input of the model the tokens of each stream come from.

Tokens are followed back from the first attention over a stream to the numbers of the input, see
`mmviz.capture.token_origins`: convolutions, pooling and merging join parts, and attention leaves a token in its place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmviz.capture.flow_step import Step
from mmviz.capture.origin_sets import NONE, OriginSets
from mmviz.capture.stream_graph import StreamGraph
from mmviz.capture.stream_links import beginning
from mmviz.capture.token_origins import TokenOrigins
from mmviz.types import InputFields, TokenFields


class StreamFields:
    """Finds the fields of all streams of a call, from the ``inputs`` whose numbers have fields, by their name."""

    def __init__(self, graph: StreamGraph, inputs: Mapping[str, InputFields]):
        self._graph = graph
        self._sets = OriginSets()
        self._known: dict[int, Tensor] = {}
        """The origins of tokens, for steps that hold those of streams which were followed before."""
        self._origins = TokenOrigins(self._sets, self._leaf, lambda query, origins: origins, follows_ids=True)
        self._flat = {name: _distinct(fields) for name, fields in inputs.items()}

    def fields(self, sample: int) -> dict[int, TokenFields]:
        """Returns the fields of one sample of each stream, by its ``id``."""
        fields = {}
        for stream in self._graph.streams:
            base, places = beginning(self._graph.groups, stream)[1:]
            if base is None or places is None:
                fields[id(stream)] = TokenFields(stream.count)
                continue
            origins = self._origins.of(base)
            if origins is None:
                of_tokens = torch.full((math.prod(base.shape[:-1]),), NONE)
            else:
                of_tokens = self._sets.merged(origins, -1).flatten()
            before = {id(step) for step in base.chain()}
            self._known |= {step: of_tokens for step in stream.steps if step not in before}
            ordered = torch.full((stream.samples * stream.count,), NONE)
            ordered[places.flatten()] = of_tokens
            first = stream.count * (sample if stream.samples > 1 else 0)
            fields[id(stream)] = self._of_tokens(ordered[first : first + stream.count].tolist())
        return fields

    def _leaf(self, step: Step) -> Tensor | None:
        """Returns the origins of an input, and of tokens that were followed before."""
        if step.func is None and step.input_name in self._flat:
            numbers = self._flat[step.input_name][0]
            if tuple(numbers.shape) == step.shape:
                return numbers + self._sets.token([*self._flat].index(step.input_name), 0)
        of_tokens = self._known.get(id(step))
        if of_tokens is None or math.prod(step.shape[:-1]) != len(of_tokens):
            return None
        return of_tokens.reshape(*step.shape[:-1], 1).expand(step.shape)

    def _of_tokens(self, origins: list[int]) -> TokenFields:
        lost = next((origin for origin in origins if origin < NONE), None)
        if lost is not None:
            return TokenFields(len(origins), unfollowed=self._sets.loss(lost)[0])
        low = np.full((2, len(origins)), np.inf, np.float32)
        high = np.full((2, len(origins)), -np.inf, np.float32)
        names = [*self._flat]
        for place, origin in enumerate(origins):
            members = [self._sets.place(member) for member, _ in self._sets.members(origin)]
            for number in {source for source, _, _ in members}:
                chosen = [member for source, _, member in members if source == number]
                _, lows, highs = self._flat[names[number]]
                low[:, place] = np.minimum(low[:, place], lows[:, chosen].min(1))
                high[:, place] = np.maximum(high[:, place], highs[:, chosen].max(1))
        return TokenFields(len(origins), low, high)


def _distinct(fields: InputFields) -> tuple[Tensor, NDArray[np.float32], NDArray[np.float32]]:
    """Returns a number for each place of an input, the same along axes on which nothing changes, and their ends.

    The numbers have the shape of the input; the ends are ``[axis, number]``.
    """
    low, high = fields.low, fields.high
    shape = low.shape[1:]
    for axis in range(1, low.ndim):
        if all((np.take(part, [0], axis) == part).all() for part in (low, high)):
            low, high = np.take(low, [0], axis), np.take(high, [0], axis)
    numbers = torch.arange(low[0].size).reshape(low.shape[1:]).expand(shape)
    return numbers, low.reshape(2, -1), high.reshape(2, -1)
