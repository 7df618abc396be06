"""Bins of neighbouring tokens that keep to one modality, and sums and means over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.types.tokens import Token


def modality_runs(tokens: Sequence[Token]) -> list[tuple[int, int]]:
    """Returns ``(first, after last)`` of every run of neighbouring tokens of one modality, in order."""
    modalities = [token.modality for token in tokens]
    starts = [k for k in range(len(modalities)) if k == 0 or modalities[k] != modalities[k - 1]]
    return list(zip(starts, [*starts[1:], len(modalities)], strict=False))


def bin_edges(tokens: Sequence[Token], max_bins: int) -> list[int]:
    """Returns the edges of the bins of a stream, ascending from 0 to the number of tokens.

    There is a bin for each token, or ``max_bins`` bins for a longer stream. No bin crosses from one modality into
    another, unless modalities change more often than there are bins.
    """
    runs = modality_runs(tokens)
    if len(runs) > max_bins:
        return [len(tokens) * k // max_bins for k in range(max_bins + 1)]
    counts = [1] * len(runs)
    while sum(counts) < min(max_bins, len(tokens)):
        widths = [(end - start) / count for (start, end), count in zip(runs, counts, strict=True)]
        counts[widths.index(max(widths))] += 1
    edges = [0]
    for (start, end), count in zip(runs, counts, strict=True):
        edges += [start + (end - start) * k // count for k in range(1, count + 1)]
    return edges


def bin_sums(values: NDArray[Any], edges: Sequence[int], axis: int) -> NDArray[np.float64]:
    """Returns sums over bins along ``axis``, float64; ``edges`` ascend and need not span the whole axis."""
    window = np.moveaxis(np.moveaxis(values, axis, 0)[edges[0] : edges[-1]], 0, axis)
    return np.asarray(np.add.reduceat(window, np.subtract(edges[:-1], edges[0]), axis=axis, dtype=np.float64))


def bin_means(
    weights: NDArray[Any], query_edges: Sequence[int], key_edges: Sequence[int]
) -> NDArray[np.float64]:  # fmt: skip
    """Returns the mean weight in each bin.

    Shapes: ``weights`` ``[..., query, key]``; the result float64 ``[..., bin of queries, bin of keys]``. Edges ascend
    and need not span all queries and keys.
    """
    sums = bin_sums(bin_sums(weights, query_edges, -2), key_edges, -1)
    return np.asarray(sums / np.outer(np.diff(query_edges), np.diff(key_edges)))
