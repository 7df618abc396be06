"""How similar token vectors, rows of weights and heads are."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mmviz.types import AttentionMap, AttentionRecord, AttentionTensors

REDUNDANT = 0.1
"""Two heads with a smaller `js_distance` are redundant."""
MAX_COMPARED = 128
"""With more heads, comparing every pair of them takes too long."""

HeadPair = tuple[tuple[int, int], tuple[int, int], float]
"""Two heads, each as the position of its map in ``AttentionRecord.maps`` and its number, and their `js_distance`."""


def token_vectors(steps: AttentionTensors, with_queries: bool = False) -> NDArray[np.float64]:
    """Returns the vectors of the key tokens as they enter an attention, float64 ``[key, width]``.

    They are the inputs of the attention (``context``) or, if these are not known, the key vectors of all heads side by
    side. ``with_queries``: the vectors of the query tokens stand before them, where `has_both` says so.
    """
    vectors = steps.context if steps.context is not None else np.concatenate(list(steps.key), axis=-1)
    if with_queries and steps.state is not None and has_both(steps):
        vectors = np.concatenate([steps.state, vectors])
    return vectors.astype(np.float64)


def has_both(steps: AttentionTensors) -> bool:
    """Returns whether the vectors of queries and keys are known, and as wide, so that they can be compared."""
    return steps.state is not None and steps.context is not None and steps.state.shape[1] == steps.context.shape[1]


def cosine_similarity(vectors: NDArray[np.float64], token: int) -> NDArray[np.float64]:
    """Returns the cosine between the vector of ``token`` and every vector, float64 ``[token]``.

    ``vectors`` are ``[token, width]``, see `token_vectors`. The cosine with a vector of length 0 is 0.
    """
    lengths = np.linalg.norm(vectors, axis=1)
    cosines = vectors @ vectors[token] / np.where(lengths > 0, lengths, 1) / (lengths[token] or 1.0)
    return np.asarray(np.clip(cosines, -1, 1))


def effective_number_of_keys(weights: NDArray[np.float64]) -> float:
    """Returns exp(entropy) of one row of weights ``[key]``.

    It ranges from 1 (all weight on one key) to the number of keys (uniform).
    Source: Jost 2006, "Entropy and diversity".
    """
    return float(np.exp(row_entropy(weights)))


def row_entropy(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the entropy of each row, in nats, ``[..., key]`` to ``[...]``. Weights of 0 add nothing."""
    return np.asarray(-(weights * np.log(np.where(weights > 0, weights, 1))).sum(-1))


def js_distance(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Returns the Jensen-Shannon distance between two heads ``[query, key]``: 0 if equal, 1 if they share no key.

    Formula: the root of the mean over the queries of the Jensen-Shannon divergence between the two rows, to base 2.
    Source: Lin 1991 (the divergence); as a measure of how similar heads are: Clark et al. 2019, section 6.
    """
    first64, second64 = first.astype(np.float64), second.astype(np.float64)
    return _js_distance(first64, second64, row_entropy(first64), row_entropy(second64))


def redundant_heads(record: AttentionRecord) -> list[HeadPair]:
    """Returns the pairs of heads that attend almost alike, ``((map, head), (map, head), distance)``, nearest first.

    ``map`` is the position in ``record.maps``. The distance is `js_distance`; pairs are those below `REDUNDANT`. Heads
    are compared only between maps of the same query stream and the same key stream.
    """
    heads = [
        ((number, head), (attn_map.queries, attn_map.keys), attn_map.weights[head].astype(np.float64))
        for number, attn_map in enumerate(record.maps)
        if isinstance(attn_map, AttentionMap)
        for head in range(attn_map.heads)
    ]
    entropies = [row_entropy(weights) for _, _, weights in heads]
    pairs = []
    for k, (place, streams, weights) in enumerate(heads):
        for j, (earlier_place, earlier_streams, earlier_weights) in enumerate(heads[:k]):
            if streams != earlier_streams:
                continue
            distance = _js_distance(weights, earlier_weights, entropies[k], entropies[j])
            if distance < REDUNDANT:
                pairs.append((earlier_place, place, distance))
    return sorted(pairs, key=lambda pair: pair[2])


def _js_distance(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    first_entropy: NDArray[np.float64],
    second_entropy: NDArray[np.float64],
) -> float:
    divergence = row_entropy((first + second) / 2) - (first_entropy + second_entropy) / 2
    return math.sqrt(max(0.0, float(divergence.mean()) / math.log(2)))
