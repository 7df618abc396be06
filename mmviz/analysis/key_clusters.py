"""Clusters of key tokens that a route reads most: neighbouring patches, consecutive moments, the pieces of a word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.route_attention import group_members
from mmviz.types import (
    AttentionMap,
    AttentionRecord,
    Chars,
    ChosenTokens,
    Modality,
    PictureBox,
    PixelBox,
    PooledMap,
    Seconds,
    Token,
    TokenGroup,
    VideoPatch,
)

GROWTH = (0.5, 0.2)
"""A neighbour joins a cluster from this part of the amount of its strongest token on: a small and a large one."""
LARGEST = 0.4
"""A cluster with a larger part of the patches, or of the moments, tells no place."""
SAME = 0.7
"""Two clusters are taken for the same place from this overlap on."""
GAP = 0.01
"""Space between two neighbours at most, in sides of a patch or in lengths of a moment."""


def key_amounts(record: AttentionRecord, queries: TokenGroup, keys: Modality) -> dict[str, NDArray[np.float64]]:
    """Returns how much each token is read by the route from ``queries`` to ``keys``, by stream, float64 ``[token]``.

    Formula: the largest over the layers of ``mean over heads of sqrt(mean over queries of w^2)``; squares keep what a
    few queries attend to much apart from what all attend to a little. 0 for tokens that are not of ``keys``, or without
    a location. Towers are left out. Raises ``LookupError`` for a record without maps.
    """
    amounts: dict[str, NDArray[np.float64]] = {}
    for stream, read in _by_layer(record, queries, keys):
        amounts[stream] = np.maximum(read, amounts.get(stream, 0.0))
    return amounts


def _by_layer(
    record: AttentionRecord, queries: TokenGroup, keys: Modality
) -> Iterator[tuple[str, NDArray[np.float64]]]:  # fmt: skip
    """Yields for each layer with the route its stream of keys, and how much each token is read there, see
    `key_amounts`."""
    for attn_map in record.maps:
        if attn_map.stack in record.made_by.get("towers", ()):
            continue
        tokens = record.streams[attn_map.keys]
        rows = group_members(record, queries, attn_map.queries)
        columns = np.array([token.modality is keys and token.location is not None for token in tokens], np.bool_)
        if rows.any() and columns.any():
            yield attn_map.keys, np.sqrt((_rows_of(attn_map, rows) ** 2).mean(1)).mean(0) * columns


def key_clusters(record: AttentionRecord, queries: TokenGroup, keys: Modality, most: int) -> list[ChosenTokens]:
    """Returns clusters of keys that the route from ``queries`` to ``keys`` reads most, around at most ``most`` tokens.

    They grow from the tokens with the largest amounts that no cluster has yet, over neighbours with at least a part
    (`GROWTH`) of that; of text it is the word alone. The best are first, of one token the smallest. Raises
    ``LookupError`` for a record without maps.
    """
    return _clusters(record, key_amounts(record, queries, keys), keys, most)


def _clusters(
    record: AttentionRecord, by_stream: dict[str, NDArray[np.float64]], modality: Modality, most: int
) -> list[ChosenTokens]:  # fmt: skip
    """Returns the clusters that grow over the amounts of tokens of a modality, by stream, see `key_clusters`."""
    clusters: list[tuple[float, ChosenTokens]] = []
    for stream, amounts in by_stream.items():
        tokens, left = record.streams[stream], amounts.copy()
        largest = largest_cluster(int((amounts > 0).sum())) if modality is not Modality.TEXT else len(tokens)
        for _ in range(most):
            seed = int(left.argmax())
            if left[seed] <= 0:
                break
            grown = [
                _grown(tokens, left, seed, share) for share in (GROWTH if modality is not Modality.TEXT else (0.0,))
            ]
            different = [some for k, some in enumerate(grown) if len(some) <= largest and some not in grown[:k]]
            clusters += [(float(left[seed]), ChosenTokens(tuple(some), stream)) for some in different]
            left[grown[-1] if len(grown[-1]) <= largest else grown[0]] = 0
    order = sorted(range(len(clusters)), key=lambda k: -clusters[k][0])
    return [clusters[k][1] for k in order]


def wider_clusters(record: AttentionRecord, queries: TokenGroup, keys: Modality) -> list[ChosenTokens]:
    """Returns for each layer the cluster of patches or moments that the route reads most there, `surrounded`.

    Those of which seven tenths were there before are left out. Layers with the largest amounts are first. Raises
    ``LookupError`` for a record without maps.
    """
    clusters = []
    layers = sorted(_by_layer(record, queries, keys), key=lambda layer: -layer[1].max())
    for stream, amounts in layers:
        largest = largest_cluster(int((amounts > 0).sum()))
        for share in reversed(GROWTH):  # the larger one, if it is not too large
            grown = _grown(record.streams[stream], amounts, int(amounts.argmax()), share)
            cluster = surrounded(record, ChosenTokens(tuple(grown), stream))
            if len(cluster.tokens) <= largest:
                clusters.append(cluster)
                break
    return distinct_clusters(clusters)


def distinct_clusters(clusters: Sequence[ChosenTokens]) -> list[ChosenTokens]:
    """Returns ``clusters`` without those that overlap more than `SAME` with one that is kept before them."""
    kept: list[ChosenTokens] = []
    for cluster in clusters:
        if not any(cluster_overlap(cluster, other) > SAME for other in kept):
            kept.append(cluster)
    return kept


def surrounded(record: AttentionRecord, cluster: ChosenTokens) -> ChosenTokens:
    """Returns a cluster with the tokens of its modality that touch it, behind its own."""
    tokens = record.streams[cluster.stream]
    own = [tokens[k] for k in cluster.tokens]
    around = [
        k for k, token in enumerate(tokens)
        if k not in cluster.tokens and token.modality is own[0].modality
        and any(are_neighbours(token, other) for other in own)
    ]  # fmt: skip
    return ChosenTokens((*cluster.tokens, *around), cluster.stream)


def largest_cluster(count: int) -> int:
    """Returns how many of ``count`` patches or moments a cluster has at most, see `LARGEST`."""
    return int(count * LARGEST)


def query_clusters(
    record: AttentionRecord, queries: Modality, keys: TokenGroup, most: int
) -> list[ChosenTokens]:  # fmt: skip
    """Returns clusters of ``queries`` that attend to ``keys`` most, around at most ``most`` tokens of each stream.

    What a query attends to is the mean over heads of the sum over ``keys``, in the layer where that is largest; else as
    `key_clusters`. Raises ``LookupError`` for a record without maps.
    """
    amounts: dict[str, NDArray[np.float64]] = {}
    for attn_map in record.maps:
        tokens = record.streams[attn_map.queries]
        rows = np.array([token.modality is queries and token.location is not None for token in tokens], np.bool_)
        columns = group_members(record, keys, attn_map.keys)
        if attn_map.stack not in record.made_by.get("towers", ()) and rows.any() and columns.any():
            read = _rows_of(attn_map, np.ones_like(rows))[:, :, columns].sum(2).mean(0) * rows
            amounts[attn_map.queries] = np.maximum(read, amounts.get(attn_map.queries, 0.0))
    return _clusters(record, amounts, queries, most)


def nearest_queries(
    record: AttentionRecord, places: Sequence[ChosenTokens], keys: TokenGroup, most: int
) -> list[ChosenTokens]:
    """Returns at most ``most`` of ``places``, those that attend to ``keys`` most, by the mean of their tokens, in the
    layer where that is largest. Raises ``LookupError`` for a record without maps."""
    amounts = []
    for place in places:
        read = [0.0]
        for attn_map in record.maps:
            rows = group_members(record, place, attn_map.queries)
            columns = group_members(record, keys, attn_map.keys)
            if rows.any() and columns.any() and attn_map.stack not in record.made_by.get("towers", ()):
                read.append(float(_rows_of(attn_map, rows)[:, :, columns].sum(2).mean()))
        amounts.append(max(read))
    order = sorted((k for k in range(len(places)) if amounts[k] > 0), key=lambda k: -amounts[k])
    return [places[k] for k in order[:most]]


def cluster_overlap(first: TokenGroup, second: TokenGroup) -> float:
    """Returns the tokens that two clusters of one stream share, over those of both; 0 for other groups."""
    if not isinstance(first, ChosenTokens) or not isinstance(second, ChosenTokens) or first.stream != second.stream:
        return 0.0
    own, other = set(first.tokens), set(second.tokens)
    return len(own & other) / len(own | other)


def are_neighbours(first: Token, second: Token) -> bool:
    """Returns whether two tokens touch: patches with a common edge or corner in the same picture, moments that follow
    each other, pieces of the same word."""
    own, other = first.location, second.location
    if isinstance(own, PixelBox) and isinstance(other, PixelBox):
        return _picture(own) == _picture(other) and all(
            low <= high + GAP * max(high - start, end - low)
            for (start, high), (low, end) in (
                *_sides((own.x0, own.x1), (other.x0, other.x1)), *_sides((own.y0, own.y1), (other.y0, other.y1))
            )
        )  # fmt: skip
    if isinstance(own, Seconds) and isinstance(other, Seconds):
        return all(
            low <= high + GAP * (high - start)
            for (start, high), (low, _) in _sides((own.start, own.end), (other.start, other.end))
        )
    is_word = all(any(character.isalnum() for character in token.label) for token in (first, second))
    is_text = isinstance(own, Chars) and isinstance(other, Chars)
    return is_text and is_word and (own.end == other.start or other.end == own.start)  # type: ignore[union-attr]


def is_one_place(tokens: Sequence[Token]) -> bool:
    """Returns whether tokens hang together: each is reached from the first one by `are_neighbours`."""
    left = list(tokens)
    reached = left[:1]
    while reached:
        token = reached.pop()
        left.remove(token)
        reached += [other for other in left if other not in reached and are_neighbours(token, other)]
    return not left


def _sides(own: tuple[float, float], other: tuple[float, float]) -> tuple[tuple[tuple[float, float], ...], ...]:
    return (own, other), (other, own)


def _picture(box: PixelBox) -> tuple[object, ...]:
    """Returns which picture or frame a box lies in."""
    if isinstance(box, PictureBox):
        return ("picture", box.picture)
    return ("frame", box.start, box.end) if isinstance(box, VideoPatch) else ()


def _grown(tokens: Sequence[Token], amounts: NDArray[np.float64], seed: int, share: float) -> list[int]:
    """Returns the tokens of the cluster that grows from ``seed`` over those with ``share`` of its amount, the strongest
    first."""
    allowed = [int(k) for k in np.flatnonzero(amounts > 0) if amounts[k] >= share * amounts[seed] and k != seed]
    cluster, waiting = [seed], [seed]
    while waiting:
        last = waiting.pop()
        joined = [k for k in allowed if are_neighbours(tokens[last], tokens[k])]
        allowed = [k for k in allowed if k not in joined]
        cluster += joined
        waiting += joined
    return sorted(cluster, key=lambda k: -amounts[k])


def _rows_of(attn_map: AttentionMap | PooledMap, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Returns the weights of some queries, ``[head, query, key]``; those of their bins where a map holds no others."""
    if isinstance(attn_map, AttentionMap):
        return attn_map.weights[:, rows].astype(np.float64)
    counts = np.diff(attn_map.query_edges), np.diff(attn_map.key_edges)
    query_bins = np.repeat(np.arange(len(counts[0])), counts[0])[rows]
    return np.repeat(attn_map.overview[:, query_bins], counts[1], axis=2).astype(np.float64)
