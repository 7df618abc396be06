"""Attention rollout through several streams, exact, without a matrix ``[token, token]``: some rows are carried.

Formula: Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers", section 3, with all streams in one
matrix: in a map from queries ``s`` to keys ``q``, a token of ``s`` becomes half itself and half the mean of what it
attends to, ``1/2 own + 1/2 A`` with ``A`` the mean over heads, and rows are divided by their sum. For one stream that
is ``B = (A + I) / 2``. A token that is made of others, see `FlowLink`, is the mean of these.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmviz.capture.joint_system import JointSystem
from mmviz.capture.tiled_rollout_relevance import rollout_columns_product, rollout_row_products


class StateRows:
    """Rows that are carried down, for the current state of each stream, and those that wait for an earlier state."""

    def __init__(self, system: JointSystem):
        self._system = system
        self._current: dict[int, Tensor] = {}
        self._waiting: dict[tuple[int, int], Tensor] = {}

    def add(self, stream: int, rows: Tensor) -> None:
        """Adds rows ``[row, token]`` to those of the current state of a stream."""
        self._current[stream] = self._current[stream] + rows if stream in self._current else rows

    def add_at(self, stream: int, state: int, now: int, rows: Tensor) -> None:
        """Adds rows to those of ``state``, which is read by map, or before map, ``now``."""
        if state == now:
            self.add(stream, rows)
        else:
            key = (stream, state)
            self._waiting[key] = self._waiting[key] + rows if key in self._waiting else rows

    def pop(self, stream: int) -> Tensor | None:
        """Takes the rows of the current state of a stream; None where none came."""
        return self._current.pop(stream, None)

    def undo(self, number: int) -> None:
        """Goes to the state before map ``number``, which updated its queries."""
        stream = self._system.maps[number].queries
        if (stream, number) in self._waiting:
            self.add(stream, self._waiting.pop((stream, number)))


class StateColumns:
    """Columns that are carried up, for the current state of each stream, and the earlier states that are read later."""

    def __init__(self, system: JointSystem):
        self._current: dict[int, Tensor] = {}
        self._kept: dict[tuple[int, int], Tensor | None] = {}
        reads = {(m.keys, m.keys_state) for k, m in enumerate(system.maps) if m.keys_state < k}
        reads |= {(link.source, system.time_of(link)) for link in system.links}
        self._reads = reads

    def get(self, stream: int, state: int | None = None) -> Tensor | None:
        """Returns the columns ``[token, column]`` of a state, the current one where it was not left; None for zero."""
        if (stream, state) in self._kept:
            return self._kept[stream, state]  # type: ignore[index]
        return self._current.get(stream)

    def set(self, stream: int, columns: Tensor) -> None:
        """Sets the columns of the current state."""
        self._current[stream] = columns

    def leave(self, stream: int, state: int) -> None:
        """Keeps the columns of a state that is about to be left, where they are read later."""
        if (stream, state) in self._reads:
            self._kept[stream, state] = self._current.get(stream)


def embedded(part: Tensor | None, values: Tensor, count: int, axis: int) -> Tensor:
    """Returns ``values`` of the tokens ``part`` as those of all ``count`` along ``axis``, with 0 for the others."""
    if part is None:
        return values
    shape = list(values.shape)
    shape[axis] = count
    return torch.zeros(shape, dtype=values.dtype).index_copy_(axis, part, values)


def of_part(part: Tensor | None, values: Tensor, axis: int) -> Tensor:
    """Returns the ``values`` of the tokens ``part`` along ``axis``; all for None."""
    return values if part is None else values.index_select(axis, part)


def rollout_rows(system: JointSystem, start: Tensor, queries: int, keys: int) -> Tensor:
    """Returns ``start @ rollout``, ``[row, key]``, for ``start`` ``[row, query]`` over the final tokens of ``queries``.

    The keys are the tokens of the stream ``keys`` as they enter it. One-hot rows of ``start`` give rows of the rollout,
    rows that divide 1 among several queries their mean.
    """
    rows = StateRows(system)
    rows.add(queries, start)
    for kind, number in system.downward():
        if kind == "link":
            carried = rows.pop(number)
            if number == keys:
                return torch.zeros(len(start), system.counts[keys], dtype=torch.float32) if carried is None else carried
            for link in system.links_of(number):
                if carried is None:
                    break
                passed = link.to_source(carried, system.counts[link.source])
                rows.add_at(link.source, system.time_of(link), system.link_times[number], passed)
            continue
        flow_map = system.maps[number]
        carried = rows.pop(flow_map.queries)
        rows.undo(number)
        if carried is None:
            continue
        own, passed = rollout_row_products(flow_map.layer, of_part(flow_map.query_part, carried, 1))
        if flow_map.query_part is not None:
            own = carried.index_copy(1, flow_map.query_part, own)
        rows.add(flow_map.queries, own)
        passed = embedded(flow_map.key_part, passed, system.counts[flow_map.keys], 1)
        rows.add_at(flow_map.keys, flow_map.keys_state, number, passed)
    raise LookupError(keys)


def rollout_columns(system: JointSystem, start: Tensor, queries: int, keys: int) -> Tensor:
    """Returns ``rollout @ start``, ``[query, column]``, for ``start`` ``[key, column]``; see `rollout_rows`."""
    columns = StateColumns(system)
    for kind, number in system.upward():
        if kind == "link":
            if number == keys:
                columns.set(keys, start)
                continue
            for link in system.links_of(number):
                source = columns.get(link.source, system.time_of(link))
                if source is not None:
                    part = link.from_source(source, system.counts[number])
                    before = columns.get(number)
                    columns.set(number, part if before is None else before + part)
            continue
        flow_map = system.maps[number]
        before, of_keys = columns.get(flow_map.queries), columns.get(flow_map.keys, flow_map.keys_state)
        columns.leave(flow_map.queries, number)
        if before is None and of_keys is None:
            continue
        zeros = [
            torch.zeros(system.counts[s], start.shape[1], dtype=torch.float32)
            for s in (flow_map.queries, flow_map.keys)
        ]
        own, source = zeros[0] if before is None else before, zeros[1] if of_keys is None else of_keys
        after = rollout_columns_product(
            flow_map.layer, of_part(flow_map.query_part, own, 0), of_part(flow_map.key_part, source, 0)
        )
        if flow_map.query_part is not None:
            after = own.index_copy(0, flow_map.query_part, after)
        columns.set(flow_map.queries, after)
    final = columns.get(queries)
    return torch.zeros(system.counts[queries], start.shape[1], dtype=torch.float32) if final is None else final
