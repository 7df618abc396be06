"""Small maps: means of attention over bins of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.bins import bins
from mmviz.types import Token
from mmviz.viewer.container import description


def small_bins(tokens: Sequence[Token]) -> list[int]:
    """Edges of the bins of a small map."""
    return bins(tokens, description()["bins"])


def small(weights: NDArray[Any], query_edges: Sequence[int], key_edges: Sequence[int]) -> NDArray[np.float64]:
    """Mean weights over bins, and their mean over the heads.

    Shapes: ``weights`` ``[head, query, key]``; the result float64 ``[head + 1, bin of queries, bin of keys]``.
    """
    rows = np.add.reduceat(weights, query_edges[:-1], axis=1, dtype=np.float64)
    sums = np.add.reduceat(rows, key_edges[:-1], axis=2)
    means = sums / (np.diff(query_edges)[:, None] * np.diff(key_edges))
    return np.concatenate([means, means.mean(axis=0, keepdims=True)])
