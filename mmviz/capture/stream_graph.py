"""Groups the attention calls of a model into maps, and follows which of them run over the same tokens.

Two sequences of tokens are one stream where the data flows from one to the other and no token is added, left out or
moved, never because they are equally long.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
from torch import Tensor

from mmviz.capture.attention_call import AttentionCall
from mmviz.capture.flow_step import Step
from mmviz.capture.module_tracker import ModuleRun
from mmviz.capture.token_replay import follows, keeps_order
from mmviz.capture.token_sides import Positions, Side, key_side, query_side

_FAR = 4_000
"""Functions that are followed back from the tokens of a layer to those of an earlier one."""


@dataclass(eq=False)
class Stream:
    """One sequence of tokens."""

    samples: int
    count: int
    """Number of tokens in a sample."""
    path: str
    """The list of blocks, or the module, that first attends over it."""
    steps: set[int] = field(default_factory=set)
    """The ids of the steps that hold its tokens, as far as attention over it came from them."""
    roles: set[Hashable] = field(default_factory=set)
    """The parts of blocks that attend over it, whether for keys alone, and how often the block had run."""
    has_blocks: bool = False
    """Whether ``path`` is a list of blocks."""
    is_memory: bool = False
    """Whether it only gives keys, as far as the first attention over it tells."""
    input_name: str = ""
    """The input of the model that it comes from; "" where that is not known."""
    newest: Stream | None = None
    """The stream of its newest tokens, where earlier calls left the others."""


@dataclass(eq=False)
class CallGroup:
    """The attention calls that are one map: a single one, or those of the stretches of one sequence."""

    calls: tuple[AttentionCall, ...]
    query_sides: tuple[Side, ...]
    """The queries of each call."""
    key_sides: tuple[Side, ...]
    queries: Stream
    keys: Stream
    query_part: Positions | None = None
    """The places in the stream of the queries that take part, ascending; None for all."""
    key_part: Positions | None = None
    """The places of the keys that take part; None for all."""
    is_uniform: bool = True
    """Whether the same tokens of each sample take part."""

    @property
    def module(self) -> str:
        """The path of the module."""
        return self.calls[0].module


class StreamGraph:
    """The maps of one call of a model, in order of execution, with their streams."""

    def __init__(self, calls: Sequence[AttentionCall]) -> None:
        self.streams: list[Stream] = []
        """All streams, in order of first use."""
        self.groups: list[CallGroup] = []
        self._grown: dict[int, dict[int, tuple[Stream, Positions]]] = {}
        """The streams that go on from those of earlier calls, and the places of the new tokens, by number of tokens."""
        for call in calls:
            query = query_side(call)
            key = _by_rows(key_side(call), query)
            last = self.groups[-1] if self.groups else None
            if last is not None and _is_next_stretch(last, call, query, key):
                last.calls += (call,)
                last.query_sides += (query,)
                last.key_sides += (key,)
                continue
            queries, appended = self._stream(query, call, is_memory=False), _appended(key, query)
            if appended is not None:
                keys = self._grown_stream(queries, key, call, appended)
            else:
                keys = self._stream(key, call, is_memory=True)
            self.groups.append(CallGroup((call,), (query,), (key,), queries, keys))
        for group in self.groups:
            self._place_among_earlier(group)
        for group in self.groups:
            _find_parts(group)
        used = [stream for group in self.groups for stream in (group.queries, group.keys)]
        self.streams = [stream for stream in self.streams if stream in used]

    def _stream(self, side: Side, call: AttentionCall, is_memory: bool) -> Stream:
        """Returns the stream of one side of a call; a new one where no known one flows into it."""
        known = {
            step: stream for stream in self.streams for step in stream.steps
            if (stream.samples, stream.count) == (side.samples, side.count)
        }  # fmt: skip
        path, run = _container(call)
        steps = [] if side.base is None else _same_tokens(side.base)
        if side.base is not None:
            is_followed = True
            for step in islice(side.base.chain(), _FAR):
                stream = known.get(id(step))
                if stream is not None and self._continues(stream, side.base, step, path, is_followed):
                    stream.steps.update(steps)
                    stream.roles.add(_role(call, run, is_memory))
                    return stream
                is_followed &= follows(step)
        role = _role(call, run, is_memory)
        for stream in self.streams:  # the way between two layers cannot be followed
            is_alike = (stream.samples, stream.count, stream.path) == (side.samples, side.count, path)
            if run is not None and is_alike and role in stream.roles:
                stream.steps.update(steps)
                return stream
        name = side.base.input_name if side.base is not None else ""
        stream = Stream(side.samples, side.count, path, set(steps), {role}, run is not None, is_memory, name)
        self.streams.append(stream)
        return stream

    def _continues(self, stream: Stream, base: Step, step: Step, path: str, is_followed: bool) -> bool:
        """Returns whether ``base`` has the tokens of ``stream``, which ``step`` holds, in their order.

        Layers of one list of blocks do, whatever they compute. Elsewhere every function between must be known.
        """
        if stream.path == path and stream.has_blocks:
            return True
        return is_followed and not step.is_integer and keeps_order(base, step)

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


def _same_tokens(base: Step) -> list[int]:
    """Returns the ids of ``base`` and of the steps before it that hold the same tokens in the same order."""
    steps = []
    for step in islice(base.chain(), _FAR):
        if (step.shape if step.is_integer else step.shape[:-1]) != base.shape[:-1]:
            break
        steps.append(id(step))
    return steps


def block_of(runs: Sequence[ModuleRun]) -> ModuleRun | None:
    """Returns the innermost run of a module in a numbered list; None where there is none."""
    return next((run for run in reversed(runs) if run.path.rpartition(".")[2].isdigit()), None)


def _container(call: AttentionCall) -> tuple[str, ModuleRun | None]:
    """Returns the path of the list of blocks that a call is in, and the block; else that of its module."""
    block = block_of(call.runs)
    return (call.module, None) if block is None else (block.path.rpartition(".")[0], block)


def _role(call: AttentionCall, block: ModuleRun | None, is_memory: bool) -> Hashable:
    return (call.module.removeprefix(block.path), is_memory, block.number) if block else (call.module, is_memory, 0)


def _is_next_stretch(group: CallGroup, call: AttentionCall, query: Side, key: Side) -> bool:
    """Returns whether a call goes on with other tokens where the calls of ``group`` ended, in one run of a module."""
    first = group.calls[0]
    if not first.runs or first.runs[-1] is not call.runs[-1] or first.shape[1] != call.shape[1]:
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


def _appended(key: Side, query: Side) -> Positions | None:
    """Returns the places of the queries among the keys, where the keys are those of a cache with theirs added."""
    if key.base is None or query.base is None or query.count >= key.count or not query.is_plain:
        return None
    *_, end = islice(key.base.chain(), _FAR)
    parents = [parent for parent in end.parents() if any(step is query.base for step in islice(parent.chain(), _FAR))]
    if len(parents) != 1 or len(end.parents()) < 2:
        return None
    indices = [arg for arg in _flat(end.args) if isinstance(arg, Tensor) and arg.numel() == query.count]
    if indices:
        positions = indices[0].reshape(-1).cpu().numpy().astype(np.int64)
    elif end.parents()[-1] is parents[0]:
        positions = np.arange(key.count - query.count, key.count)
    else:
        return None
    return positions


def _find_parts(group: CallGroup) -> None:
    """Sets the parts of streams that a map runs over, and counts its positions within them."""
    parts: list[Positions | None] = []
    all_sides: list[tuple[Side, ...]] = []
    for sides, stream in ((group.query_sides, group.queries), (group.key_sides, group.keys)):
        if any(side.positions is None for side in sides):
            parts.append(None)
            all_sides.append(sides)
            continue
        covered = [_covered(sides, sample) for sample in range(stream.samples)]
        group.is_uniform &= all(np.array_equal(covered[0], places) for places in covered)
        if len(covered[0]) == stream.count:
            parts.append(None)
            all_sides.append(sides)
            continue
        parts.append(covered[0])
        all_sides.append(tuple(_within(side, covered[0]) for side in sides))
    group.query_part, group.key_part = parts
    group.query_sides, group.key_sides = all_sides


def _covered(sides: Sequence[Side], sample: int) -> Positions:
    """Returns the places in a stream that a sample's queries or keys have, ascending."""
    places = [
        side.positions[side.sample_of_row == sample].ravel()
        for side in sides if side.positions is not None and side.sample_of_row is not None
    ]  # fmt: skip
    unique = np.unique(np.concatenate(places))
    return unique[unique >= 0]


def _within(side: Side, part: Positions) -> Side:
    """Returns a side whose positions count within ``part`` of its stream."""
    assert side.positions is not None and side.sample_of_row is not None
    positions = np.where(side.positions >= 0, np.searchsorted(part, side.positions), -1)
    in_order = positions.shape == (side.samples, len(part)) and (positions == np.arange(len(part))).all()
    if in_order and (side.sample_of_row == np.arange(side.samples)).all():
        return replace(side, count=len(part), positions=None, sample_of_row=None)
    return replace(side, count=len(part), positions=positions)


def _flat(values: object) -> list[object]:
    if isinstance(values, tuple):
        return [entry for value in values for entry in _flat(value)]
    return [values]
