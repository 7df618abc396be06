"""Attention between modalities: sums, means per token, and the ratio to uniform attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.types import MODALITIES, Modality, Token, read_only


@dataclass(frozen=True, eq=False)
class ModalityMatrix:
    """How much the queries of each modality attend to the keys of each modality."""

    queries: tuple[Modality, ...]
    """Modalities of the rows: those that have queries."""
    keys: tuple[Modality, ...]
    """Modalities of the columns: those that have keys."""
    sums: NDArray[np.float64]
    """float64 ``[row, column]``: sum of the weights from a query of the row to all keys of the column, mean over the
    queries. It grows with the number of keys."""
    per_token: NDArray[np.float64]
    """float64 ``[row, column]``: ``sums`` divided by the number of keys in the column."""
    ratio: NDArray[np.float64]
    """float64 ``[row, column]``: ``per_token`` times the number of all keys; 1 under uniform attention."""
    counts: tuple[int, ...]
    """Number of keys in each column."""
    query_counts: tuple[int, ...]
    """Number of queries in each row."""


def modality_matrix(
    weights: NDArray[Any], query_tokens: Sequence[Token], key_tokens: Sequence[Token]
) -> ModalityMatrix:
    """Sums ``weights`` ``[query, key]`` by the modality of their tokens.

    Formula, for queries Q of one modality and keys K of another: ``sums = mean over q in Q of sum over k in K of
    w[q, k]``; ``per_token = sums / |K|``; ``ratio = per_token * number of all keys``. If every row of ``weights`` sums
    to 1, so does every row of ``sums``. A modality without tokens has no row or column; special tokens have their own.
    Shapes: the result is at most 4 x 4, in the order of `mmviz.types.MODALITIES`.
    Source: the sums as in Cao et al. 2020, "Behind the Scene" (modality importance); the rest is division.
    Raises ``ValueError`` if the tokens do not fit the weights.

    Examples:
        >>> words, patches = [mmviz.Token("text", "ball")], [mmviz.Token("image", f"patch {k}") for k in range(3)]
        >>> matrix = modality_matrix(np.array([[0.4, 0.2, 0.2, 0.2]]), words, words + patches)
        >>> matrix.sums.round(2), matrix.ratio.round(2)  # more than half to the picture, less than its share of tokens
        (array([[0.6, 0.4]]), array([[0.8, 1.6]]))
    """
    if weights.shape != (len(query_tokens), len(key_tokens)) or 0 in weights.shape:
        raise ValueError(
            f"weights {list(weights.shape)} do not fit {len(query_tokens)} queries and {len(key_tokens)} keys"
        )
    row_sums = weights.astype(np.float64) @ modality_members(key_tokens, MODALITIES).T
    return matrix_from_sums(row_sums, query_tokens, key_tokens)


def matrix_from_sums(
    row_sums: NDArray[Any], query_tokens: Sequence[Token], key_tokens: Sequence[Token]
) -> ModalityMatrix:
    """Returns the `modality_matrix` from the sums of each query's weights over the keys of each modality.

    Shapes: ``row_sums`` ``[query, 4]``, in the order of `mmviz.types.MODALITIES`.
    """
    queries, keys = _present(query_tokens), _present(key_tokens)
    rows = modality_members(query_tokens, queries)
    query_counts = rows.sum(axis=1)
    counts = modality_members(key_tokens, keys).sum(axis=1)
    columns = [MODALITIES.index(modality) for modality in keys]
    sums = (rows @ row_sums.astype(np.float64)[:, columns]) / query_counts[:, None]
    per_token = sums / counts
    return ModalityMatrix(
        queries=queries,
        keys=keys,
        sums=read_only(sums),
        per_token=read_only(per_token),
        ratio=read_only(per_token * len(key_tokens)),
        counts=tuple(int(count) for count in counts),
        query_counts=tuple(int(count) for count in query_counts),
    )


def cross_modal_share(matrix: ModalityMatrix) -> tuple[float, float]:
    """Returns the share of attention from image, text and audio that goes to the other two, mean over their queries.

    The second value is the same share under uniform attention. Special tokens count neither as queries nor as another
    modality. Both values are 0 if there is no query of image, text or audio.
    """
    rows = [k for k, modality in enumerate(matrix.queries) if modality is not Modality.SPECIAL]
    counts, query_counts = np.array(matrix.counts, np.float64), np.array(matrix.query_counts, np.float64)
    shares = []
    for row in rows:
        others = [k for k, key in enumerate(matrix.keys) if key not in (Modality.SPECIAL, matrix.queries[row])]
        shares.append((matrix.sums[row, others].sum(), counts[others].sum() / counts.sum()))
    if not shares:
        return 0.0, 0.0
    share, uniform = np.average(np.array(shares), axis=0, weights=query_counts[rows])
    return float(share), float(uniform)


def _present(tokens: Sequence[Token]) -> tuple[Modality, ...]:
    """Returns the modalities of ``tokens``, in the order of `mmviz.types.MODALITIES`."""
    present = {token.modality for token in tokens}
    return tuple(modality for modality in MODALITIES if modality in present)


def modality_members(tokens: Sequence[Token], modalities: Sequence[Modality]) -> NDArray[np.float64]:
    """Returns ``[modality, token]``: 1 if the token is of the modality, else 0."""
    return np.array([[token.modality == modality for token in tokens] for modality in modalities], np.float64)
