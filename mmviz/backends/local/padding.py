"""The padding of a batch: among the tokens that attention runs over, and out of the record of a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mmviz.types import AttentionMap, AttentionRecord, CaptureError, Modality, StreamLink, Token

PADDING = Token(Modality.SPECIAL, "padding")
Indices = Mapping[str, Sequence[int]]
"""Indices of tokens by stream."""


def padded(streams: Any, own: Indices, sizes: Mapping[str, int]) -> Any:
    """Returns the tokens of streams, as in `Prepared.streams`, at the places ``own`` among ``sizes`` tokens.

    Raises ``CaptureError`` (``axes-tokens``) where a row has another number of tokens.
    """
    if not isinstance(streams, Mapping):
        return streams
    result = dict(streams)
    for name, size in sizes.items():
        if len(own[name]) != len(streams[name]):
            raise CaptureError("axes-tokens", name=name)
        tokens: list[str | Token] = [PADDING] * size
        for place, token in zip(own[name], streams[name], strict=True):
            tokens[place] = token
        result[name] = tokens
    return result


def without_padding(record: AttentionRecord, own: Indices) -> AttentionRecord:
    """Returns the record of one row of a batch with the tokens ``own`` of some streams; other streams stay whole.

    No own token attends to padding, or is made of it, so that rows still sum to what they did. Raises ``CaptureError``
    (``map-shape``) for a record too long to hold all its weights.
    """
    if not own:
        return record
    kept = {name: np.asarray(own.get(name, range(len(tokens)))) for name, tokens in record.streams.items()}
    maps = []
    for attn_map in record.maps:
        if not isinstance(attn_map, AttentionMap) or attn_map.windows:
            raise CaptureError("map-shape", name=attn_map.name, shape=attn_map.shape)
        queries, keys = kept[attn_map.queries], kept[attn_map.keys]
        maps.append(replace(attn_map, weights=attn_map.weights[:, queries][:, :, keys]))
    ends = record.flow_streams
    return replace(
        record,
        streams={name: tuple(tokens[k] for k in kept[name]) for name, tokens in record.streams.items()},
        maps=tuple(maps),
        norms=tuple(
            norms[np.ix_(kept[attn_map.queries], kept[attn_map.keys])]
            for norms, attn_map in zip(record.norms, record.maps, strict=False)
        ),
        relevance=None if record.relevance is None else record.relevance[np.ix_(*(kept[name] for name in ends))],
        relevance_to={
            name: rows[np.ix_(kept[ends[0]], kept[name])] for name, rows in record.relevance_to.items()
        },
        links=None if record.links is None else tuple(_link_of(link, record, kept) for link in record.links),
    )  # fmt: skip


def _link_of(link: StreamLink, record: AttentionRecord, kept: Mapping[str, Any]) -> StreamLink:
    """Returns a link between the tokens that are kept, counted among these."""
    tokens, sources = (
        _places(kept[name], len(record.streams[name]))[indices]
        for name, indices in ((link.stream, link.tokens), (link.source, link.source_tokens))
    )
    both = (tokens >= 0) & (sources >= 0)
    return replace(link, tokens=tokens[both], source_tokens=sources[both], shares=link.shares[both])


def _places(kept: Any, count: int) -> Any:
    """Returns the place of each of ``count`` tokens among those ``kept``, int64 ``[token]``, -1 for the others."""
    places = np.full(count, -1, np.int64)
    places[kept] = np.arange(len(kept))
    return places
