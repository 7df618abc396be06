"""Large scores, queries whose keys are all masked, and leading axes of any number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from eager_attention import FusedAttention, drawn, weights_by_hand
from torch import Tensor

import mmviz

X = drawn(1, 4, 6, 8)
LEAST = torch.finfo(torch.float32).min


def captured_weights(query: Tensor, key: Tensor, mask: Tensor | None = None) -> np.ndarray:
    with mmviz.capture(model := FusedAttention()) as result:
        model(query, key, mask)
    return result.record().maps[0].weights


def largest_score(scale: float) -> float:
    return float((X * scale @ (X * scale).mT / 8**0.5).abs().max())


@pytest.mark.parametrize("scale", [1, 3, 5, 10])
def test_large_scores_are_shown(scale: float) -> None:
    assert largest_score(scale) > 7.5 * scale**2
    x = X * scale
    np.testing.assert_allclose(captured_weights(x, x), weights_by_hand(x.double(), x.double())[0], atol=2e-4)


def causal_with_padding(least: float, twice: bool) -> Tensor:
    """A causal mask ``[query, key]`` by ``least``; the first two tokens are padding, whose mask is added once more."""
    mask = torch.full((6, 6), least).triu(1)
    mask[:, :2] = 2 * least if twice else least
    return mask


@pytest.mark.parametrize(
    ("least", "twice"),
    [(LEAST, False), (-1e4, True)],
    ids=["smallest", "ten thousand"],
)
def test_queries_whose_keys_are_all_masked_are_what_softmax_makes_of_them(least: float, twice: bool) -> None:
    mask = causal_with_padding(least, twice)
    np.testing.assert_allclose(captured_weights(X, X, mask), weights_by_hand(X, X, mask)[0], atol=2e-3)


def test_fully_masked_rows_are_even() -> None:
    assert captured_weights(X, X, causal_with_padding(LEAST, False))[:, :2] == pytest.approx(1 / 6, abs=1e-6)


def test_fused_attention_of_five_axes_is_captured() -> None:
    """Two samples of three windows, which do not attend to each other."""
    x = drawn(2, 3, 4, 6, 8)
    expected = np.zeros((2, 4, 18, 18), np.float32)
    for window, weights in enumerate(weights_by_hand(x, x).swapaxes(0, 1)):
        places = slice(6 * window, 6 * window + 6)
        expected[:, :, places, places] = weights
    np.testing.assert_allclose(captured_weights(x, x), expected, atol=5e-6)  # the fused kernels of some CPUs give 3e-6


def test_learned_queries_attend_to_every_window() -> None:
    query, key = drawn(1, 4, 3, 8), drawn(6, 4, 5, 8, seed=1)
    np.testing.assert_allclose(captured_weights(query, key), weights_by_hand(query, key), atol=2e-6)


def test_keys_may_be_shared_by_all_samples() -> None:
    query, key = drawn(2, 4, 3, 8), drawn(1, 4, 5, 8, seed=1)
    np.testing.assert_allclose(captured_weights(query, key), weights_by_hand(query, key), atol=2e-6)
