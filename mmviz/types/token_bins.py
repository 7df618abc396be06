"""Bins of tokens, which keep to their modality."""

from __future__ import annotations

from collections.abc import Sequence

from mmviz.types import Token


def bins(tokens: Sequence[Token], most: int) -> list[int]:
    """Edges of the bins of a stream, from 0 to the number of tokens, ascending: a bin for each token, or ``most`` bins.

    No bin crosses from one modality into another, but where modalities change more often than there are bins.
    """
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
