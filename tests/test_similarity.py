"""Similarity of tokens and heads, compared with results worked out by hand and with scipy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon

from mmviz.analysis.modality_matrix import cross_modal_share, modality_matrix
from mmviz.analysis.similarity import (
    cosine_similarity,
    effective_number_of_keys,
    js_distance,
    redundant_heads,
    row_entropy,
    token_vectors,
)
from mmviz.types import AttentionMap, AttentionRecord, AttentionTensors, Modality, Token, index_tokens


def steps(vectors: list[list[float]]) -> AttentionTensors:
    key = np.array([vectors], np.float32)
    return AttentionTensors(query=key, key=key, value=key, scale=1.0, attn_output=key)


def record(*maps: tuple[int, str, str, NDArray[Any]]) -> AttentionRecord:
    """A record of maps, each its layer, query stream, key stream and weights ``[head, query, key]``."""
    streams = {"a": index_tokens(7), "b": index_tokens(7)}
    attn_maps = tuple(
        AttentionMap(f"m{number}", layer, queries, keys, np.asarray(weights, np.float32))
        for number, (layer, queries, keys, weights) in enumerate(maps)
    )
    return AttentionRecord("id", streams, attn_maps, (), {})


def test_similarity_of_tokens_is_the_cosine_of_their_vectors() -> None:
    cosines = cosine_similarity(token_vectors(steps([[1, 0], [2, 0], [0, 3], [-1, 1], [0, 0]])), 0)
    assert cosines == pytest.approx([1, 1, 0, -1 / math.sqrt(2), 0])


def test_effective_number_of_keys_is_exp_of_the_entropy() -> None:
    assert effective_number_of_keys(np.array([1.0, 0, 0])) == pytest.approx(1)
    assert effective_number_of_keys(np.full(8, 1 / 8)) == pytest.approx(8)
    assert effective_number_of_keys(np.array([0.5, 0.5, 0])) == pytest.approx(2)
    assert row_entropy(np.array([[1.0, 0], [0.5, 0.5]])) == pytest.approx([0, math.log(2)])


def test_js_distance_agrees_with_scipy() -> None:
    rng = np.random.default_rng(0)
    first, second = (rng.dirichlet(np.ones(5), 3).astype(np.float32) for _ in range(2))
    squared = [jensenshannon(p.astype(float), q.astype(float), 2) ** 2 for p, q in zip(first, second, strict=True)]
    assert js_distance(first, second) == pytest.approx(math.sqrt(np.mean(squared)), abs=1e-6)
    assert js_distance(first, first) == pytest.approx(0, abs=1e-6)
    assert js_distance(np.float32([[1, 0]]), np.float32([[0, 1]])) == pytest.approx(1)


def test_heads_with_almost_the_same_weights_are_redundant() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.dirichlet(np.ones(7), 7), rng.dirichlet(np.ones(7) * 0.2, 7)
    near = first * 0.999 + 0.001 / 7
    ((place, other_place, distance),) = redundant_heads(
        record((0, "a", "a", np.stack([first, second])), (1, "a", "a", near[None]))
    )
    assert (place, other_place) == ((0, 0), (1, 0)) and distance < 0.02
    ((_, _, distance),) = redundant_heads(record((0, "a", "a", np.stack([second, second]))))
    assert distance == pytest.approx(0, abs=1e-6)
    disjoint = np.stack([np.eye(7), np.roll(np.eye(7), 1, axis=1)])
    assert redundant_heads(record((0, "a", "a", disjoint))) == []


def test_redundant_heads_are_named_by_their_map_and_share_its_streams() -> None:
    """Layer 0 has one map of self-attention and two of cross-attention; a head is known by its map, not its layer."""
    eye = np.eye(7)[None]
    pairs = redundant_heads(record((0, "a", "a", eye), (0, "a", "b", eye), (0, "a", "b", eye)))
    assert [pair[:2] for pair in pairs] == [((1, 0), (2, 0))]


def test_cross_modal_share_leaves_special_tokens_out() -> None:
    tokens = [
        Token(Modality.SPECIAL, "answer"),
        Token(Modality.TEXT, "a"),
        Token(Modality.TEXT, "b"),
        Token(Modality.IMAGE, "p"),
    ]
    weights = np.array([[1, 0, 0, 0], [0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0, 0], [0.25, 0.25, 0.25, 0.25]])
    share, uniform = cross_modal_share(modality_matrix(weights, tokens, tokens))
    assert share == pytest.approx((0.4 + 0 + 0.5) / 3)
    assert uniform == pytest.approx((1 / 4 + 1 / 4 + 2 / 4) / 3)
    special_queries = modality_matrix(weights[:1], tokens[:1], tokens)
    assert cross_modal_share(special_queries) == (0, 0)
