"""Flows through the maps of a record whose weights are computed when they are viewed: rollout and gradient relevance.

The record knows how its streams are joined (`AttentionRecord.links`), so that a flow is the same where the model ran
and where only the tensors of its attention are left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mmviz.capture.joint_relevance import JointRelevance
from mmviz.capture.joint_rollout import rollout_columns, rollout_rows
from mmviz.capture.joint_system import FlowLink, FlowMap, JointSystem
from mmviz.capture.lazy_attention import Gradients, LazyAttention
from mmviz.types import AttentionRecord, CaptureError, MapRef

Passed = Callable[[int, int], None]
"""Receives the number of maps that a pass has gone through, and the number of all."""


class RecordFlows:
    """The flows of a record. ``layers`` are the weights of its maps; ``gradients`` returns what relevance needs.

    ``gradients`` may raise ``CaptureError``, such as ``view-relevance`` where there are none.
    """

    def __init__(
        self, record: AttentionRecord, layers: Sequence[LazyAttention], gradients: Callable[[], Gradients]
    ):  # fmt: skip
        self._record, self._layers, self._gradients = record, layers, gradients

    def rows(self, ref: MapRef, start: Tensor, passed: Passed | None = None) -> Tensor:
        """Returns ``start @ flow``, float32 ``[row, key]``, for ``start`` ``[row, query]``.

        ``passed`` is called after each map. Raises ``CaptureError`` (``flow-route``) where the record cannot follow the
        flow.
        """
        system, queries, keys = self._system(ref, passed)
        if ref.method == "rollout":
            return rollout_rows(system, start, queries, keys)
        return JointRelevance(system, self._gradients()).rows(start, queries, keys)

    def columns(self, ref: MapRef, start: Tensor, passed: Passed | None = None) -> Tensor:
        """Returns ``flow @ start``, float32 ``[query, column]``, for ``start`` ``[key, column]``; see `rows`."""
        system, queries, keys = self._system(ref, passed)
        if ref.method == "rollout":
            return rollout_columns(system, start, queries, keys)
        return JointRelevance(system, self._gradients()).columns(start, queries, keys)

    def _system(self, ref: MapRef, passed: Passed | None) -> tuple[JointSystem, int, int]:
        """Returns the streams as one system, and the numbers of those of the queries and keys."""
        record = self._record
        queries, keys = record.flow_streams[0], ref.keys or record.flow_streams[1]
        names = list(record.streams)
        numbers = range(len(record.maps))
        if record.links is None:  # nothing is known of what joins streams, so that the flow stays in one
            attended = {attn_map.keys for attn_map in record.maps if attn_map.queries == queries}
            if attended != {queries} or keys != queries:
                raise CaptureError("flow-route", queries=queries, keys=keys)
            numbers = [k for k in numbers if record.maps[k].queries == queries]  # type: ignore[assignment]
            names = [queries]
        states = [record.maps[k].keys_state for k in numbers]
        maps = [
            FlowMap(
                self._layers[k], names.index(record.maps[k].queries), names.index(record.maps[k].keys),
                place if state is None else state,
            )
            for place, (k, state) in enumerate(zip(numbers, states, strict=True))
        ]  # fmt: skip
        links = [
            FlowLink(
                names.index(link.stream), names.index(link.source), link.source_state, _tensor(link.tokens),
                _tensor(link.source_tokens), _tensor(link.shares),
            )
            for link in record.links or ()
        ]  # fmt: skip
        system = JointSystem([len(record.streams[name]) for name in names], maps, links, passed)
        first, last = (names.index(name) if name in names else -1 for name in (queries, keys))
        reached = system.reachable(first)
        if last not in reached:
            raise CaptureError("flow-route", queries=queries, keys=keys)
        for notice in record.notices:
            if notice.code == "flow-lost":
                stream, source = (names.index(notice.parameters[end]) for end in ("stream", "source"))
                if stream in reached and last in system.reachable(source):
                    raise CaptureError("flow-lost", **notice.parameters)
        return system, first, last


def _tensor(array: object) -> Tensor:
    """Returns a copy of a read-only array, which torch would warn of."""
    return torch.tensor(array)
