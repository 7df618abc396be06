"""Small maps: means of attention over bins of tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.types import PooledMap, Token
from mmviz.types.token_bins import bin_edges, bin_means, bin_sums
from mmviz.viewer.container import description


def small_bins(tokens: Sequence[Token]) -> list[int]:
    """Edges of the bins of a small map."""
    return bin_edges(tokens, description()["bins"])


def small(weights: NDArray[Any], query_edges: Sequence[int], key_edges: Sequence[int]) -> NDArray[np.float64]:
    """Mean weights over bins, and their mean over the heads.

    Shapes: ``weights`` ``[head, query, key]``; the result float64 ``[head + 1, bin of queries, bin of keys]``.
    """
    means = bin_means(weights, query_edges, key_edges)
    return np.concatenate([means, means.mean(axis=0, keepdims=True)])


def smaller_overview(found: PooledMap, streams: Mapping[str, Sequence[Token]]) -> NDArray[np.float64]:
    """`small` of a map without all its weights: its bins, brought together by as few as `small_bins` allows."""
    sums = found.overview * np.outer(np.diff(found.query_edges), np.diff(found.key_edges))
    edges = []
    for stream, fine in ((found.queries, found.query_edges), (found.keys, found.key_edges)):
        coarse = small_bins([streams[stream][first] for first in fine[:-1]])
        edges.append((coarse, np.asarray(fine)[coarse]))
    (rows, query_edges), (columns, key_edges) = edges
    means = bin_sums(bin_sums(sums, rows, 1), columns, 2) / np.outer(np.diff(query_edges), np.diff(key_edges))
    return np.concatenate([means, means.mean(axis=0, keepdims=True)])
