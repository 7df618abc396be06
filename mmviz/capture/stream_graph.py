"""Groups the attention calls of a model into maps, and follows which of them run over the same tokens.

Two sequences of tokens are one stream where the data flows from one to the other and no token is added, left out or
moved, never because they are equally long.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from mmviz.capture.attention_call import AttentionCall
from mmviz.capture.call_groups import CallGroup, Stream, find_parts
from mmviz.capture.data_flow_step import Step
from mmviz.capture.module_tracker import ModuleRun, block_of
from mmviz.capture.query_key_positions import Positions, Side, key_side, query_side
from mmviz.capture.query_key_tokens import without_axis
from mmviz.capture.same_tokens import are_copies, have_same_tokens, is_input, may_share_tokens, meet, places_added
from mmviz.capture.sample_tiles import Tiles, batches_of, tiles_of
from mmviz.capture.tiles_joined_later import tiles_by_use
from mmviz.capture.token_replay import follows, keeps_order

_NEAR = 4
"""Functions, such as a change of device, between keys of an earlier layer and their use."""
_FAR = 4_000
"""Functions that are followed back from the tokens of a layer to those of an earlier layer."""


class StreamGraph:
    """The maps of one call of a model, in order of execution, with their streams."""

    def __init__(self, calls: Sequence[AttentionCall]) -> None:
        self.streams: list[Stream] = []
        """All streams, in order of first use."""
        self.groups: list[CallGroup] = []
        self._grown: dict[int, dict[int, tuple[Stream, Positions]]] = {}
        """The streams that go on from those of earlier calls, and the places of the new tokens, by number of tokens."""
        earlier: dict[int, tuple[str, Side]] = {}
        """The module and the side of keys by the tensor that holds them, which later layers may take as their own."""
        for call in calls:
            query = query_side(call)
            key = _shared_keys(call, earlier) or _by_rows(key_side(call), query)
            if call.keys_from is not None:
                earlier.setdefault(id(call.keys_from.step), (call.module, key))
            if are_copies(query) and are_copies(key):  # learned tokens, which are the same in all samples
                query, key = (
                    replace(side, samples=call.shape[0], positions=None, sample_of_row=None) for side in (query, key)
                )
            if have_same_tokens(query, key):
                key = replace(key, base=query.base, base_axis=query.base_axis)
            last = self.groups[-1] if self.groups else None
            if last is not None and _is_next_stretch(last, call, query, key):
                last.calls += (call,)
                last.query_sides += (query,)
                last.key_sides += (key,)
                continue
            queries = self._stream(query, call, is_memory=False)
            is_joined, appended = places_added(key, query)
            if appended is not None:
                keys = self._grown_stream(queries, key, call, appended)
            else:
                keys = self._stream(key, call, is_memory=True)
                if keys is not queries and (is_joined or (may_share_tokens(call, query, key) and meet(call))):
                    query, key = replace(query, is_placed=False), replace(key, is_placed=False)
            self.groups.append(CallGroup((call,), (query,), (key,), queries, keys))
        self._cut_samples(calls)
        for group in self.groups:
            self._place_among_earlier(group)
        for group in self.groups:
            find_parts(group)
        used = [stream for group in self.groups for stream in (group.queries, group.keys)]
        self.streams = [stream for stream in self.streams if stream in used]

    def _stream(self, side: Side, call: AttentionCall, is_memory: bool) -> Stream:
        """Returns the stream of one side of a call; a new stream where no known stream flows into it."""
        known = {
            step: stream for stream in self.streams for step in stream.steps
            if (stream.samples, stream.count) == (side.samples, side.count)
        }  # fmt: skip
        path, run = _container(call)
        is_block_input = is_input(side.base, call)
        role = _role(call, run, is_memory, is_block_input)
        steps = dict.fromkeys(_same_tokens(side), side.base_axis)
        if side.base is not None:
            is_followed = True
            for step in islice(side.base.chain(), _FAR):
                stream = known.get(id(step))
                is_of_layers = stream is not None and stream.path == path and stream.has_blocks and is_block_input
                if stream is not None and (is_of_layers or self._continues(side, step, is_followed)):
                    stream.steps.update(steps)
                    stream.roles.add(role)
                    return stream
                is_followed &= follows(step)
        for stream in self.streams:  # the way between two layers cannot be followed
            is_alike = (stream.samples, stream.count, stream.path) == (side.samples, side.count, path)
            if run is not None and is_alike and role in stream.roles:
                stream.steps.update(steps)
                return stream
        name = side.base.input_name if side.base is not None else ""
        stream = Stream(side.samples, side.count, path, steps, {role}, run is not None, is_memory, name, side=side)
        self.streams.append(stream)
        return stream

    def _continues(self, side: Side, step: Step, is_followed: bool) -> bool:
        """Returns whether a side has the tokens of ``step`` in their order: every function between must be known.

        Layers of one list of blocks have them whatever they compute.
        """
        assert side.base is not None
        return is_followed and not step.is_integer and keeps_order(side.base, step, side.base_axis)

    def _grown_stream(self, queries: Stream, key: Side, call: AttentionCall, places: Positions) -> Stream:
        """Returns the stream of tokens of which ``queries`` are those at ``places``; earlier calls left the rest."""
        grown = self._grown.setdefault(id(queries), {})
        if key.count not in grown:
            stream = Stream(
                key.samples, key.count, queries.path, has_blocks=queries.has_blocks, input_name=queries.input_name,
                newest=queries,
            )  # fmt: skip
            grown[key.count] = (stream, places)
            self.streams.append(stream)
        return grown[key.count][0]

    def _cut_samples(self, calls: Sequence[AttentionCall]) -> None:
        """Makes windows of rows that are stretches of one sample, such as tiles."""
        batches = batches_of(calls[0].runs[0].inputs) if calls and calls[0].runs else set()
        for stream in list(self.streams):
            tiles = tiles_of(stream, self.streams, batches)
            if tiles is not None:
                self._arrange(stream, tiles)
            if tiles is None or tiles.stream is None:  # what was cut from several pictures goes into one prompt
                tiles = tiles_by_use(stream, self.streams, self.groups, batches)
                if tiles is not None:
                    self._arrange(stream, tiles)
        for group in self.groups:
            group.queries.is_repeated |= any(map(_repeats, group.query_sides, group.key_sides))

    def _arrange(self, stream: Stream, tiles: Tiles) -> None:
        """Makes the rows of a stream windows of the samples that ``tiles`` tells."""
        stream.samples, stream.count = tiles.samples, tiles.count
        for group in self.groups:
            if group.queries is stream:
                group.queries, group.query_sides = tiles.stream or stream, _tiled(group.query_sides, tiles, group)
            if group.keys is stream:
                group.keys, group.key_sides = tiles.stream or stream, _tiled(group.key_sides, tiles, group)

    def _place_among_earlier(self, group: CallGroup) -> None:
        """Counts the queries of a map among the tokens of earlier calls, where their stream goes on from these."""
        grown = self._grown.get(id(group.queries))
        if not grown or not all(side.is_plain for side in group.query_sides):
            return
        count = group.keys.count if group.keys in [stream for stream, _ in grown.values()] else max(grown)
        group.queries, places = grown[count]
        samples = group.queries.samples
        positions = np.broadcast_to(places, (samples, len(places)))
        group.query_sides = tuple(
            replace(side, count=count, positions=positions, sample_of_row=np.arange(samples))
            for side in group.query_sides
        )


def _shared_keys(call: AttentionCall, earlier: Mapping[int, tuple[str, Side]]) -> Side | None:
    """Returns the side of keys that another layer made; None where the layer makes its own."""
    keys = call.keys_from
    if keys is None:
        return None
    for step in islice(keys.step.chain(), _NEAR):
        module, side = earlier.get(id(step), (call.module, None))
        if module != call.module and step.shape == keys.step.shape:
            return side
    return None


def _repeats(query: Side, key: Side) -> bool:
    """Returns whether the same queries stand in several windows of one sample."""
    samples = query.sample_of_row if query.samples > 1 or key.samples == 1 else key.sample_of_row
    if samples is None:
        return False
    inner = np.arange(query.count) if query.positions is None else query.positions
    places = np.broadcast_to(inner, (len(samples), inner.shape[-1])) + samples[:, None] * query.count
    places = places[np.broadcast_to(inner >= 0, places.shape)]
    return len(np.unique(places)) < len(places)


def _tiled(sides: Sequence[Side], tiles: Tiles, group: CallGroup) -> tuple[Side, ...]:
    return tuple(tiles.arranged(side, call.shape[0]) for side, call in zip(sides, group.calls, strict=True))


def _same_tokens(side: Side) -> list[int]:
    """Returns the ids of the base of a side and of the steps before it that hold the same tokens in the same order."""
    steps: list[int] = []
    if side.base is None:
        return steps
    leading = without_axis(side.base.shape, side.base_axis) if len(side.base.shape) > 1 else side.base.shape
    for step in islice(side.base.chain(), _FAR):
        if len(step.shape) < 2 and not step.is_integer:
            break
        if (step.shape if step.is_integer else without_axis(step.shape, side.base_axis)) != leading:
            break
        steps.append(id(step))
    return steps


def _container(call: AttentionCall) -> tuple[str, ModuleRun | None]:
    """Returns the path of the list of blocks that a call is in, and the block; else that of its module."""
    block = block_of(call.runs)
    return (call.module, None) if block is None else (block.path.rpartition(".")[0], block)


def _role(call: AttentionCall, block: ModuleRun | None, is_memory: bool, is_input: bool) -> Hashable:
    if block is None:
        return call.module, is_memory, is_input, 0
    return call.module.removeprefix(block.path), is_memory, is_input, block.number


def _is_next_stretch(group: CallGroup, call: AttentionCall, query: Side, key: Side) -> bool:
    """Returns whether a call goes on with other tokens where the calls of ``group`` ended, in one run of a module."""
    first = group.calls[0]
    if not first.runs or first.module != call.module or first.shape[:2] != call.shape[:2]:
        return False
    if first.runs[-1] is not call.runs[-1] and (
        block_of(call.runs) is None or block_of(first.runs) is not block_of(call.runs)
    ):
        return False
    if query.positions is None or key.positions is None or query.base is not group.query_sides[0].base:
        return False
    earlier = [side.positions for side in group.query_sides]
    if any(positions is None for positions in earlier):
        return False
    before = np.concatenate([positions.ravel() for positions in earlier if positions is not None])
    return not np.isin(query.positions[query.positions >= 0], before).any()


def _by_rows(key: Side, query: Side) -> Side:
    """Returns keys as those of the samples of the queries, where each row has a stretch of its own, as of tiles."""
    if key.positions is None or key.samples > 1 or not query.is_plain or query.samples != len(key.positions):
        return key
    rows, count = key.positions.shape
    if rows == 1 or rows * count != key.count or (key.positions != np.arange(key.count).reshape(rows, count)).any():
        return key
    return Side(key.base, rows, count)
