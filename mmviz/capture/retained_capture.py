"""Retains the attention of a record, so that any part of it can be viewed."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmviz.capture.lazy_attention import LazyAttention
from mmviz.capture.result import CaptureResult
from mmviz.types import AttentionRecord, CaptureError, Columns, MapRef, Rows, View, Zoom


class RetainedCapture:
    """Answers views of the attention of one call, for one sample of the batch."""

    def __init__(self, result: CaptureResult, record: AttentionRecord, call: int | None = None, batch: int = 0):
        self.result, self.record, self.call, self.batch = result, record, call, batch
        self.maps = [call_map.attention(batch) for call_map in result.recorded_maps(record)]
        """The attention of every map, in order of execution."""

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors that are retained, each storage counted once."""
        return retained_bytes(self.result, self.call)

    def view(self, view: View) -> NDArray[np.float32]:
        """Returns the attention of ``view``. Raises ``CaptureError`` for maps, heads or tokens that do not exist."""
        if isinstance(view, Rows):
            return self._attention(view.map).rows(view.tokens, view.map.head)
        if isinstance(view, Columns):
            return self._attention(view.map).columns(view.tokens, view.map.head)
        if isinstance(view, Zoom):
            return self._attention(view.map).zoom(view.query_edges, view.key_edges, view.map.head)
        direction: Literal["from", "to"] = view.direction
        ends = {"queries": view.queries or None, "keys": view.keys or None}
        return self.result.rollout(view.tokens, direction, **ends, call=self.call, batch=self.batch)

    def _attention(self, ref: MapRef) -> LazyAttention:
        try:
            return self.maps[self.record.map_number(ref)]
        except LookupError as problem:
            names = ", ".join(str(self.record.map_ref(number)) for number in range(len(self.maps)))
            raise CaptureError("capture-map", name=str(ref), known=names) from problem


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
