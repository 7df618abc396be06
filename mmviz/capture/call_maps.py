"""The maps of one call of a model, each with its streams, stack and layer, and the weights of any sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmviz.capture.attention_call import SHORT_SEQUENCE, AttentionCall
from mmviz.capture.call_groups import CallGroup
from mmviz.capture.lazy_attention import LazyAttention
from mmviz.capture.map_check import MapCheck, check_call_row, check_pooled_map, check_short_map, pooled_map
from mmviz.capture.query_key_positions import Positions, Side
from mmviz.capture.stacks import stacks_of
from mmviz.capture.stream_graph import StreamGraph
from mmviz.capture.windowed_attention import Window, WindowedAttention
from mmviz.types import AttentionMap, CaptureError, PooledMap, Token


@dataclass(frozen=True, eq=False)
class CallMap:
    """One map, before it is checked."""

    group: CallGroup
    """The attention calls that are the map, with the streams of their queries and keys."""
    stack: str
    """The stack as in `AttentionMap.stack`."""
    layer: int
    """The layer within the stack, from 0."""

    @property
    def call(self) -> int:
        """The number of the call of the model."""
        return self.group.calls[0].call

    @property
    def samples(self) -> int:
        """Number of samples; 1 also where all samples share the tokens."""
        return max(self.group.queries.samples, self.group.keys.samples)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of queries and keys."""
        group = self.group
        parts = ((group.queries, group.query_part), (group.keys, group.key_part))
        queries, keys = (stream.count if part is None else len(part) for stream, part in parts)
        return queries, keys

    def check_meaning(self) -> None:
        """Raises ``CaptureError`` where heads, samples or tokens cannot be told apart.

        ``axes-heads``: another number of heads than the module names; ``axes-tokens``: tokens were rearranged in a way
        that cannot be followed; ``axes-samples``: queries and keys of other samples, or other tokens of each.
        """
        group = self.group
        for call in group.calls:
            if call.axes is not None and call.axes.expected:
                expected = ", ".join(map(str, call.axes.expected))
                raise CaptureError("axes-heads", name=group.module, heads=call.axes.heads, expected=expected)
        sides = (*group.query_sides, *group.key_sides)
        if not all(side.is_placed for side in sides) or group.queries.is_repeated or group.keys.is_repeated:
            raise CaptureError("axes-tokens", name=group.module)
        sizes = {group.queries.samples, group.keys.samples} - {1}
        if len(sizes) > 1 or not group.is_uniform:
            raise CaptureError("axes-samples", name=group.module)

    @property
    def _has_rows_in_order(self) -> bool:
        """Whether row ``s`` of the only call holds all queries and keys of sample ``s`` in order."""
        call, sides = self.group.calls[0], (self.group.query_sides[0], self.group.key_sides[0])
        if len(self.group.calls) > 1 or call.shape[0] != self.samples:
            return False
        samples = np.arange(self.samples)
        return np.array_equal(_sample_of_row(call, *sides), samples) and all(
            side.positions is None or np.array_equal(side.positions, np.tile(np.arange(count), (self.samples, 1)))
            for side, count in zip(sides, self.shape, strict=True)
        )

    def attention(self, sample: int) -> LazyAttention:
        """Returns the weights of one sample. Raises ``CaptureError`` (``capture-batch``) where there is no such one."""
        if self.samples == 1:
            sample = 0
        if not 0 <= sample < self.samples:
            raise CaptureError("capture-batch", batch=sample, count=self.samples)
        if self._has_rows_in_order:
            return LazyAttention(self.group.calls[0], sample)
        return WindowedAttention(self.windows(sample), *self.shape)

    def check(
        self, names: tuple[str, str], streams: Mapping[str, Sequence[Token]], sample: int | None
    ) -> tuple[AttentionMap | PooledMap, MapCheck]:
        """Returns the map of a sample, or of all with an axis for them where ``sample`` is None and there are several.

        Raises ``CaptureError`` as `check_meaning`, `check_short_map` and `check_pooled_map` do.
        """
        self.check_meaning()
        samples = range(self.samples) if sample is None else [sample]
        attentions = [self.attention(number) for number in samples]
        if max(self.shape) > SHORT_SEQUENCE and len(attentions) > 1:
            raise CaptureError("capture-batch-choose", count=len(attentions), last=len(attentions) - 1)
        if isinstance(attentions[0], WindowedAttention):
            attn_map, check = self._check_windows(
                [a for a in attentions if isinstance(a, WindowedAttention)], names, streams
            )
        elif max(self.shape) > SHORT_SEQUENCE:
            attn_map, check = check_pooled_map(attentions[0], self.layer, *names, streams)
        else:
            row = None if sample is None else attentions[0].batch
            attn_map, check = check_short_map(attentions[0].call, self.layer, *names, row)
        return replace(attn_map, stack=self.stack, call=self.group.calls[0].call), check

    def _check_windows(
        self, attentions: Sequence[WindowedAttention], names: tuple[str, str], streams: Mapping[str, Sequence[Token]]
    ) -> tuple[AttentionMap | PooledMap, MapCheck]:
        """Returns the map of attention within windows; each window is checked by itself."""
        first, windows = attentions[0], [window for attention in attentions for window in attention.windows]
        rows = dict.fromkeys((window.call, window.row) for window in windows)
        checked = [check_call_row(call, row) for call, row in rows]
        check = MapCheck(max(parity for _, parity in checked), ())
        absorbed_by = next((cause for cause, _ in checked if cause), "")
        absorbed_by = absorbed_by or ("padding" if any((window.keys < 0).any() for window in windows) else "")
        numbers = first.window_of_query
        is_closed = all(np.isin(window.keys, [*window.queries, -1]).all() for window in first.windows)
        is_closed &= self.group.queries is self.group.keys and first.queries == first.keys
        by_window = tuple(map(int, numbers)) if len(first.windows) > 1 and is_closed else ()
        if max(self.shape) > SHORT_SEQUENCE:
            pooled = pooled_map(first, self.layer, *names, streams, absorbed_by)
            return replace(pooled, windows=by_window), check
        weights = np.stack([attention.full() for attention in attentions])
        attn_map = AttentionMap(
            self.group.module, self.layer, *names, weights if len(weights) > 1 else weights[0], first.call.dtype,
            absorbed_by=absorbed_by, windows=by_window,
        )  # fmt: skip
        return attn_map, check

    def windows(self, sample: int) -> list[Window]:
        """Returns the rows of attention calls that hold tokens of a sample."""
        windows = []
        for call, query, key in zip(self.group.calls, self.group.query_sides, self.group.key_sides, strict=True):
            samples = _sample_of_row(call, query, key)
            for row in np.flatnonzero(samples == sample):
                places = [
                    np.arange(count) if side.positions is None else side.positions[row]
                    for side, count in ((query, call.shape[2]), (key, call.shape[3]))
                ]
                windows.append(Window(call, int(row), *places))
        return windows


def _sample_of_row(call: AttentionCall, query: Side, key: Side) -> Positions:
    """Returns the sample of each row of a call; of two sides, one of which all samples share, the other tells."""
    side = query if query.samples > 1 or key.samples == 1 else key
    if side.sample_of_row is not None:
        return side.sample_of_row
    return np.arange(call.shape[0]) if call.shape[0] == side.samples else np.zeros(call.shape[0], np.int64)


def maps_of(calls: Sequence[AttentionCall]) -> tuple[list[CallMap], StreamGraph]:
    """Returns the maps of one call of a model in order of execution, and their streams."""
    graph = StreamGraph(calls)
    between = [
        (id(group.queries.newest or group.queries), id(group.keys.newest or group.keys)) for group in graph.groups
    ]
    runs = [id(group.calls[0].runs[-1] if group.calls[0].runs else group) for group in graph.groups]
    stacks = stacks_of([group.module for group in graph.groups], between, runs)
    return [CallMap(group, *place) for group, place in zip(graph.groups, stacks, strict=True)], graph
