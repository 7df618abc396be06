"""What each head attends to: entropy of its weights, distance, modalities, sinks and registers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.answer_token import answer_token
from mmviz.analysis.modality_matrix import modality_matrix
from mmviz.analysis.similarity import row_entropy
from mmviz.analysis.sinks import sinks
from mmviz.types import INPUT_MODALITIES, AttentionMap, AttentionRecord, Chars, Modality, PixelBox, Seconds, Token


@dataclass(frozen=True)
class HeadProfile:
    """What one head attends to, averaged over all queries unless a field says otherwise."""

    map: int
    """Position of the head's map in ``record.maps``, in order of execution; ``record.map_ref(map, head)`` names it."""
    head: int
    """Number of the head within its map, from 0."""
    entropy: float
    """Entropy of the weights, normalised: 0 if each query attends to one key, 1 if it attends to all keys equally."""
    distance: float | None
    """Mean distance between query and key of the same modality, as a multiple of the distance under uniform attention.
    None if no query attends to its own modality."""
    modality_sums: Mapping[Modality, float]
    """Sum of the answer token's weights over the keys of each modality that has keys."""
    sinks: tuple[tuple[int, float], ...]
    """Keys that get much attention from all queries, each with its mean weight, largest first."""
    registers: tuple[int, ...]
    """The sinks that lie in the image or the audio."""


def all_heads(record: AttentionRecord) -> list[tuple[int, int]]:
    """Returns ``(map, head)`` of every head of the record, ``map`` being the position in ``record.maps``."""
    return [(number, head) for number, attn_map in enumerate(record.maps) for head in range(attn_map.heads)]


def head_profiles(record: AttentionRecord) -> list[HeadProfile]:
    """Returns the profile of every head, in the order of `all_heads`. Maps without all their weights are left out.

    Formulas: entropy is ``-(sum over k of w[q, k] log w[q, k]) / log(keys)``, mean over the queries. Distance is the
    mean over the queries of ``sum over k of w[q, k] d(q, k) / sum over k of w[q, k]`` with k of the modality of q,
    divided by the same under uniform weights; ``d`` is the distance between the centres of patches in pixels, between
    the centres of audio tokens in seconds, and between positions of text tokens.
    Sources: entropy as in Clark et al. 2019; distance as in Dosovitskiy et al. 2021, appendix D.7; registers after
    Darcet et al. 2024, who find them by their norms, which a record does not hold: here they are sinks with a location.
    """
    profiles = []
    for number, attn_map in enumerate(record.maps):
        if not isinstance(attn_map, AttentionMap):
            continue
        queries, keys = record.streams[attn_map.queries], record.streams[attn_map.keys]
        query = answer_token(record, attn_map.queries)
        distances = _distances(queries, keys)
        for head in range(attn_map.heads):
            weights = attn_map.weights[head].astype(np.float64)
            matrix = modality_matrix(weights[[query]], [queries[query]], keys)
            head_sinks = tuple(sinks(weights.mean(0)))
            profiles.append(
                HeadProfile(
                    map=number,
                    head=head,
                    entropy=_normalised_entropy(weights),
                    distance=_relative_distance(weights, distances),
                    modality_sums=dict(zip(matrix.keys, matrix.sums[0].tolist(), strict=True)),
                    sinks=head_sinks,
                    registers=tuple(k for k, _ in head_sinks if isinstance(keys[k].location, PixelBox | Seconds)),
                )
            )
    return profiles


def _normalised_entropy(weights: NDArray[np.float64]) -> float:
    keys = weights.shape[1]
    sums = weights.sum(1, keepdims=True)  # less than 1 where a sink takes a share
    return float(row_entropy(weights / np.where(sums > 0, sums, 1)).mean() / math.log(keys)) if keys > 1 else 0.0


def _relative_distance(weights: NDArray[np.float64], distances: NDArray[np.float64]) -> float | None:
    """Returns the mean distance under ``weights`` divided by that under uniform weights, both ``[query, key]``."""
    is_known = np.isfinite(distances)
    known_distances = np.where(is_known, distances, 0)
    weight_sums, counts = (weights * is_known).sum(1), is_known.sum(1)
    counted = (weight_sums > 0) & (counts > 1)
    if not counted.any():
        return None
    mean = (weights * known_distances).sum(1)[counted] / weight_sums[counted]
    return float(mean.mean() / (known_distances.sum(1)[counted] / counts[counted]).mean())


def _distances(queries: Sequence[Token], keys: Sequence[Token]) -> NDArray[np.float64]:
    """Returns the distance between tokens of one modality, float64 ``[query, key]``, NaN between other tokens."""
    distances = np.full((len(queries), len(keys)), np.nan)
    for modality in INPUT_MODALITIES:
        rows, columns = (
            [k for k, token in enumerate(tokens) if token.modality is modality and token.location is not None]
            for tokens in (queries, keys)
        )
        if not rows or not columns:
            continue
        query_centres = np.array([_centre(queries[k], position) for position, k in enumerate(rows)])
        key_centres = np.array([_centre(keys[k], position) for position, k in enumerate(columns)])
        distances[np.ix_(rows, columns)] = np.linalg.norm(query_centres[:, None] - key_centres[None], axis=-1)
    return distances


def _centre(token: Token, position: int) -> tuple[float, float]:
    """Returns the centre of a token with a location: in pixels, in seconds, or its position among the text tokens."""
    location = token.location
    if isinstance(location, PixelBox):
        return (location.x0 + location.x1) / 2, (location.y0 + location.y1) / 2
    if isinstance(location, Seconds):
        return (location.start + location.end) / 2, 0.0
    assert isinstance(location, Chars)
    return float(position), 0.0
