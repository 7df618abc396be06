"""The result of a capture: records, exact views of any part of the attention, rollout and relevance."""

from __future__ import annotations

import platform
import uuid
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmviz.capture.attention_call import AttentionCall
from mmviz.capture.attention_sites import AttentionSite, sites_of
from mmviz.capture.call_groups import CallGroup, Stream
from mmviz.capture.call_maps import CallMap, maps_of
from mmviz.capture.call_rollout_relevance import CallFlows, OutputGradients
from mmviz.capture.checked_maps import checked_maps, linked_maps
from mmviz.capture.data_flow_step import Step
from mmviz.capture.fused_kernel_detector import FusedKernelDetector
from mmviz.capture.lazy_attention import LazyAttention
from mmviz.capture.model_call_choice import (
    attention_of_call,
    check_sample,
    chosen_sample,
    nothing_captured,
    sample_count,
)
from mmviz.capture.module_tracker import ModuleTracker
from mmviz.capture.plain_torch_modes import plain_modes
from mmviz.capture.process_fork_check import refuse_after_fork
from mmviz.capture.recorder import AttentionRecorder
from mmviz.capture.stream_fields import StreamFields
from mmviz.capture.stream_graph import StreamGraph
from mmviz.capture.streams import NamedStreams, StreamPairs, StreamTokens, pairs_of_call
from mmviz.capture.uncaptured import uncaptured_notices
from mmviz.types import AttentionRecord, CaptureError, InputFields, Notice, Token, TokenFields, pairs_by_pattern


