"""Flows through all attention of one call of a model: rollout and gradient relevance between any of its streams."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmviz.capture.attention_call import AttentionCall
from mmviz.capture.call_groups import Stream
from mmviz.capture.call_maps import CallMap
from mmviz.capture.joint_relevance import JointRelevance
from mmviz.capture.joint_rollout import rollout_columns, rollout_rows
from mmviz.capture.joint_system import FlowMap, JointSystem
from mmviz.capture.key_update_order import UpdatesOf, key_states
from mmviz.capture.lazy_attention import LazyAttention
from mmviz.capture.query_key_positions import Positions
from mmviz.capture.stream_links import StreamLinks
from mmviz.types import CaptureError


class CallFlows:
    """The streams of one call as a joint system, for one sample of the batch; None where there is only one.

    Raises ``CaptureError`` (``capture-batch``) where there is no such sample.
    """

    def __init__(self, maps: Sequence[CallMap], streams: Sequence[Stream], batch: int | None = None):
        self._maps, self._streams, self._batch = maps, list(streams), batch
        groups = [call_map.group for call_map in maps]
        updates = UpdatesOf(groups)
        flow_maps = []
        for call_map, group, state in zip(maps, groups, key_states(groups, updates), strict=True):
            ends = self._streams.index(group.queries), self._streams.index(group.keys)
            layer = call_map.attention(_sample(call_map, batch))
            flow_maps.append(FlowMap(layer, *ends, state, _tensor(group.query_part), _tensor(group.key_part)))
        links = StreamLinks(groups, streams, updates)
        self.lost = links.lost
        """The ways of tokens from stream to stream that cannot be followed."""
        self._across_samples = links.across_samples
        self.system = JointSystem([stream.count for stream in streams], flow_maps, links.of_sample(batch or 0))

    @property
    def is_of_one_sample(self) -> bool:
        """Whether all streams have as many samples, or one, and no tokens are made of those of other samples."""
        samples = {stream.samples for stream in self._streams} - {1}
        return len(samples) < 2 and not self._across_samples

    @property
    def has_earlier_calls(self) -> bool:
        """Whether tokens of earlier calls are attended to."""
        return any(map(self._reads_earlier_calls, range(len(self._maps))))

    def rollout(
        self, tokens: Sequence[int], direction: str, queries: Stream, keys: Stream
    ) -> NDArray[np.float32]:  # fmt: skip
        """Returns rows ``[token, key]`` (``"from"``) or columns ``[query, token]`` (``"to"``) of the rollout.

        Raises ``CaptureError``: ``flow-route`` where no flow leads from the queries to the keys, ``flow-lost`` where a
        function cannot be followed, ``flow-cache`` where tokens of earlier calls are attended to, whose layers are not
        known, ``flow-samples`` where streams have other samples, ``view-tokens``, and as `CallMap.check_meaning` does.
        """
        ends = self._ends(queries, keys)
        if direction == "to":
            return rollout_columns(self.system, one_hot(tokens, keys.count).T.contiguous(), *ends).numpy()
        return rollout_rows(self.system, one_hot(tokens, queries.count), *ends).numpy()

    def relevance(
        self, logit: Tensor, tokens: Sequence[int] | None, queries: Stream, keys: Stream
    ) -> NDArray[np.float32]:  # fmt: skip
        """Returns rows ``[token, key]`` of gradient relevance for ``logit``, those of all queries for None.

        Raises ``CaptureError`` as `rollout` does, and ``relevance-graph`` where no gradients reach the attention.
        """
        ends = self._ends(queries, keys)
        start = one_hot(range(queries.count) if tokens is None else tokens, queries.count)
        return self._relevance(logit).rows(start, *ends).numpy()

    def relevance_to_all(
        self, logit: Tensor | OutputGradients, queries: Stream
    ) -> list[tuple[Stream, NDArray[np.float32]]]:  # fmt: skip
        """Returns the relevance ``[query, key]`` of each stream that a flow leads to, for all queries.

        ``logit``: or its gradients, where several samples share them.
        Raises ``CaptureError`` (``relevance-graph``) where no gradients reach any attention.
        """
        joint, results = self._relevance(logit), []
        start = torch.eye(queries.count, dtype=torch.float32)
        for keys in self._streams:
            with suppress(CaptureError):  # what cannot be followed has none
                results.append((keys, joint.rows(start, *self._ends(queries, keys)).numpy()))
        return results

    def _relevance(self, logit: Tensor | OutputGradients) -> JointRelevance:
        if isinstance(logit, OutputGradients):
            return JointRelevance(self.system, logit)
        calls = [call for call_map in self._maps for call in call_map.group.calls]
        return JointRelevance(self.system, OutputGradients(logit, calls))

    def _reads_earlier_calls(self, number: int) -> bool:
        """Returns whether the keys of a map are tokens of earlier calls, beside its queries."""
        return bool(self._maps[number].group.keys.newest and not self.system.links_of(self.system.maps[number].keys))

    def _ends(self, queries: Stream, keys: Stream) -> tuple[int, int]:
        """Returns the numbers of both streams, between which every map is known."""
        first, last = self._streams.index(queries), self._streams.index(keys)
        reached = self.system.reachable(first)
        for route in self.lost:
            if route.stream in reached and last in self.system.reachable(route.source):
                source, stream = (self._streams[number].path for number in (route.source, route.stream))
                raise CaptureError("flow-lost", source=source, stream=stream, function=route.function)
        if last not in reached:
            raise CaptureError("flow-route", queries=queries.path, keys=keys.path)
        for number, call_map in enumerate(self._maps):
            if self.system.maps[number].queries in reached:
                call_map.check_meaning()
                if self._reads_earlier_calls(number):
                    raise CaptureError("flow-cache", name=call_map.group.module)
        passed = {number for number in reached if last in self.system.reachable(number)}
        samples = {self._streams[number].samples for number in passed} - {1}
        if self._batch is None and samples:
            raise CaptureError("capture-batch-choose", count=max(samples), last=max(samples) - 1)
        if len(samples) > 1 or any(passed >= {*pair} for pair in self._across_samples):
            raise CaptureError("flow-samples", queries=queries.path, keys=keys.path)
        return first, last


class OutputGradients(dict[int, Tensor]):
    """The gradients of ``logit`` with respect to the output of attention calls, see `LazyAttention.gradient_tile`.

    They are 0 for calls that the logit does not depend on. Raises ``CaptureError`` (``relevance-graph``) where it
    depends on none, and when those of a call are read that ran without gradients.
    """

    def __init__(self, logit: Tensor, calls: Sequence[AttentionCall]):
        super().__init__()
        self._names = {id(call): call.module for call in calls}
        in_graph = [call for call in calls if call.output is not None and call.arrange is not None]
        if not logit.requires_grad or not in_graph:
            raise CaptureError("relevance-graph", name=calls[0].module)
        outputs = [call.output for call in in_graph if call.output is not None]
        gradients = torch.autograd.grad(logit, outputs, retain_graph=True, allow_unused=True)
        if all(gradient is None for gradient in gradients):
            raise CaptureError("relevance-graph", name=in_graph[-1].module)
        for call, output, gradient in zip(in_graph, outputs, gradients, strict=True):
            assert call.arrange is not None
            self[id(call)] = call.arrange(torch.zeros_like(output) if gradient is None else gradient)

    def __missing__(self, number: int) -> Tensor:
        raise CaptureError("relevance-graph", name=self._names[number])


def one_hot(tokens: Sequence[int], count: int) -> Tensor:
    """Returns ``[len(tokens), count]`` with a 1 for each token. Raises ``CaptureError`` (``view-tokens``)."""
    rows = torch.zeros(len(tokens), count, dtype=torch.float32)
    for row, token in enumerate(tokens):
        if not 0 <= token < count:
            raise CaptureError("view-tokens", token=token, count=count)
        rows[row, token] = 1
    return rows


def one_stream(layers: Sequence[LazyAttention]) -> JointSystem:
    """Returns the system of layers over one stream that attends to itself, from the first to the last."""
    return JointSystem([layers[0].keys], [FlowMap(layer, 0, 0, number) for number, layer in enumerate(layers)])


def relevance(logit: Tensor, calls: Sequence[AttentionCall], batch: int = 0) -> NDArray[np.float32]:
    """Returns the relevance ``[query, key]`` of self-attention layers of one stream for ``logit``, as ``R - I``.

    See `mmviz.capture.joint_relevance`. ``calls`` must still be in the graph. Raises ``CaptureError``
    (``relevance-graph``) where ``logit`` has no gradients with respect to the attention.
    """
    system = one_stream([LazyAttention(call, batch) for call in calls])
    start = torch.eye(system.counts[0], dtype=torch.float32)
    return JointRelevance(system, OutputGradients(logit, calls)).rows(start, 0, 0).numpy()


def _sample(call_map: CallMap, batch: int | None) -> int:
    """Returns the sample of a map to view: ``batch``, or the first where only some streams have that many."""
    return batch if batch is not None and batch < call_map.samples else 0


def _tensor(part: Positions | None) -> Tensor | None:
    return None if part is None else torch.from_numpy(part)
