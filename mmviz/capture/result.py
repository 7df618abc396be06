"""The result of a capture: records, exact views of any part of the attention, rollout and relevance."""

from __future__ import annotations

import platform
import uuid
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmviz.capture.attention_call import SHORT_SEQUENCE, AttentionCall
from mmviz.capture.forked_process import refuse_after_fork
from mmviz.capture.lazy_attention import LazyAttention
from mmviz.capture.map_check import check_pooled_map, check_short_map
from mmviz.capture.module_tracker import ModuleTracker
from mmviz.capture.recorder import AttentionRecorder
from mmviz.capture.streams import StreamTokens, known_streams, streams_of
from mmviz.capture.tiled_rollout_relevance import relevance_rows, rollout_columns, rollout_rows
from mmviz.capture.torch_modes import plain_modes
from mmviz.capture.uncaptured import FusedKernelDetector, uncaptured_notices
from mmviz.types import AttentionMap, AttentionRecord, CaptureError, Notice, PooledMap


class CaptureResult:
    """The attention of one model during a `capture`. Tensors are kept by reference as long as this object lives.

    In the methods, ``call`` is one call of the model, counted from 0 (a step of ``generate`` is one); it may be left
    out where attention ran in one call only. ``batch`` is one sample of a batch, from 0; it may be left out where there
    is only one.
    """

    def __init__(self, recorder: AttentionRecorder, tracker: ModuleTracker, detector: FusedKernelDetector | None):
        self.model = tracker.model
        self._recorder, self._tracker, self._detector = recorder, tracker, detector

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
        return tuple(self._recorder.attention_calls)

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
        model, calls = self._tracker.model_name, self.calls
        if not calls:
            raise CaptureError("capture-not-run", model=model)
        if not self.all_attention_calls:
            classes = dict.fromkeys(self._tracker.class_names[path] for path in self._tracker.modules_run)
            notices = "".join(f" {notice}" for notice in self.notices)
            raise CaptureError(
                "capture-nothing", model=model, ran=", ".join(list(classes)[:12]), uncaptured_notices=notices
            )
        if call is None:
            numbers = sorted({attention.call for attention in self.all_attention_calls})
            if len(numbers) > 1:
                listed = ", ".join(f"{number} {calls[number]}" for number in numbers[:6])
                more = ", …" if len(numbers) > 6 else ""
                raise CaptureError("capture-calls", count=len(calls), last=len(calls) - 1, calls=listed + more)
            call = numbers[0]
        if not 0 <= call < len(calls):
            raise CaptureError("capture-call", call=call, count=len(calls))
        return tuple(attention for attention in self.all_attention_calls if attention.call == call)

    @plain_modes()
    def record(
        self, tokens: StreamTokens = None, *, call: int | None = None, batch: int | None = None,
        pairs: Mapping[str, tuple[str, str]] | None = None,
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
            pairs: Names of the streams of queries and keys by module path, where they are known. ``tokens`` must then
                hold all of them.

        Raises:
            CaptureError: Where no map can be shown, see `attention_calls`, `streams_of` and `check_short_map`.
        """
        attention_calls = self.attention_calls(call)
        if pairs is None:
            streams, stream_pairs = streams_of(attention_calls, tokens)
        else:
            streams, stream_pairs = known_streams(attention_calls, tokens, pairs)
        notices = list(self.notices)
        maps: list[AttentionMap | PooledMap] = []
        parities = []
        for attention, (queries, keys) in zip(attention_calls, stream_pairs, strict=True):
            layer = sum((earlier.queries, earlier.keys) == (queries, keys) for earlier in maps)
            attn_map: AttentionMap | PooledMap
            row = self._row(attention, batch)
            if max(attention.shape[2:]) <= SHORT_SEQUENCE:
                attn_map, check = check_short_map(attention, layer, queries, keys, row)
            else:
                exact = LazyAttention(attention, self._sample(attention, row))
                attn_map, check = check_pooled_map(exact, layer, queries, keys, streams)
            maps.append(attn_map)
            parities.append(check.parity)
            notices += check.notices
        return AttentionRecord(
            id=uuid.uuid4().hex,
            streams=streams,
            maps=tuple(maps),
            answers=(),
            made_by={
                "model": self._tracker.model_name,
                "device": attention_calls[0].value.device.type,
                "dtype": attention_calls[0].dtype,
                "versions": {"torch": torch.__version__, "python": platform.python_version()},
                "routes": [attention.route for attention in attention_calls],
                "parity": max(parities),
            },
            notices=tuple(notices),
        )

    def view(self, ref: int | str, *, call: int | None = None, batch: int | None = None) -> LazyAttention:
        """Returns the weights of one attention call, of which any part can be computed.

        ``ref``: its number in order of execution, or the path of its module (the first run of it).
        Raises ``CaptureError`` (``capture-map``) where there is no such attention.
        """
        attention_calls = self.attention_calls(call)
        modules = [attention.module for attention in attention_calls]
        number = modules.index(ref) if ref in modules else ref
        if not isinstance(number, int) or not 0 <= number < len(attention_calls):
            raise CaptureError("capture-map", name=ref, known=", ".join(dict.fromkeys(modules)))
        return LazyAttention(attention_calls[number], self._sample(attention_calls[number], batch))

    @plain_modes()
    def rollout(
        self, tokens: Sequence[int], direction: str = "from", *, call: int | None = None, batch: int | None = None
    ) -> NDArray[np.float32]:
        """Returns attention rollout through all maps (Abnar and Zuidema 2020, section 3).

        Direction ``"from"`` gives the rows of the query tokens, ``[token, key]``; ``"to"`` the columns of the key
        tokens, ``[query, token]``.
        Raises ``CaptureError`` (``flow-streams``) for anything but self-attention of one stream.
        """
        layers = self.self_attention_layers("rollout", call, batch)
        if direction == "to":
            return rollout_columns(layers, tokens)
        return rollout_rows(layers, _one_hot(tokens, layers[-1].queries))

    @plain_modes()
    def relevance(
        self, logit: Tensor, tokens: Sequence[int] | None = None, *, call: int | None = None, batch: int | None = None
    ) -> NDArray[np.float32]:
        """Returns gradient relevance ``R - I`` for ``logit`` (Chefer, Gur and Wolf 2021, section 3.1).

        The rows are those of the query ``tokens``, ``[token, key]``, by default of all. The model must have run with
        gradients; its kernels may be fused.
        Raises ``CaptureError``: ``flow-streams`` for anything but self-attention of one stream, ``relevance-graph``
        where no gradients reach the attention.
        """
        layers = self.self_attention_layers("relevance", call, batch)
        count = layers[-1].queries
        return relevance_rows(layers, logit, np.eye(count) if tokens is None else _one_hot(tokens, count))

    def self_attention_layers(
        self, flow: str, call: int | None = None, batch: int | None = None
    ) -> list[LazyAttention]:
        """Returns the weights of all attention calls of one stream that attends to itself, from the first to the last.

        Raises ``CaptureError`` (``flow-streams``), which names ``flow``, where there are other streams.
        """
        attention_calls = self.attention_calls(call)
        streams, pairs = streams_of(attention_calls, None)
        if len(streams) > 1 or pairs[0][0] != pairs[0][1]:
            names = ", ".join(f"{queries} and {keys}" for queries, keys in dict.fromkeys(pairs))
            raise CaptureError("flow-streams", flow=flow, pairs=names)
        return [LazyAttention(attention, self._sample(attention, batch)) for attention in attention_calls]

    def _row(self, attention: AttentionCall, batch: int | None) -> int | None:
        """Returns the row of ``attention`` for sample ``batch``: the only one, where other attention ran over more."""
        if batch is None or attention.shape[0] > 1:
            return batch
        samples = max(call.shape[0] for call in self.attention_calls(attention.call))
        return 0 if 0 <= batch < samples else batch

    def _sample(self, attention: AttentionCall, batch: int | None) -> int:
        """Returns the sample to view. Raises ``CaptureError`` where there are several and ``batch`` chooses none."""
        if batch is None and attention.shape[0] > 1:
            raise CaptureError("capture-batch-choose", count=attention.shape[0], last=attention.shape[0] - 1)
        return self._row(attention, batch) or 0


def _one_hot(tokens: Sequence[int], count: int) -> NDArray[np.float64]:
    """Returns ``[len(tokens), count]`` with a 1 for each token. Raises ``CaptureError`` (``view-tokens``)."""
    rows = np.zeros((len(tokens), count))
    for row, token in enumerate(tokens):
        if not 0 <= token < count:
            raise CaptureError("view-tokens", token=token, count=count)
        rows[row, token] = 1
    return rows