class CaptureResult:
    """The attention of one model during a `capture`. Tensors are kept by reference as long as this object lives.

    In the methods, ``call`` is one call of the model (a step of ``generate`` is one) and ``batch`` one sample, both
    counted from 0; they may be left out where attention ran in one call only, or over one sample.
    """

    def __init__(
        self, recorder: AttentionRecorder, tracker: ModuleTracker, detector: FusedKernelDetector | None,
        pairs: Mapping[str, tuple[str, str]],
    ):  # fmt: skip
        self.model = tracker.model
        self._recorder, self._tracker, self._detector = recorder, tracker, detector
        self._pairs = pairs  # names of the streams of all calls, see `capture`
        self._call_maps: dict[int, tuple[list[CallMap], StreamGraph]] = {}
        self._recorded: dict[str, list[CallMap]] = {}
        self._stream_names: dict[int, dict[str, Stream]] = {}
        """The streams of each call by the names that its records gave them."""

    def __reduce__(self) -> str:
        """Raises ``CaptureError`` (``capture-pickle``): hooks and tensors in a graph belong to this process."""
        raise CaptureError("capture-pickle")

    @property
    def calls(self) -> tuple[str, ...]:
        """The path of the module that was called, for each call; the model itself has the name of its class."""
        return tuple(self._tracker.calls)

    @property
    def all_attention_calls(self) -> tuple[AttentionCall, ...]:
        """The attention of all calls of the model, in order of execution; may be empty."""
        return tuple(self._recorder.calls.attention_calls)

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What may be attention and was not captured."""
        kernels = self._detector.kernels if self._detector else ()
        return tuple(uncaptured_notices(self._recorder, self._tracker, kernels))

    def attention_calls(self, call: int | None = None) -> tuple[AttentionCall, ...]:
        """Returns the attention of one call of the model, in order of execution.

        Raises ``CaptureError``: ``capture-not-run`` where the model was not called, ``capture-nothing`` where no
        attention was captured, ``capture-calls`` where there are several calls to choose from, ``capture-call`` where
        there is no such call.
        """
        refuse_after_fork()
        if not self.all_attention_calls and self.calls:
            raise nothing_captured(self._tracker, self.notices)
        return attention_of_call(self.all_attention_calls, call, self._tracker)

    @plain_modes()
    def record(
        self, tokens: StreamTokens = None, *, call: int | None = None, batch: int | None = None,
        streams: Mapping[str, str] | None = None, pairs: StreamPairs = None,
    ) -> AttentionRecord:  # fmt: skip
        """Returns the attention of one call as a record, with a map for each attention call in order of execution.

        Up to `SHORT_SEQUENCE` tokens, a map has its ``weights``, float32 ``[head, query, key]``, or
        ``[batch, head, query, key]`` for a batch of which ``batch`` chooses no sample. A longer one is a `PooledMap` of
        one sample. Every map has passed `mmviz.capture.map_check`.

        Args:
            tokens: Strings or `mmviz.Token` of one stream, or a mapping from names to those of several streams; an
                error lists the names. Streams without tokens are numbered.
            call: The call of the model.
            batch: The sample of the batch. Attention that ran over a single row, as of one image beside several texts,
                belongs to all of them.
            streams: Names of streams by glob patterns, as in `mmviz.capture`, whose names they overrule.
            pairs: Names of the streams of queries and keys. Streams that ``tokens`` lacks are numbered.

        Raises:
            CaptureError: Where no map can be shown, see `attention_calls`, `streams_of` and `check_short_map`.
            MmvizError: ``stream-names`` for ``streams`` or ``pairs`` of another form.
        """
        maps, graph = self._maps(call)
        named = self._named(maps, graph, tokens, pairs_by_pattern(streams, pairs))
        samples = sample_count(maps)
        check_sample(batch, samples)
        notices = [*self.notices, *named.notices]
        kept, left_out = checked_maps(maps, named, samples, batch)
        notices += left_out
        attn_maps = [attn_map for attn_map, _ in kept.values()]
        used = {name for attn_map in attn_maps for name in (attn_map.queries, attn_map.keys)}
        notices += [notice for _, check in kept.values() for notice in check.notices]
        record_id = uuid.uuid4().hex
        self._recorded[record_id] = [maps[number] for number in kept]
        attn_maps, linked = linked_maps(maps, graph.streams, attn_maps, batch, samples)
        by_name = named.by_name([call_map.group for call_map in maps])
        self._stream_names[maps[0].call] = self._stream_names.get(maps[0].call, {}) | by_name
        calls = [maps[number].group.calls[0] for number in kept]
        return AttentionRecord(
            id=record_id,
            streams={name: stream for name, stream in named.tokens.items() if name in used},
            maps=tuple(attn_maps),
            answers=(),
            made_by={
                "model": self._tracker.model_name,
                "device": calls[0].value.device.type,
                "dtype": calls[0].dtype,
                "versions": {"torch": torch.__version__, "python": platform.python_version()},
                "routes": [attention.route for attention in calls],
                "parity": max(check.parity for _, check in kept.values()),
            },
            notices=(*notices, *linked.notices),
            links=linked.links,
        )

    def view(self, ref: int | str, *, call: int | None = None, batch: int | None = None) -> LazyAttention:
        """Returns the weights of one attention call, of which any part can be computed.

        ``ref``: its number in order of execution, or the path of its module (the first run of it).
        Raises ``CaptureError`` (``capture-map``) where there is no such attention.
        """
        maps, _ = self._maps(call)
        modules = [call_map.group.module for call_map in maps]
        number = modules.index(ref) if ref in modules else ref
        if not isinstance(number, int) or not 0 <= number < len(maps):
            raise CaptureError("capture-map", name=ref, known=", ".join(dict.fromkeys(modules)))
        maps[number].check_meaning()
        return maps[number].attention(chosen_sample(maps[number], batch, sample_count(maps)))

    def fields(self, inputs: Mapping[str, InputFields], call: int | None = None) -> dict[str, TokenFields]:
        """Returns which part of an input each token of the first sample comes from, by the default names of streams.

        ``inputs``: what each number of an input comes from, by the name of the input.
        """
        fields = StreamFields(self._maps(call)[1], inputs).fields(sample=0)
        return {name: fields[id(stream)] for name, stream in self._names(call).items() if id(stream) in fields}

    def sites(
        self, tokens: StreamTokens = None, pairs: StreamPairs = None, call: int | None = None
    ) -> tuple[list[AttentionSite], dict[str, tuple[Token, ...]], list[CaptureError]]:  # fmt: skip
        """Returns the attention calls of one call of the model, the tokens of their streams, and why the tokens of
        other attention calls are not known. ``tokens`` and ``pairs``: as in `record`."""
        maps, graph = self._maps(call)
        named = self._named(maps, graph, tokens, pairs or {})
        sites, problems = sites_of(maps, named)
        return sites, named.tokens, problems

    def samples(self, call: int | None = None) -> int:
        """Returns the number of samples that the attention of one call of the model ran over."""
        return sample_count(self._maps(call)[0])

    def recorded_maps(self, record: AttentionRecord) -> list[CallMap]:
        """Returns what the maps of ``record``, which this object returned, were taken from, in their order."""
        return self._recorded[record.id]

    def maps_left_out(self, record: AttentionRecord) -> list[CallMap]:
        """Returns the maps of its call that ``record``, which this object returned, lacks."""
        recorded = self._recorded[record.id]
        return [call_map for call_map in self._maps(recorded[0].call)[0] if call_map not in recorded]

    @plain_modes()
    def rollout(
        self, tokens: Sequence[int], direction: str = "from", *, queries: str | None = None, keys: str | None = None,
        call: int | None = None, batch: int | None = None,
    ) -> NDArray[np.float32]:  # fmt: skip
        """Returns attention rollout through all maps between two streams (Abnar and Zuidema 2020, section 3).

        Direction ``"from"`` gives the rows of the query tokens, ``[token, key]``; ``"to"`` the columns of the key
        tokens, ``[query, token]``. See `mmviz.capture.joint_rollout`.

        Args:
            tokens: Tokens of the queries (``"from"``), or of the keys (``"to"``).
            queries: The stream of the queries, by its name in `record`; by default that of the last map.
            keys: The stream of the keys, whose tokens are meant as they enter it; by default that of the queries, where
                it attends to itself, else the stream that it attends to last.
            call: The call of the model.
            batch: The sample of the batch.

        Raises ``CaptureError``: ``flow-name`` for a stream that the call does not have, ``view-tokens`` for a token,
        ``flow-route``, ``flow-lost``, ``flow-cache`` and ``flow-samples`` where nothing can be followed from the
        queries to the keys, and as `record` does for a map that cannot be shown.
        """
        flows, ends = self._flows(queries, keys, call, batch)
        return flows.rollout(tokens, direction, *ends)

    @plain_modes()
    def relevance(
        self, logit: Tensor, tokens: Sequence[int] | None = None, *, queries: str | None = None,
        keys: str | None = None, call: int | None = None, batch: int | None = None,
    ) -> NDArray[np.float32]:  # fmt: skip
        """Returns gradient relevance ``R - I`` for ``logit`` (Chefer, Gur and Wolf 2021, sections 3.1 and 3.2).

        The rows are those of the query ``tokens``, ``[token, key]``, by default of all; streams as for `rollout`. The
        model must have run with gradients; its kernels may be fused. See `mmviz.capture.joint_relevance`.
        Raises ``CaptureError`` as `rollout` does, and ``relevance-graph`` where no gradients reach the attention.
        """
        flows, ends = self._flows(queries, keys, call, batch)
        return flows.relevance(logit, tokens, *ends)

    @plain_modes()
    def relevance_to_all(
        self, logit: Tensor | OutputGradients, *, queries: str | None = None, call: int | None = None,
        batch: int | None = None,
    ) -> dict[str, NDArray[np.float32]]:  # fmt: skip
        """Returns `relevance` ``[query, key]`` of all queries for every stream that a flow leads to, by its name.

        ``logit``: or its gradients, which may be those of the logits of all samples, added up.
        Raises ``CaptureError`` as `relevance` does; streams that cannot be followed are left out.
        """
        flows, (first, _) = self._flows(queries, None, call, batch)
        names = self._names(call)
        return {
            name: rows for keys, rows in flows.relevance_to_all(logit, first)
            for name in [next(name for name, stream in reversed(names.items()) if stream is keys)]
        }  # fmt: skip

    def stream(self, name: str, call: int | None = None) -> tuple[Stream, list[CallGroup]]:
        """Returns the stream of a call with this name, and the maps of the call, see `mmviz.capture.stream_graph`.

        Raises ``CaptureError`` (``flow-name``) where there is no such stream.
        """
        if name not in (names := self._names(call)):
            raise CaptureError("flow-name", name=name, known=", ".join(names))
        return names[name], [call_map.group for call_map in self._maps(call)[0]]

    def step(self, tensor: Tensor) -> Step:
        """Returns where a tensor of the model came from."""
        return self._tracker.flow.step(tensor)

    def _names(self, call: int | None) -> dict[str, Stream]:
        """Returns the streams of a call by name: those that they have without tokens, then those of its records."""
        maps, graph = self._maps(call)
        named = self._named(maps, graph, None, {})
        return named.by_name([call_map.group for call_map in maps]) | self._stream_names.get(maps[0].call, {})

    def _named(
        self, maps: Sequence[CallMap], graph: StreamGraph, tokens: StreamTokens, pairs: Mapping[str, tuple[str, str]]
    ) -> NamedStreams:
        """Returns the names and tokens of the streams of a call, whose ``pairs`` overrule those of the capture."""
        modules = {call_map.group.module for call_map in maps}
        others = {attention.module for attention in self.all_attention_calls} - modules
        pairs = pairs_of_call(pairs, self._pairs, modules, others)
        return NamedStreams([call_map.group for call_map in maps], graph.streams, tokens, pairs)

    def _flows(
        self, queries: str | None, keys: str | None, call: int | None, batch: int | None
    ) -> tuple[CallFlows, tuple[Stream, Stream]]:
        """Returns the flows of a call for a sample, and the streams of the queries and keys with these names."""
        maps, graph = self._maps(call)
        groups = [call_map.group for call_map in maps]
        first = groups[-1].queries if queries is None else self.stream(queries, call)[0]
        attended = [group.keys for group in groups if group.queries is first]
        last = first if first in attended else [first, *attended][-1]
        if keys is not None:
            last, _ = self.stream(keys, call)
        check_sample(batch, sample_count(maps))
        return CallFlows(maps, graph.streams, batch), (first, last)

    def _maps(self, call: int | None) -> tuple[list[CallMap], StreamGraph]:
        """Returns the maps of a call of the model and their streams."""
        calls = self.attention_calls(call)
        if not calls:
            raise CaptureError("capture-call-empty", call=call, calls=", ".join(self.calls))
        number = calls[0].call
        if number not in self._call_maps:
            self._call_maps[number] = maps_of(calls)
        return self._call_maps[number]
