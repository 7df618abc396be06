"""Answers views of the maps of a record, and of the flows through them, from weights that are computed when viewed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmviz.capture.call_rollout_relevance import one_hot
from mmviz.capture.lazy_attention import Gradients, LazyAttention, checked_edges, modality_mask
from mmviz.capture.plain_torch_modes import plain_modes
from mmviz.capture.record_rollout_relevance import Passed, RecordFlows
from mmviz.types import (
    AttentionMap,
    AttentionRecord,
    CaptureError,
    Columns,
    MapRef,
    ModalitySums,
    Rows,
    View,
    Zoom,
)
from mmviz.types.token_bins import bin_sums


def no_gradients() -> Gradients:
    """Raises ``CaptureError`` (``view-relevance``): relevance needs gradients, which the run was made without."""
    raise CaptureError("view-relevance")


class RecordAttention:
    """The attention of a record. ``layers`` are the weights of its maps, in their order.

    ``gradients`` returns those of the attention's outputs, which relevance needs; see `no_gradients`.
    """

    def __init__(
        self, record: AttentionRecord, layers: Sequence[LazyAttention], gradients: Callable[[], Gradients]
    ):  # fmt: skip
        self.record, self.layers = record, tuple(layers)
        self._flows = RecordFlows(record, layers, gradients)

    @plain_modes()
    def view(self, view: View, passed: Passed | None = None) -> NDArray[np.float32]:
        """Returns the numbers of ``view``, float32. ``passed`` is called for each map that a flow has gone through.

        Nothing larger than some rows of the tokens is made on the way, never a matrix of all by all. Raises
        ``CaptureError`` for maps, heads, tokens or edges that do not exist, and for a flow that cannot be followed.
        """
        if view.map.layer is None:
            return np.ascontiguousarray(self._of_flow(view, passed).numpy())
        number = self._number(view.map)
        layer, head = self.layers[number], view.map.head
        if isinstance(view, Rows):
            return layer.rows(view.tokens, head)
        if isinstance(view, Columns):
            return layer.columns(view.tokens, head)
        if isinstance(view, Zoom):
            return layer.zoom(view.query_edges, view.key_edges, head)
        return self._sums(number, view)

    def _of_flow(self, view: View, passed: Passed | None) -> Tensor:
        """Returns the numbers of a view of a flow."""
        record, ref = self.record, view.map
        try:
            queries, keys = record.streams[record.flow_streams[0]], record.streams[ref.keys or record.flow_streams[1]]
        except LookupError as problem:
            raise CaptureError("flow-name", name=ref.keys, known=", ".join(record.streams)) from problem
        if isinstance(view, Rows):
            return self._flows.rows(ref, one_hot(view.tokens, len(queries)), passed)
        if isinstance(view, Columns):
            return self._flows.columns(ref, one_hot(view.tokens, len(keys)).T.contiguous(), passed)
        if isinstance(view, Zoom):
            rows, columns = checked_edges(view.query_edges, len(queries)), checked_edges(view.key_edges, len(keys))
            means = self._flows.rows(ref, mean_rows(rows, len(queries)), passed).numpy()
            return torch.from_numpy((bin_sums(means, columns, 1) / np.diff(columns)).astype(np.float32))
        if view.direction == "from":
            return self._flows.columns(ref, modality_mask(keys), passed)
        return self._flows.rows(ref, modality_mask(queries).T.contiguous(), passed).T

    def _sums(self, number: int, view: ModalitySums) -> NDArray[np.float32]:
        """Returns the sums by modality of a map, ``[token, 4]``."""
        attn_map, head = self.record.maps[number], view.map.head
        if isinstance(attn_map, AttentionMap):
            weights = attn_map.weights.astype(np.float64)
            sides = (self.record.streams[name] for name in (attn_map.queries, attn_map.keys))
            queries, keys = (modality_mask(tokens).double().numpy() for tokens in sides)
            sums = weights @ keys if view.direction == "from" else weights.swapaxes(-1, -2) @ queries
        elif view.direction == "from":
            sums = attn_map.row_modality_sums
        else:
            sums = attn_map.column_modality_sums
        return np.asarray(sums.mean(0, dtype=np.float64) if head is None else sums[head], np.float32)

    def _number(self, ref: MapRef) -> int:
        try:
            return self.record.map_number(ref)
        except LookupError as problem:
            names = ", ".join(str(self.record.map_ref(number)) for number in range(len(self.layers)))
            raise CaptureError("capture-map", name=str(ref), known=names) from problem


def mean_rows(edges: Sequence[int], count: int) -> Tensor:
    """Returns rows ``[bin, token]`` that average the tokens of each bin."""
    rows = torch.zeros(len(edges) - 1, count, dtype=torch.float32)
    for number, (first, last) in enumerate(pairwise(edges)):
        rows[number, first:last] = 1 / (last - first)
    return rows
