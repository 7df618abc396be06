"""How much the queries of one group attend to the keys of another, and which of them attend to nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmviz.types import ANSWER, MODALITIES, AttentionMap, AttentionRecord, ChosenTokens, TokenGroup
from mmviz.types.readout_tokens import answer_tokens


@dataclass(frozen=True)
class RouteAttention:
    """The attention of one route in some maps."""

    share: float
    """Weights from a query of the one group to all keys of the other, summed; mean over queries, heads and maps."""
    uniform: float
    """The same if every query attended to every key equally: the number of keys of the group over that of all."""
    only: int
    """Queries that attend to nothing else, in all of the maps: a cut leaves them nothing."""


def group_members(record: AttentionRecord, group: TokenGroup, stream: str) -> NDArray[np.bool_]:
    """Returns which tokens of a stream belong to a group, bool ``[token]``. Raises ``LookupError`` for a record without
    maps, or a stream that it does not have."""
    tokens = record.streams[stream]
    if isinstance(group, ChosenTokens):
        is_own = stream == (group.stream or record.flow_streams[0])
        return np.isin(np.arange(len(tokens)), group.tokens) & is_own
    if group == ANSWER:
        return np.isin(np.arange(len(tokens)), answer_tokens(record).get(stream, ()))
    return np.array([token.modality is group for token in tokens], np.bool_)


def route_attention(
    record: AttentionRecord, maps: Sequence[int], queries: TokenGroup, keys: TokenGroup
) -> RouteAttention | None:
    """Returns the attention of a route in the maps of these numbers; None where none of them has the route.

    A map without all its weights tells it of modalities alone: None for other keys, where there is no other map.
    """
    shares, uniform, only = [], [], 0
    for number in maps:
        attn_map = record.maps[number]
        rows = group_members(record, queries, attn_map.queries)
        columns = group_members(record, keys, attn_map.keys)
        if not rows.any() or not columns.any():
            continue
        if isinstance(attn_map, AttentionMap):
            weights = attn_map.weights[:, rows].astype(np.float64)
            sums, rest = weights[:, :, columns].sum(-1), weights[:, :, ~columns].sum(-1)
        elif keys in MODALITIES:
            by_modality = attn_map.row_modality_sums[:, rows].astype(np.float64)
            sums = by_modality[:, :, MODALITIES.index(keys)]
            rest = np.delete(by_modality, MODALITIES.index(keys), -1).sum(-1)
        else:
            continue
        shares.append(float(sums.mean()))
        uniform.append(float(columns.mean()))
        only += int(((rest == 0) & (sums > 0)).all(0).sum())
    return RouteAttention(float(np.mean(shares)), float(np.mean(uniform)), only) if shares else None
