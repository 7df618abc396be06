"""Rollout through several streams of a record, and which streams it leads to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmviz.types import AttentionRecord, StreamLink

Streams = tuple[str, str]
"""Name of the stream of the queries, and name of the stream of the keys."""


def joint_rollout(record: AttentionRecord, streams: Streams) -> NDArray[np.float64]:
    """Returns how much of each token of the keys' stream, as it enters, may reach each final token of the queries.

    Formula: in a map from queries ``s`` to keys ``q`` the tokens of ``s`` become ``(own + A q) / (1 + sum of A)``, with
    ``A`` the mean over heads and the rows of ``A`` summed; tokens that are made of those of other streams are the mean
    of these, by their shares. For one stream that is `mmviz.analysis.rollout.rollout`.
    Shapes: float64 ``[query, key]``. Over all streams of keys, as far as none is made of another, rows sum to 1.
    Source: Abnar and Zuidema 2020, section 3, for all streams as a single stream.
    Raises ``ValueError`` where ``record.links`` are not known.
    """
    if record.links is None:
        raise ValueError("the record does not know how its streams are joined, so rollout stays within one")
    queries, keys = streams
    states: dict[tuple[str, int], NDArray[np.float64]] = {}

    def entering(stream: str) -> NDArray[np.float64]:
        if stream == keys:
            return np.eye(len(record.streams[keys]))
        total = np.zeros((len(record.streams[stream]), len(record.streams[keys])))
        for link in _links_of(record, stream):
            parts = state(link.source, link.source_state)[link.source_tokens] * link.shares[:, None]
            np.add.at(total, link.tokens, parts)
        return total

    def state(stream: str, maps: int) -> NDArray[np.float64]:
        """Returns the tokens of a stream after the first ``maps`` maps, ``[token, key]``."""
        last = max((k for k in range(maps) if record.maps[k].queries == stream), default=-1)
        if (stream, last) not in states:
            states[stream, last] = entering(stream) if last < 0 else updated(last)
        return states[stream, last]

    def updated(number: int) -> NDArray[np.float64]:
        attn_map = record.maps[number]
        read = number if attn_map.keys_state is None else attn_map.keys_state
        mean = attn_map.weights.mean(axis=0, dtype=np.float64)
        mixed = state(attn_map.queries, number) + mean @ state(attn_map.keys, read)
        return np.asarray(mixed / (1 + mean.sum(axis=1, keepdims=True)))

    for number in range(len(record.maps)):  # in order, so that no stack of calls grows
        state(record.maps[number].queries, number + 1)
    return state(queries, len(record.maps))


def reachable_streams(record: AttentionRecord, queries: str) -> list[str]:
    """Returns the streams that flows from ``queries`` lead to, itself first, without those behind a lost route."""
    reached = _closure(record, [queries])
    lost = [notice.parameters for notice in record.notices if notice.code == "flow-lost"]
    beyond = _closure(record, [route["source"] for route in lost if route["stream"] in reached])
    return [stream for stream in reached if stream == queries or stream not in beyond]


def _closure(record: AttentionRecord, streams: Sequence[str]) -> list[str]:
    """Returns ``streams`` and those that they attend to or are made of, and so on."""
    reached = list(dict.fromkeys(streams))
    for stream in reached:
        sources = [attn_map.keys for attn_map in record.maps if attn_map.queries == stream]
        sources += [link.source for link in _links_of(record, stream)]
        reached += [source for source in dict.fromkeys(sources) if source not in reached]
    return reached


def _links_of(record: AttentionRecord, stream: str) -> list[StreamLink]:
    return [link for link in record.links or () if link.stream == stream]
