"""The weights that a map reference names, and single rows and columns of them."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.joint_rollout import Streams, joint_rollout, reachable_streams
from mmviz.analysis.rollout import rollout
from mmviz.types import AttentionMap, AttentionRecord, MapRef, PooledMap

Direction = Literal["from", "to"]
"""``from`` a query to all keys (a row), or ``to`` a key from all queries (a column)."""
_rollouts: dict[int, dict[Streams | None, NDArray[np.float64]]] = {}
"""Rollouts by the ``id`` of a record that is alive, and the streams between which they run."""


def weights(
    record: AttentionRecord, ref: MapRef, relevance: NDArray[Any] | None = None, streams: Streams | None = None
) -> NDArray[np.float64]:
    """Returns the matrix that ``ref`` names, float64 ``[query, key]``.

    For raw attention it is one head of a map, or the mean over its heads. For ``rollout`` see
    `mmviz.analysis.rollout.rollout`, over the self-attention maps of one stream, in order of execution, and
    `mmviz.analysis.joint_rollout.joint_rollout` where the record knows how its streams are joined; ``streams`` says
    between which, by default those of `rollout_streams`. For ``relevance`` it is the array ``relevance``
    ``[query, key]``, or that of the record for the stream of keys that ``ref`` names, which only the backend can
    compute, since it needs gradients.
    Sources: Vaswani et al. 2017 (attention weights); Abnar and Zuidema 2020 (rollout); Chefer et al. 2021 (relevance).
    Raises ``LookupError`` if the record has no such map or head, ``ValueError`` for relevance without an array that
    fits, and for rollout between streams that the record cannot follow.
    """
    if ref.method == "relevance":
        if ref.keys:
            if ref.keys not in record.relevance_to:
                raise ValueError(f"the record has no relevance to {ref.keys!r}, but to {[*record.relevance_to]}")
            return np.asarray(record.relevance_to[ref.keys], np.float64)
        return _checked_relevance(record, relevance, streams)
    if ref.method == "rollout":
        return _kept_rollout(record, streams or rollout_streams(record, ref.keys))
    attn_map = record.maps[record.map_number(ref)]
    if ref.head is None:
        return np.asarray(attn_map.weights.mean(axis=0, dtype=np.float64))
    return np.asarray(attn_map.weights[ref.head], dtype=np.float64)


def spread(heads: NDArray[Any]) -> NDArray[np.float64]:
    """Returns how much the heads of a map differ, which their mean hides.

    Formula: standard deviation over the heads, ``sqrt(mean((a_h - mean(a_h))^2))``, divided by their number, since they
    are all heads there are.
    Shapes: ``heads`` ``[head, token]``, one row or column of each head; the result is float64 ``[token]``.
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
    """Returns one row or column of `weights`, or the mean over the rows or columns of a group of tokens.

    Formula: ``from``: ``w[token, :]``, what this query attends to, an amount for every key; ``to``: ``w[:, token]``,
    what this key is attended by, an amount for every query. For a group T: ``mean over t in T of w[t, :]``
    (``w[:, t]``).
    Shapes: float64 ``[token]``.
    Raises ``IndexError`` if there is no such token, ``ValueError`` for an empty group, and as `weights` does.
    """
    matrix = weights(record, ref, relevance, streams)
    group = np.atleast_1d(np.asarray(token, dtype=np.int64))
    axis = 0 if direction == "from" else 1
    if not group.size:
        raise ValueError("a group of tokens needs at least one")
    for index in group:
        if not 0 <= index < matrix.shape[axis]:
            raise IndexError(f"there is no token {index}; there are {matrix.shape[axis]}, counted from 0")
    return np.asarray(np.take(matrix, group, axis=axis).mean(axis=axis))


def pooled_row(
    attn_map: PooledMap, head: int | None, token: int | Sequence[int], direction: Direction
) -> NDArray[np.float64]:
    """Returns `attention_row` from the overview of a map that does not hold all its weights.

    Every amount is the mean over the bins of its query and its key. ``head`` None: the mean over heads.
    Shapes: float64 ``[token]``.
    """
    overview = attn_map.overview.mean(0, dtype=np.float64) if head is None else attn_map.overview[head]
    edges = (attn_map.query_edges, attn_map.key_edges)
    query_bins, key_bins = (np.repeat(np.arange(len(side) - 1), np.diff(side)) for side in edges)
    group = np.atleast_1d(token)
    if direction == "from":
        return np.asarray(overview[query_bins[group]].mean(0)[key_bins], np.float64)
    return np.asarray(overview[:, key_bins[group]].mean(1)[query_bins], np.float64)


def rollout_streams(record: AttentionRecord, keys: str = "") -> Streams | None:
    """Returns the streams that rollout runs between: from the queries of the default stack to ``keys``.

    Without ``keys`` they are those of the last map of that stack. None where the record cannot follow it. A record
    without `AttentionRecord.links` can do so in one stream only, and only where the maps of its queries attend to no
    other, since rollout would leave that out.
    """
    of_default = [(m.queries, m.keys) for m in record.maps if m.stack == record.default_stack]
    if not of_default:
        return None
    queries, keys = record.flow_streams[0], keys or record.flow_streams[1]
    if record.links is not None:
        return (queries, keys) if keys in reachable_streams(record, queries) else None
    attended = {attn_map.keys for attn_map in record.maps if attn_map.queries == queries}
    return (queries, keys) if {*of_default} == {(queries, keys)} and attended == {queries} == {keys} else None


def _kept_rollout(record: AttentionRecord, ends: Streams | None) -> NDArray[np.float64]:
    """Returns rollout between two streams, read-only. It is kept as long as ``record``, of which a page draws many."""
    kept = _rollouts.get(id(record))
    if kept is None:
        kept = _rollouts[id(record)] = {}
        weakref.finalize(record, _rollouts.pop, id(record), None)
    if ends not in kept:
        if record.links is not None and ends is not None:
            matrix = joint_rollout(record, ends)
        else:
            matrix = rollout([attn_map.weights for attn_map in _self_attention(record, ends)])
        matrix.setflags(write=False)
        kept[ends] = matrix
    return kept[ends]


def _self_attention(record: AttentionRecord, streams: Streams | None) -> list[AttentionMap | PooledMap]:
    """Returns the self-attention maps of one stream, in order of execution."""
    if streams is None or streams[0] != streams[1]:
        pairs = sorted({(attn_map.queries, attn_map.keys) for attn_map in record.maps})
        raise ValueError(f"rollout needs the self-attention of one stream; name it. The record has {pairs}")
    return [attn_map for attn_map in record.maps if (attn_map.queries, attn_map.keys) == streams]


def _checked_relevance(
    record: AttentionRecord, relevance: NDArray[Any] | None, streams: Streams | None
) -> NDArray[np.float64]:
    """Returns ``relevance`` as float64. Raises ``ValueError`` if it is None or fits no pair of streams."""
    if relevance is None:
        raise ValueError("relevance needs gradients: compute it where the model runs and pass the array [query, key]")
    pairs = [streams] if streams else [(attn_map.queries, attn_map.keys) for attn_map in record.maps]
    shapes = {(len(record.streams[queries]), len(record.streams[keys])) for queries, keys in pairs}
    if relevance.shape not in shapes:
        raise ValueError(f"relevance is {list(relevance.shape)}, but the record has {sorted(shapes)} [query, key]")
    return np.asarray(relevance, dtype=np.float64)
