"""Views of a record that holds all its weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.rollout import rollout
from mmviz.types import AttentionRecord, Columns, Rollout, Rows, View
from mmviz.types.token_bins import bin_means


def view_of(record: AttentionRecord, view: View) -> NDArray[np.float32]:
    """Returns the numbers of ``view``, float32, as the backend that made the record would.

    Raises ``CaptureError`` (``map-long``) for a map that does not hold all its weights, ``LookupError`` for a map or
    head that the record does not have.
    """
    if isinstance(view, Rollout):
        flow = rollout([attn_map.weights for attn_map in record.maps])
        tokens = list(view.tokens)
        return np.asarray(flow[tokens] if view.direction == "from" else flow[:, tokens], np.float32)
    heads = record.maps[record.map_number(view.map)].weights
    head = view.map.head
    weights = heads.mean(0, dtype=np.float64) if head is None else heads[head].astype(np.float64)
    if isinstance(view, Rows):
        return np.asarray(weights[list(view.tokens)], np.float32)
    if isinstance(view, Columns):
        return np.asarray(weights[:, list(view.tokens)], np.float32)
    return bin_means(weights, view.query_edges, view.key_edges).astype(np.float32)
