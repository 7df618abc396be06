"""Large scores, queries whose keys are all masked, and leading axes of any number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from eager_attention import FusedAttention, drawn, weights_by_hand
from torch import Tensor

import mmviz
from mmviz import CaptureError

X = drawn(1, 4, 6, 8)
LEAST = torch.finfo(torch.float32).min


def captured_weights(query: Tensor, key: Tensor, mask: Tensor | None = None) -> np.ndarray:
    with mmviz.capture(model := FusedAttention()) as result:
        model(query, key, mask)
    return result.record().maps[0].weights


def largest_score(scale: float) -> float:
    return float((X * scale @ (X * scale).mT / 8**0.5).abs().max())


too_large = pytest.mark.xfail(
    strict=True, raises=CaptureError,
    reason="weights are worked out from a log-sum-exp that has been rounded, so scores beyond about 70 are refused",
)  # fmt: skip


@pytest.mark.parametrize("scale", [1, 3, pytest.param(5, marks=too_large), pytest.param(10, marks=too_large)])
def test_large_scores_are_shown(scale: float) -> None:
    assert largest_score(scale) > 7.5 * scale**2
    x = X * scale
    np.testing.assert_allclose(captured_weights(x, x), weights_by_hand(x.double(), x.double())[0], atol=2e-4)


def causal_with_padding(least: float, twice: bool) -> Tensor:
    """A causal mask ``[query, key]`` by ``least``; the first two tokens are padding, whose mask is added once more."""
    mask = torch.full((6, 6), least).triu(1)
    mask[:, :2] = 2 * least if twice else least
    return mask


all_masked = pytest.mark.xfail(
    strict=True, raises=CaptureError,
    reason="weights are worked out from a log-sum-exp that has lost the scores beside the mask, so a run with a "
    "padding query whose keys are all masked by a large number is refused",
)  # fmt: skip


@pytest.mark.parametrize(
    ("least", "twice"),
    [pytest.param(LEAST, False, marks=all_masked), pytest.param(-1e4, True, marks=all_masked)],
    ids=["smallest", "ten thousand"],
)
def test_queries_whose_keys_are_all_masked_are_what_softmax_makes_of_them(least: float, twice: bool) -> None:
    mask = causal_with_padding(least, twice)
    np.testing.assert_allclose(captured_weights(X, X, mask), weights_by_hand(X, X, mask)[0], atol=2e-3)


@all_masked
def test_fully_masked_rows_are_even() -> None:
    assert captured_weights(X, X, causal_with_padding(LEAST, False))[:, :2] == pytest.approx(1 / 6, abs=1e-6)


def test_fused_attention_of_five_axes_is_captured() -> None:
    x = drawn(2, 3, 4, 6, 8)
    expected = weights_by_hand(x, x).reshape(-1, 6, 6)
    np.testing.assert_allclose(captured_weights(x, x).reshape(-1, 6, 6), expected, atol=2e-6)


def test_learned_queries_attend_to_every_window() -> None:
    query, key = drawn(1, 4, 3, 8), drawn(6, 4, 5, 8, seed=1)
    np.testing.assert_allclose(captured_weights(query, key), weights_by_hand(query, key), atol=2e-6)


def test_keys_may_be_shared_by_all_samples() -> None:
    query, key = drawn(2, 4, 3, 8), drawn(1, 4, 5, 8, seed=1)
    np.testing.assert_allclose(captured_weights(query, key), weights_by_hand(query, key), atol=2e-6)
