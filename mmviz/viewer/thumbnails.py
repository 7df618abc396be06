"""Thumbnails of attention maps: mean weights over bins of tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.types import PooledMap, Token
from mmviz.types.token_bins import bin_edges, bin_means, bin_sums
from mmviz.viewer.binary_format import description


def thumbnail_edges(tokens: Sequence[Token]) -> list[int]:
    """Returns the edges of a thumbnail's bins along ``tokens``: bin ``k`` holds ``tokens[edges[k]:edges[k + 1]]``."""
    return bin_edges(tokens, description()["thumbnail_bins"])


def thumbnails(weights: NDArray[Any], query_edges: Sequence[int], key_edges: Sequence[int]) -> NDArray[np.float64]:
    """Returns the mean weight in each bin, float64 ``[head + 1, query bin, key bin]``; the last is the mean over heads.

    ``weights``: ``[head, query, key]``. ``query_edges`` and ``key_edges``: from `thumbnail_edges`.
    """
    return _with_mean(bin_means(weights, query_edges, key_edges))


def pooled_thumbnails(pooled: PooledMap, streams: Mapping[str, Sequence[Token]]) -> NDArray[np.float64]:
    """Returns `thumbnails` of a map without all its weights, by joining its own bins. ``streams``: of its record."""
    sums = pooled.overview * np.outer(np.diff(pooled.query_edges), np.diff(pooled.key_edges))
    edges = []
    for stream, fine in ((pooled.queries, pooled.query_edges), (pooled.keys, pooled.key_edges)):
        coarse = thumbnail_edges([streams[stream][first] for first in fine[:-1]])
        edges.append((coarse, np.asarray(fine)[coarse]))
    (rows, query_edges), (columns, key_edges) = edges
    totals = bin_sums(bin_sums(sums, rows, 1), columns, 2)
    return _with_mean(totals / np.outer(np.diff(query_edges), np.diff(key_edges)))


def _with_mean(heads: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([heads, heads.mean(axis=0, keepdims=True)])
