"""A record's attention as it is kept for views of its parts."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmviz.capture.lazy_attention import LazyAttention
from mmviz.capture.result import CaptureResult
from mmviz.types import AttentionRecord, CaptureError, Columns, MapRef, Rows, View, Zoom


class RetainedCapture:
    """Answers views of what ``seen`` heard in one call, of one sample of the batch."""

    def __init__(self, seen: CaptureResult, record: AttentionRecord, call: int | None = None, batch: int = 0):
        self.seen, self.record, self.call, self.batch = seen, record, call, batch
        self.maps = [seen.view(number, call=call, batch=batch) for number in range(len(seen.heard(call)))]

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors that are kept, each counted once."""
        return retained_bytes(self.seen, self.call)

    def _weights(self, ref: MapRef) -> LazyAttention:
        try:
            return self.maps[self.record.map_number(ref)]
        except LookupError as problem:
            names = ", ".join(str(self.record.map_ref(number)) for number in range(len(self.maps)))
            raise CaptureError("capture-map", name=str(ref), known=names) from problem

    def view(self, view: View) -> NDArray[np.float32]:
        """The numbers of ``view``. Raises ``CaptureError`` for what is not there."""
        if isinstance(view, Rows):
            return self._weights(view.map).rows(view.tokens, view.map.head)
        if isinstance(view, Columns):
            return self._weights(view.map).columns(view.tokens, view.map.head)
        if isinstance(view, Zoom):
            return self._weights(view.map).zoom(view.query_edges, view.key_edges, view.map.head)
        direction: Literal["from", "to"] = view.direction
        return self.seen.rollout(view.tokens, direction, call=self.call, batch=self.batch)


def retained_bytes(seen: CaptureResult, call: int | None = None) -> int:
    """Returns the bytes of the tensors that one call keeps, each storage counted once."""
    storages = {}
    for attention in seen.heard(call):
        for tensor in (
            attention.weights, attention.query, attention.key, attention.value, attention.mask, attention.attn_output,
            attention.lse,
        ):  # fmt: skip
            if tensor is not None:
                storage = tensor.untyped_storage()
                storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())
