"""Small maps: means of attention over bins of tokens, which keep to their modality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.types import Token
from mmviz.viewer.container import description


def bins(tokens: Sequence[Token]) -> list[int]:
    """Edges of the bins of a stream, from 0 to the number of tokens, ascending; as many bins as there are tokens, or as
    the description allows.

    No bin crosses from one modality into another, but where modalities change more often than there are bins.
    """
    most: int = description()["bins"]
    kinds = [token.modality for token in tokens]
    ends = [k for k in range(1, len(kinds) + 1) if k == len(kinds) or kinds[k] != kinds[k - 1]]
    if len(ends) > most:
        return [len(kinds) * k // most for k in range(most + 1)]
    runs = list(zip([0, *ends], ends, strict=False))
    counts = [1] * len(runs)
    while sum(counts) < min(most, len(kinds)):
        widths = [(end - start) / count for (start, end), count in zip(runs, counts, strict=True)]
        counts[widths.index(max(widths))] += 1
    edges = [0]
    for (start, end), count in zip(runs, counts, strict=True):
        edges += [start + (end - start) * k // count for k in range(1, count + 1)]
    return edges


def small(weights: NDArray[Any], query_edges: Sequence[int], key_edges: Sequence[int]) -> NDArray[np.float64]:
    """Mean weights over bins, and their mean over the heads.

    Shapes: ``weights`` ``[head, query, key]``; the result float64 ``[head + 1, bin of queries, bin of keys]``.
    """
    rows = np.add.reduceat(weights, query_edges[:-1], axis=1, dtype=np.float64)
    sums = np.add.reduceat(rows, key_edges[:-1], axis=2)
    means = sums / (np.diff(query_edges)[:, None] * np.diff(key_edges))
    return np.concatenate([means, means.mean(axis=0, keepdims=True)])
