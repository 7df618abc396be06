"""What was seen of a model's attention: records, exact views of any part, rollout and relevance."""

from __future__ import annotations

import platform
import uuid
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmviz.capture.call import SHORT_SEQUENCE, AttentionCall
from mmviz.capture.flow import relevance_rows, rollout_columns, rollout_rows
from mmviz.capture.lazy_attention import LazyAttention
from mmviz.capture.map_check import check_pooled_map, check_short_map
from mmviz.capture.module_tracker import ModuleTracker
from mmviz.capture.recorder import AttentionRecorder
from mmviz.capture.streams import Given, known_streams, streams_of
from mmviz.capture.uncaptured import FusedKernelDetector, uncaptured_notices
from mmviz.types import AttentionMap, AttentionRecord, CaptureError, Notice, PooledMap


class CaptureResult:
    """The attention of one model while `capture` listened; tensors are kept by reference until this is gone.

    ``call`` below is one run of the model, counted from 0 (a step of ``generate`` is one); it may be left out where
    there was only one. ``batch`` is one sample of a batch.
    """

    def __init__(self, ear: AttentionRecorder, path: ModuleTracker, kernels: FusedKernelDetector | None):
        self.model = path.model
        self._ear, self._path, self._kernels = ear, path, kernels

    @property
    def calls(self) -> tuple[str, ...]:
        """The path of the module that each call went to; the model itself goes by the name of its class."""
        return tuple(self._path.calls)

    @property
    def everything(self) -> tuple[AttentionCall, ...]:
        """What was heard in all calls, in order of execution; maybe nothing."""
        return tuple(self._ear.heard)

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What may be attention and was not caught."""
        return tuple(uncaptured_notices(self._ear, self._path, self._kernels.found if self._kernels else ()))

    def heard(self, call: int | None = None) -> tuple[AttentionCall, ...]:
        """What was heard in one call, in order of execution.

        Raises ``CaptureError``: ``capture-not-run``, ``capture-nothing`` (it says what was looked for and what ran),
        ``capture-calls`` where there were several to choose from, ``capture-call`` where there is no such one.
        """
        name, calls = self._path.root, self.calls
        if not calls:
            raise CaptureError("capture-not-run", model=name)
        if not self._ear.heard:
            ran = ", ".join(list(dict.fromkeys(self._path.kinds[path] for path in self._path.ran))[:12])
            told = "".join(f" {notice}" for notice in self.notices)
            raise CaptureError("capture-nothing", model=name, ran=ran, uncaptured_notices=told)
        if call is None:
            with_some = sorted({one.call for one in self._ear.heard})
            if len(with_some) > 1:
                some = ", ".join(f"{k} {calls[k]}" for k in with_some[:6])
                more = ", …" if len(with_some) > 6 else ""
                raise CaptureError("capture-calls", count=len(calls), last=len(calls) - 1, calls=some + more)
            call = with_some[0]
        if not 0 <= call < len(calls):
            raise CaptureError("capture-call", call=call, count=len(calls))
        return tuple(one for one in self._ear.heard if one.call == call)

    def record(
        self, tokens: Given = None, *, call: int | None = None, batch: int | None = None,
        pairs: Mapping[str, tuple[str, str]] | None = None,
    ) -> AttentionRecord:  # fmt: skip
        """The attention of one call as a record: a map for each module that attends, in order of execution.

        ``tokens``: names or `mmviz.Token` for one stream, or for several by the names that an error lists; without any
        they are numbered. Up to `SHORT_SEQUENCE` tokens a map has its ``weights``, float32 ``[head, query, key]``, of a batch
        ``[batch, head, query, key]`` unless ``batch`` chooses one; a longer one is a `PooledMap`, of one sample.
        ``pairs``: the streams of queries and keys by the path of the module, where they are known; ``tokens`` then has
        all of them. Every map has passed the gate (see `mmviz.capture.map_check`). Raises ``CaptureError``.
        """
        heard = self.heard(call)
        streams, sides = streams_of(heard, tokens) if pairs is None else known_streams(heard, tokens, pairs)
        notices = list(self.notices)
        maps: list[AttentionMap | PooledMap] = []
        parities = []
        for one, (queries, keys) in zip(heard, sides, strict=True):
            layer = sum((made.queries, made.keys) == (queries, keys) for made in maps)
            if max(one.shape[2:]) <= SHORT_SEQUENCE:
                short, found = check_short_map(one, layer, queries, keys, batch)
                maps.append(short)
            else:
                exact = LazyAttention(one, self._one(one, batch))
                long, found = check_pooled_map(exact, layer, queries, keys, streams)
                maps.append(long)
            parities.append(found.parity)
            notices += found.notices
        return AttentionRecord(
            id=uuid.uuid4().hex,
            streams=streams,
            maps=tuple(maps),
            answers=(),
            made_by={
                "model": self._path.root,
                "device": heard[0].value.device.type,
                "dtype": heard[0].dtype,
                "versions": {"torch": torch.__version__, "python": platform.python_version()},
                "routes": [one.route for one in heard],
                "parity": max(parities),
            },
            notices=tuple(notices),
        )

    def view(self, which: int | str, *, call: int | None = None, batch: int | None = None) -> LazyAttention:
        """The weights of one attention, of which any part can be had: ``which`` is its number in order of execution, or
        the path of its module (the first run of it). Raises ``CaptureError`` (``capture-map``)."""
        heard = self.heard(call)
        names = [one.module for one in heard]
        number = names.index(which) if which in names else which
        if not isinstance(number, int) or not 0 <= number < len(heard):
            raise CaptureError("capture-map", name=which, known=", ".join(dict.fromkeys(names)))
        return LazyAttention(heard[number], self._one(heard[number], batch))

    def rollout(
        self, tokens: Sequence[int], direction: str = "from", *, call: int | None = None, batch: int | None = None
    ) -> NDArray[np.float32]:
        """Rollout (Abnar and Zuidema 2020, section 3) through all maps: what these queries give, ``[token, key]``, or
        ``"to"``: what these keys get, ``[query, token]``. Raises ``CaptureError`` (``flow-streams``) for other than
        self-attention of one stream."""
        layers = self.layers("rollout", call, batch)
        if direction == "to":
            return rollout_columns(layers, tokens)
        return rollout_rows(layers, _one_hot(tokens, layers[-1].queries))

    def relevance(
        self, logit: Tensor, tokens: Sequence[int] | None = None, *, call: int | None = None, batch: int | None = None
    ) -> NDArray[np.float32]:
        """Gradient relevance for ``logit`` (Chefer, Gur and Wolf 2021, section 3.1), ``R - I``: rows of these queries
        ``[token, key]``, or of all. The model must have run with gradients; fused kernels will do.
        Raises ``CaptureError`` (``flow-streams``, ``relevance-graph``)."""
        layers = self.layers("relevance", call, batch)
        count = layers[-1].queries
        return relevance_rows(layers, logit, np.eye(count) if tokens is None else _one_hot(tokens, count))

    def layers(self, flow: str, call: int | None = None, batch: int | None = None) -> list[LazyAttention]:
        """The maps of one stream that attends to itself, from the first to the last."""
        heard = self.heard(call)
        streams, pairs = streams_of(heard, None)
        if len(streams) > 1 or pairs[0][0] != pairs[0][1]:
            names = ", ".join(f"{queries} and {keys}" for queries, keys in dict.fromkeys(pairs))
            raise CaptureError("flow-streams", flow=flow, pairs=names)
        return [LazyAttention(one, self._one(one, batch)) for one in heard]

    def _one(self, one: AttentionCall, batch: int | None) -> int:
        """The sample to look at; raises ``CaptureError`` where there are several and none is chosen."""
        if batch is None and one.shape[0] > 1:
            raise CaptureError("capture-batch-choose", count=one.shape[0], last=one.shape[0] - 1)
        return batch or 0


def _one_hot(tokens: Sequence[int], count: int) -> NDArray[np.float64]:
    start = np.zeros((len(tokens), count))
    for row, token in enumerate(tokens):
        if not 0 <= token < count:
            raise CaptureError("view-tokens", token=token, count=count)
        start[row, token] = 1
    return start
