"""How alike tokens and heads are: answers worked out on paper, and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from mmviz.analysis.modality_matrix import crossing, modality_matrix
from mmviz.analysis.similarity import cosine_similarity, effective_number_of_keys, width
from mmviz.experiments.head_ablation import js_distance
from mmviz.types import AttentionSteps, Modality, Token


def steps(vectors: list[list[float]]) -> AttentionSteps:
    key = np.array([vectors], np.float32)
    return AttentionSteps(query=key, key=key, value=key, scale=1.0, mixed=key)


def test_likeness_is_the_cosine() -> None:
    found = cosine_similarity(steps([[1, 0], [2, 0], [0, 3], [-1, 1], [0, 0]]), 0)
    assert found == pytest.approx([1, 1, 0, -1 / math.sqrt(2), 0])
    assert width(steps([[1, 0], [2, 0]])) == 2


def test_over_how_many_keys_a_row_is_spread() -> None:
    assert effective_number_of_keys(np.array([1.0, 0, 0])) == pytest.approx(1)
    assert effective_number_of_keys(np.full(8, 1 / 8)) == pytest.approx(8)
    assert effective_number_of_keys(np.array([0.5, 0.5, 0])) == pytest.approx(2)


def test_unlikeness_is_the_distance_of_jensen_and_shannon() -> None:
    rng = np.random.default_rng(0)
    one, other = (rng.dirichlet(np.ones(5), 3).astype(np.float32) for _ in range(2))
    each = [jensenshannon(p.astype(float), q.astype(float), 2) ** 2 for p, q in zip(one, other, strict=True)]
    assert js_distance(one, other) == pytest.approx(math.sqrt(np.mean(each)), abs=1e-6)
    assert js_distance(one, one) == pytest.approx(0, abs=1e-6)
    assert js_distance(np.float32([[1, 0]]), np.float32([[0, 1]])) == pytest.approx(1)


def test_what_crosses_leaves_special_tokens_out() -> None:
    tokens = [
        Token(Modality.SPECIAL, "answer"),
        Token(Modality.TEXT, "a"),
        Token(Modality.TEXT, "b"),
        Token(Modality.IMAGE, "p"),
    ]
    weights = np.array([[1, 0, 0, 0], [0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0, 0], [0.25, 0.25, 0.25, 0.25]])
    share, even = crossing(modality_matrix(weights, tokens, tokens))
    assert share == pytest.approx((0.4 + 0 + 0.5) / 3)
    assert even == pytest.approx((1 / 4 + 1 / 4 + 2 / 4) / 3)
    only = modality_matrix(weights[:1], tokens[:1], tokens)
    assert crossing(only) == (0, 0)
