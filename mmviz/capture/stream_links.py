"""Tells which tokens of other streams the tokens of a stream are made of, before attention runs over them.

The tokens of a language model, say, are patches of a vision tower, merged and written over placeholders. They are
followed back from the first attention over the stream, see `mmviz.capture.token_origins`, through functions that move,
join, merge or pool them. A token that is made of several has an equal share of each. Where a function does anything
else, nothing is followed through it, and a `LostRoute` names it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmviz.capture.call_groups import CallGroup, Stream
from mmviz.capture.data_flow_step import ATTENTION, Step, name_of
from mmviz.capture.joint_system import FlowLink
from mmviz.capture.key_update_order import UpdatesOf, state_of
from mmviz.capture.lost_routes import LostRoute, later_routes
from mmviz.capture.origin_sets import NONE, OriginSets
from mmviz.capture.query_key_tokens import without_axis
from mmviz.capture.token_origins import TokenOrigins, flat_numbers

Entry = tuple[int, int, int, int, int, float]
"""Stream, its flat token, source, state of the source, its flat token, share."""


class StreamLinks:
    """The links of all streams of a call, and the routes that are lost.

    Args:
        groups: The maps of the call.
        streams: Their streams.
        updates: What the tokens of each step were computed from.
    """

    def __init__(self, groups: Sequence[CallGroup], streams: Sequence[Stream], updates: UpdatesOf):
        self.lost: list[LostRoute] = []
        self.across_samples: set[tuple[int, int]] = set()
        """Streams, and the streams of which other samples are made part of them."""
        self._groups, self._streams, self._updates = groups, list(streams), updates
        self._entries: list[Entry] = []
        self._maps_by_query = {
            id(call.queries_from.step): number
            for number, group in enumerate(groups) for call in group.calls if call.queries_from is not None
        }  # fmt: skip
        if len(self._streams) > 1:
            for number in range(len(self._streams)):
                self._follow(number)
            joined_again = {id(stream) for number, stream in enumerate(self._streams) if self._is_joined_again(number)}
            later = later_routes(groups, self._streams, updates)
            self.lost += [route for route in later if id(self._streams[route.stream]) not in joined_again]

    def of_sample(self, sample: int) -> list[FlowLink]:
        """Returns the links between the tokens of a sample; streams that all samples share belong to each."""
        links: dict[tuple[int, int, int], list[tuple[int, int, float]]] = {}
        for stream, token, source, state, source_token, share in self._entries:
            ends = (self._streams[stream], token), (self._streams[source], source_token)
            if all(flat // of.count == (sample if of.samples > 1 else 0) for of, flat in ends):
                first, second = (flat % of.count for of, flat in ends)
                links.setdefault((stream, source, state), []).append((first, second, share))
        result = []
        for key, entries in links.items():
            tokens, source_tokens, shares = zip(*entries, strict=True)
            places = torch.tensor(tokens), torch.tensor(source_tokens)
            result.append(FlowLink(*key, *places, torch.tensor(shares, dtype=torch.float32)))
        return result

    def _follow(self, number: int) -> None:
        """Finds what the tokens of a stream are made of, where attention first runs over it."""
        time, base, places, axis = beginning(self._groups, self._streams[number])
        if base is not None and places is not None:
            self._entries += self._entries_at(number, time, base, places, axis)

    def _is_joined_again(self, number: int) -> bool:
        """Returns whether a stream of latents and what they attend to is joined of the same tokens in each layer."""
        stream = self._streams[number]
        time, base, places, axis = beginning(self._groups, stream)
        if stream.newest is None or base is None or places is None:
            return False
        bases = [group.key_sides[0].base for group in self._groups if group.keys is stream]
        first, *others = [
            None if step is None else self._entries_at(number, time, step, places, axis) for step in bases
        ]
        return bool(first) and all(other == first for other in others)

    def _entries_at(self, number: int, time: int, base: Step, places: Tensor, axis: int) -> list[Entry]:
        """Returns what the tokens of a stream are made of that ``base`` holds at ``places``; adds what is lost.

        ``axis``: the axis of ``base`` that holds features.
        """
        entries: list[Entry] = []
        sets = OriginSets()
        origins = self._origins(number, time, sets).of(base)
        if origins is None or without_axis(origins.shape, axis) != places.shape:
            return entries
        of_tokens = sets.merged(origins, axis).flatten()
        for flat, origin in zip(places.flatten().tolist(), of_tokens.tolist(), strict=True):
            if origin < NONE:
                function, source = sets.loss(origin)
                route = LostRoute(number, source, function)
                if route not in self.lost:
                    self.lost.append(route)
            for member, share in sets.members(origin):
                source, state, token = sets.place(member)
                samples = [place // self._streams[k].count for k, place in ((number, flat), (source, token))]
                if self._streams[source].samples > 1 and samples[0] != samples[1]:
                    self.across_samples.add((number, source))
                entries.append((number, flat, source, state, token, share))
        return entries

    def _among_earlier(self, stream: Stream, numbers: Tensor) -> Tensor | None:
        """Returns flat numbers of the newest tokens of a stream as those of all of its tokens."""
        part = next((group.query_part for group in self._groups if group.queries is stream), None)
        if part is None:
            return None
        return numbers // len(part) * stream.count + torch.from_numpy(part)[numbers % len(part)]

    def _origins(self, number: int, time: int, sets: OriginSets) -> TokenOrigins:
        """Returns how tokens are followed back from stream ``number``, over which attention first runs at ``time``."""
        leaves: dict[int, tuple[int, Stream, int]] = {}
        for other, stream in enumerate(self._streams):
            if other != number:
                for part in (stream.newest, stream):
                    steps = {} if part is None else part.steps
                    leaves |= {step: (other, part, axis) for step, axis in steps.items()}  # type: ignore[misc]

        def leaf(step: Step) -> Tensor | None:
            other, part, axis = leaves.get(id(step), (-1, None, -1))
            if part is None or len(step.shape) < 2 or name_of(step) == ATTENTION:
                return None
            stream = self._streams[other]
            numbers = flat_numbers(without_axis(step.shape, axis), part.samples, part.count)
            if numbers is not None and part is not stream:  # the newest tokens among earlier tokens
                numbers = self._among_earlier(stream, numbers)
            if numbers is None:
                return None
            state = state_of(self._updates, self._groups, stream, step, time)
            return (numbers + sets.token(other, state)).unsqueeze(axis).expand(step.shape)

        def after_attention(query: Step, origins: Tensor) -> Tensor:
            updated = self._maps_by_query.get(id(query))
            if updated is None:
                return origins
            return sets.in_state(origins, self._streams.index(self._groups[updated].queries), updated + 1)

        return TokenOrigins(sets, leaf, after_attention)


def beginning(groups: Sequence[CallGroup], stream: Stream) -> tuple[int, Step | None, Tensor | None, int]:
    """Returns the first map over a stream, the step of its tokens there, the flat number of each, and its feature axis.

    Towers of convolutions have their features along axis 1 and rows and columns after it.
    """
    uses = [
        (time, side.base, side.base_axis)
        for time, group in enumerate(groups)
        for of_side, side in ((group.queries, group.query_sides[0]), (group.keys, group.key_sides[0]))
        if of_side is stream
    ]
    for _, base, axis in uses:
        leading = () if base is None else without_axis(base.shape, axis)
        places = flat_numbers(leading, stream.samples, stream.count) if leading else None
        if places is not None:
            return uses[0][0], base, places, axis
    return uses[0][0] if uses else len(groups), None, None, -1  # a window or part may be no side of its own
