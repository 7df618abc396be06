"""The backend of a run that was read from a file with its queries, keys and log-sum-exp."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mmviz.backends import Backend, Progress, Stop, ignore_progress, never_stop
from mmviz.backends.layer_progress import layer_listener
from mmviz.capture.attention_call import checked_rows
from mmviz.capture.exact_attention import lazy_layers
from mmviz.capture.lazy_attention import modality_mask
from mmviz.capture.lazy_record import RecordAttention, no_gradients
from mmviz.types import (
    TOLERANCE,
    AttentionMap,
    AttentionRecord,
    CaptureError,
    Card,
    MmvizError,
    ModalitySums,
    Request,
    View,
    check_rows,
)
from mmviz.types.exact_attention import ExactAttention

_CHECKED_ROWS = 8
"""Rows of each head of a map whose weights are compared with the sums that the record holds."""


class SavedRunBackend:
    """Views the one run that a file holds. What needs the model runs on this machine, see `LocalBackend`.

    Raises ``MmvizError`` (``run-unreadable``) where the tensors do not give the attention that the record describes.
    """

    def __init__(self, record: AttentionRecord, exact: ExactAttention):
        self.record, self._exact = record, exact
        layers, gradients = lazy_layers(exact, record)
        get_gradients = (lambda: gradients) if exact.has_gradients else no_gradients
        self._attention = RecordAttention(record, layers, get_gradients)
        try:
            for number in range(len(record.maps)):
                self._check_map(number)
        except CaptureError as problem:
            raise MmvizError("run-unreadable") from problem

    def models(self) -> tuple[Card, ...]:
        """Returns the cards of the models of this machine."""
        return self._this_machine.models()

    def run(
        self, requests: Sequence[Request], progress: Progress = ignore_progress, stop: Stop = never_stop
    ) -> tuple[AttentionRecord, ...]:
        """See `Backend.run`."""
        return self._this_machine.run(requests, progress, stop)

    def view(self, record_id: str, view: View) -> NDArray[np.float32]:
        """See `Backend.view`. Raises ``MmvizError`` (``run-unreadable``) for numbers that no attention has."""
        if record_id != self.record.id:
            return self._this_machine.view(record_id, view)
        numbers = self._attention.view(view, layer_listener())
        limit = np.inf if view.map.layer is None or isinstance(view, ModalitySums) else 1 + 1e-3
        if not np.isfinite(numbers).all() or numbers.min(initial=0) < 0 or numbers.max(initial=0) > limit:
            raise MmvizError("run-unreadable")
        return numbers

    def exact(self, record_id: str) -> ExactAttention:
        """See `mmviz.backends.KeepsExact`."""
        if record_id != self.record.id:
            raise MmvizError("view-gone")
        return self._exact

    def exact_nbytes(self, record_id: str) -> int:
        """See `mmviz.backends.KeepsExact`."""
        return self.exact(record_id).nbytes

    def forget_inputs(self, record_ids: Sequence[str]) -> None:
        """See `Backend.forget_inputs`. The file still holds its run."""
        self._this_machine.forget_inputs(record_ids)

    @cached_property
    def _this_machine(self) -> Backend:
        from mmviz.backends.local.backend import this_machine

        return this_machine()

    def _check_map(self, number: int) -> None:
        """Compares some rows of a map with what the record holds of it."""
        attn_map, layer = self.record.maps[number], self._attention.layers[number]
        rows = checked_rows(layer.queries)
        rows = rows[:: max(1, len(rows) // _CHECKED_ROWS)]
        keys = self.record.streams[attn_map.keys]
        weights = np.stack([layer.rows(rows, head) for head in range(layer.heads)])
        check_rows(attn_map.name, weights, attn_map.dtype, attn_map.absorbed_by)
        if isinstance(attn_map, AttentionMap):
            expected, own = attn_map.weights[:, rows], weights
        else:
            expected, own = attn_map.row_modality_sums[:, rows], weights @ modality_mask(keys).numpy()
        worst = float(np.abs(own - expected).max())
        if worst > 4 * TOLERANCE[attn_map.dtype]:  # both are rounded
            raise CaptureError("map-rows", name=attn_map.name, worst=worst)
