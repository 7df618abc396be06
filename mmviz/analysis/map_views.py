"""Views of a record that holds all its weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.answer_shares import AnswerShares, answer_shares, answer_words
from mmviz.analysis.available_maps import streams_of
from mmviz.analysis.map_weights import Direction, attention_row, pooled_row, weights
from mmviz.analysis.modality_matrix import ModalityMatrix, matrix_from_sums, modality_matrix, modality_members
from mmviz.types import MODALITIES, AttentionRecord, Columns, MapRef, MmvizError, ModalitySums, PooledMap, Rows, View
from mmviz.types.token_bins import bin_means


def view_of(record: AttentionRecord, view: View) -> NDArray[np.float32]:
    """Returns the numbers of ``view``, float32, as the backend that made the record would.

    Raises ``CaptureError`` (``map-long``) for a map that does not hold all its weights, ``LookupError`` for a map or
    head that the record does not have.
    """
    matrix = weights(record, view.map, record.relevance)
    if isinstance(view, Rows):
        return np.asarray(matrix[list(view.tokens)], np.float32)
    if isinstance(view, Columns):
        return np.asarray(matrix[:, list(view.tokens)], np.float32)
    if isinstance(view, ModalitySums):
        queries, keys = (modality_members(record.streams[name], MODALITIES) for name in streams_of(record, view.map))
        return np.asarray(matrix @ keys.T if view.direction == "from" else matrix.T @ queries.T, np.float32)
    return bin_means(matrix, view.query_edges, view.key_edges).astype(np.float32)


def tokens_view(record: AttentionRecord, ref: MapRef, tokens: tuple[int, ...], direction: Direction) -> View:
    """Returns the view that holds the rows or columns of some tokens, of a map or of a flow."""
    return Rows(ref, tokens) if direction == "from" else Columns(ref, tokens)


def attention_of(
    record: AttentionRecord, ref: MapRef, tokens: int | Sequence[int], direction: Direction,
    view: Callable[[View], NDArray[np.float32]],
) -> NDArray[np.float64]:  # fmt: skip
    """Returns the `attention_row` of a map or flow; of a long record from the rows or columns that ``view`` returns."""
    if not record.is_long:
        return attention_row(record, ref, tokens, direction, record.relevance)
    weights = view(tokens_view(record, ref, tuple(int(index) for index in np.atleast_1d(tokens)), direction))
    return np.asarray(weights.mean(0 if direction == "from" else 1), np.float64)


def answer_shares_of(
    record: AttentionRecord, ref: MapRef, view: Callable[[View], NDArray[np.float32]]
) -> AnswerShares | None:  # fmt: skip
    """Returns the `answer_shares` of a map or of rollout, whose rows ``view`` returns.

    None where its queries are no words that the model wrote. Raises ``LookupError`` for relevance, and where the record
    has no such map.
    """
    queries, keys = streams_of(record, ref)
    words, written_keys = (answer_words(record, stream) for stream in (queries, keys))
    if not words:
        return None
    rows = view(tokens_view(record, ref, tuple(word - 1 for word in words), "from"))
    return answer_shares(rows, words, record.streams[keys], written_keys)


def pooled_row_of(
    record: AttentionRecord, ref: MapRef, tokens: int | Sequence[int], direction: Direction
) -> NDArray[np.float64]:  # fmt: skip
    """Returns the `pooled_row` of the `PooledMap` that ``ref`` names, float64 ``[token]``.

    Raises ``LookupError`` where the record has no such map or head, ``MmvizError`` (``view-flow``) for a flow.
    """
    if ref.layer is None:
        raise MmvizError("view-flow")
    pooled = record.maps[record.map_number(ref)]
    assert isinstance(pooled, PooledMap)
    return pooled_row(pooled, ref.head, tokens, direction)


def modality_matrix_of(record: AttentionRecord, ref: MapRef) -> ModalityMatrix:
    """Returns the `modality_matrix` of the map or flow that ``ref`` names; of a `PooledMap` from its sums.

    Raises ``LookupError`` where the record has no such map or head, ``MmvizError`` (``view-flow``) for rollout or
    relevance of a long record.
    """
    if ref.layer is None and record.is_long:
        raise MmvizError("view-flow")
    queries, keys = (record.streams[stream] for stream in streams_of(record, ref))
    attn_map = None if ref.layer is None else record.maps[record.map_number(ref)]
    if isinstance(attn_map, PooledMap):
        sums = attn_map.row_modality_sums
        head_sums = sums.mean(0, dtype=np.float64) if ref.head is None else sums[ref.head]
        return matrix_from_sums(head_sums, queries, keys)
    return modality_matrix(weights(record, ref, record.relevance), queries, keys)
