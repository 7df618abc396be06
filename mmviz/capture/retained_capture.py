"""Retains the attention of a record, so that any part of it can be viewed."""

from __future__ import annotations

import threading

from torch import Tensor

from mmviz.capture.call_rollout_relevance import OutputGradients
from mmviz.capture.exact_attention import exact_attention, exact_nbytes
from mmviz.capture.lazy_attention import Gradients
from mmviz.capture.lazy_record import RecordAttention, no_gradients
from mmviz.capture.result import CaptureResult
from mmviz.types import AttentionRecord, CaptureError
from mmviz.types.exact_attention import ExactAttention


class RetainedCapture(RecordAttention):
    """Answers views of the attention of one call, for one sample of the batch.

    ``logit`` is the one that relevance is about; None for a run without gradients. These are computed when relevance is
    first viewed, and kept. The graph of the model is let go of then, and at once where there are none to compute.
    """

    def __init__(
        self, result: CaptureResult, record: AttentionRecord, call: int | None = None, batch: int | None = None,
        logit: Tensor | None = None,
    ):  # fmt: skip
        layers = [call_map.attention(batch or 0) for call_map in result.recorded_maps(record)]
        super().__init__(record, layers, no_gradients if logit is None else self.gradients)
        self.result, self.call = result, call
        self._logit, self._lock = logit, threading.Lock()
        self._has_gradients = logit is not None
        self._kept_gradients: OutputGradients | None = None
        if logit is None:
            self._release_graph()
        self._exact_nbytes: int | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors that are retained, each storage counted once."""
        return retained_bytes(self.result, self.call)

    def exact(self) -> ExactAttention:
        """Returns the tensors from which everything that is viewed here can be computed elsewhere.

        Raises ``CaptureError`` as `exact_attention` does.
        """
        try:
            gradients = self.gradients() if self._has_gradients else None
        except CaptureError:  # no gradients reach the attention, so that there is no relevance here either
            gradients = None
        return exact_attention(self.layers, gradients)

    def exact_nbytes(self) -> int:
        """Returns the bytes of `exact`, which are known without making it."""
        if self._exact_nbytes is None:
            self._exact_nbytes = exact_nbytes(self.layers, self._has_gradients)
        return self._exact_nbytes

    def gradients(self) -> Gradients:
        """Returns the gradients of the logit with respect to the output of every attention call.

        Raises ``CaptureError`` (``relevance-graph``) where none reach any attention.
        """
        with self._lock:  # several threads may view a run
            if self._kept_gradients is None:
                assert self._logit is not None
                self._kept_gradients = OutputGradients(self._logit, self.result.attention_calls(self.call))
                self._release_graph()
            return self._kept_gradients

    def _release_graph(self) -> None:
        """Lets go of the graph of the model, which holds activations of every layer."""
        self._logit = None
        for attention in self.result.attention_calls(self.call):
            attention.release_graph()


def retained_bytes(result: CaptureResult, call: int | None = None) -> int:
    """Returns the bytes of the tensors that one call retains, each storage counted once."""
    storages = {}
    for attention in result.attention_calls(call):
        for tensor in (
            attention.weights, attention.query, attention.key, attention.value, attention.mask, attention.attn_output,
            attention.lse,
        ):  # fmt: skip
            if tensor is not None:
                storage = tensor.untyped_storage()
                storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())
