"""Views of a record that has all its weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.rollout import rollout
from mmviz.types import AttentionRecord, Columns, Rows, View, Zoom


def view_of(record: AttentionRecord, view: View) -> NDArray[np.float32]:
    """The numbers of ``view``, as where the record was made. Raises ``CaptureError`` (``map-long``) for a map without
    all its weights, ``LookupError`` for what is not there."""
    if not isinstance(view, Rows | Columns | Zoom):
        rolled = rollout([found.weights for found in record.maps])
        return np.asarray(
            rolled[list(view.tokens)] if view.direction == "from" else rolled[:, list(view.tokens)], np.float32
        )
    weights = record.maps[record.map_number(view.map)].weights
    head = view.map.head
    seen = weights.mean(0, dtype=np.float64) if head is None else weights[head].astype(np.float64)
    if isinstance(view, Rows):
        return np.asarray(seen[list(view.tokens)], np.float32)
    if isinstance(view, Columns):
        return np.asarray(seen[:, list(view.tokens)], np.float32)
    (q0, q1), (k0, k1) = ((edges[0], edges[-1]) for edges in (view.query_edges, view.key_edges))
    rows = np.add.reduceat(seen[q0:q1, k0:k1], np.subtract(view.query_edges[:-1], q0), axis=0)
    sums = np.add.reduceat(rows, np.subtract(view.key_edges[:-1], k0), axis=1)
    return np.asarray(sums / np.outer(np.diff(view.query_edges), np.diff(view.key_edges)), np.float32)
