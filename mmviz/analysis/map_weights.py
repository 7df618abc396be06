"""Which attention is looked at: a way of looking, and the weights of a record seen that way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.rollout import rollout
from mmviz.types import AttentionMap, AttentionRecord, MapRef, PooledMap

Direction = Literal["from", "to"]
Streams = tuple[str, str]
"""The names of the streams of the queries and of the keys."""


def weights(
    record: AttentionRecord, ref: MapRef, relevance: NDArray[Any] | None = None, streams: Streams | None = None
) -> NDArray[np.float64]:
    """Returns the matrix that ``ref`` names, float64 ``[query, key]``.

    Raw attention of one head, or the mean over the heads of a map; ``rollout``: see `mmviz.analysis.rollout.rollout`,
    over the self-attention maps of one stream, which ``streams`` names (queries, keys) where the record has several;
    ``relevance``: the array given, since it needs gradients, which a record does not hold.
    Source: Vaswani et al. 2017 (attention weights); Abnar and Zuidema 2020 (rollout); Chefer et al. 2021 (relevance).
    Raises ``LookupError`` for a map or head that the record does not have, ``ValueError`` for relevance without its
    array.
    """
    if ref.method == "relevance":
        return _given_relevance(record, relevance, streams)
    if ref.method == "rollout":
        return rollout([attn_map.weights for attn_map in _self_attention(record, streams)])
    attn_map = record.maps[record.map_number(ref)]
    if ref.head is None:
        return np.asarray(attn_map.weights.mean(axis=0, dtype=np.float64))
    return np.asarray(attn_map.weights[ref.head], dtype=np.float64)


def spread(heads: NDArray[Any]) -> NDArray[np.float64]:
    """How far the heads of a layer differ in what is looked at: what the mean over the heads hides.

    Formula: standard deviation over the heads, ``sqrt(mean((a_h - mean(a_h))^2))`` (the heads are all there are, so it
    is divided by their number). Shapes: ``heads`` ``[head, token]``, a row for what `attention_row` shows of each head; the
    result float64 ``[token]``. Source: textbook.
    """
    return np.asarray(heads.astype(np.float64).std(axis=0))


def attention_row(
    record: AttentionRecord,
    ref: MapRef,
    token: int | Sequence[int],
    direction: Direction,
    relevance: NDArray[Any] | None = None,
    streams: Streams | None = None,
) -> NDArray[np.float64]:
    """One row or column of `weights`, or the mean over those of a group of tokens.

    Formula: ``from``: ``w[token, :]``, what this query asks, an amount for every key; ``to``: ``w[:, token]``, who
    asks this key, an amount for every query. A group T together: ``mean over t in T of w[t, :]`` (``w[:, t]``).
    Shapes: float64 ``[token]``. Source: none needed.
    Raises ``IndexError`` where there is no such token, ``ValueError`` for a group of none.
    """
    return _asked(weights(record, ref, relevance, streams), token, direction)


def _asked(found: NDArray[np.float64], token: int | Sequence[int], direction: Direction) -> NDArray[np.float64]:
    """``[..., query, key]`` to ``[..., token]``: the row or column of ``token``, the mean over those of a group."""
    group = np.atleast_1d(np.asarray(token, dtype=np.int64))
    axis = -2 if direction == "from" else -1
    if not group.size:
        raise ValueError("a group of tokens needs at least one")
    for one in group:
        if not 0 <= one < found.shape[axis]:
            raise IndexError(f"there is no token {one}; there are {found.shape[axis]}, counted from 0")
    return np.asarray(np.take(found, group, axis=axis).mean(axis=axis))


def _self_attention(record: AttentionRecord, streams: Streams | None) -> list[AttentionMap | PooledMap]:
    pairs = {(found.queries, found.keys) for found in record.maps}
    if streams is None and len(pairs) == 1:
        streams = next(iter(pairs))
    if streams is None or streams[0] != streams[1]:
        raise ValueError(f"rollout needs the self-attention of one stream; name it. The record has {sorted(pairs)}")
    found = [candidate for candidate in record.maps if (candidate.queries, candidate.keys) == streams]
    return sorted(found, key=lambda candidate: candidate.layer)


def _given_relevance(
    record: AttentionRecord, relevance: NDArray[Any] | None, streams: Streams | None
) -> NDArray[np.float64]:
    if relevance is None:
        raise ValueError("relevance needs gradients: compute it where the model runs and pass the array [query, key]")
    pairs = [streams] if streams else [(found.queries, found.keys) for found in record.maps]
    shapes = {(len(record.streams[queries]), len(record.streams[keys])) for queries, keys in pairs}
    if relevance.shape not in shapes:
        raise ValueError(f"relevance is {list(relevance.shape)}, but the record has {sorted(shapes)} [query, key]")
    return np.asarray(relevance, dtype=np.float64)
