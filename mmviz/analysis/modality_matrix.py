"""Attention between modalities: totals, means per token, and the ratio to uniform attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.types import MODALITIES, Modality, Token, read_only


@dataclass(frozen=True, eq=False)
class ModalityMatrix:
    """How the modalities in ``queries`` (rows) look at those in ``keys`` (columns); arrays float64 ``[row, column]``.

    ``sums``: the share of attention that a query of the row gives to all keys of the column together, mean over the
    queries; grows with the number of keys. ``per_token``: the same divided by the number of keys. ``ratio``:
    ``per_token`` times the number of all keys; 1 is what uniform attention gives. ``counts``: keys in each column,
    ``query_counts``: queries in each row.
    """

    queries: tuple[Modality, ...]
    keys: tuple[Modality, ...]
    sums: NDArray[np.float64]
    per_token: NDArray[np.float64]
    ratio: NDArray[np.float64]
    counts: tuple[int, ...]
    query_counts: tuple[int, ...]


def modality_matrix(
    weights: NDArray[Any], query_tokens: Sequence[Token], key_tokens: Sequence[Token]
) -> ModalityMatrix:
    """Sum up ``weights`` by the modality of their tokens.

    Formula, for queries Q of one modality and keys K of another: ``sums = mean over q in Q of sum over k in K of
    w[q, k]``; ``per_token = sums / |K|``; ``ratio = per_token * number of all keys``. Where every row of ``weights``
    sums to 1, so does every row of ``sums``. A modality without tokens has no row or column; special tokens keep
    their own.
    Shapes: ``weights`` ``[query, key]``; the result up to 4 x 4, in the order image, text, audio, other.
    Source: the sums as in Cao et al. 2020, "Behind the Scene" (modality importance); the rest is division.
    Raises ``ValueError`` where the tokens do not fit the weights.
    """
    if weights.shape != (len(query_tokens), len(key_tokens)) or 0 in weights.shape:
        raise ValueError(
            f"weights {list(weights.shape)} do not fit {len(query_tokens)} queries and {len(key_tokens)} keys"
        )
    return matrix_of_sums(weights.astype(np.float64) @ _members(key_tokens, MODALITIES).T, query_tokens, key_tokens)


def matrix_of_sums(given: NDArray[Any], query_tokens: Sequence[Token], key_tokens: Sequence[Token]) -> ModalityMatrix:
    """`modality_matrix` from what each query gives to the keys of each modality together, ``given`` ``[query, 4]`` in
    the order image, text, audio, other."""
    rows = _members(query_tokens, _present(query_tokens))
    query_counts = rows.sum(axis=1)
    counts = _members(key_tokens, _present(key_tokens)).sum(axis=1)
    there = [MODALITIES.index(modality) for modality in _present(key_tokens)]
    sums = (rows @ given.astype(np.float64)[:, there]) / query_counts[:, None]
    per_token = sums / counts
    return ModalityMatrix(
        queries=_present(query_tokens),
        keys=_present(key_tokens),
        sums=read_only(sums),
        per_token=read_only(per_token),
        ratio=read_only(per_token * len(key_tokens)),
        counts=tuple(int(count) for count in counts),
        query_counts=tuple(int(count) for count in query_counts),
    )


def crossing(matrix: ModalityMatrix) -> tuple[float, float]:
    """What picture, words and sound give to each other, mean over their queries; and the same if attention were even.

    Special tokens neither ask nor are asked here: they are of no modality. 0 where there is no such query.
    """
    rows = [k for k, modality in enumerate(matrix.queries) if modality is not Modality.SPECIAL]
    counts, queries = np.array(matrix.counts, np.float64), np.array(matrix.query_counts, np.float64)
    shares = []
    for row in rows:
        other = [k for k, asked in enumerate(matrix.keys) if asked not in (Modality.SPECIAL, matrix.queries[row])]
        shares.append((matrix.sums[row, other].sum(), counts[other].sum() / counts.sum()))
    if not shares:
        return 0.0, 0.0
    found = np.average(np.array(shares), axis=0, weights=queries[rows])
    return float(found[0]), float(found[1])


def _present(tokens: Sequence[Token]) -> tuple[Modality, ...]:
    found = {token.modality for token in tokens}
    return tuple(modality for modality in MODALITIES if modality in found)


def _members(tokens: Sequence[Token], modalities: Sequence[Modality]) -> NDArray[np.float64]:
    """``[modality, token]``: 1 where the token is of the modality."""
    return np.array([[token.modality == modality for token in tokens] for modality in modalities], np.float64)
