"""What counts as attention: what real code does between softmax and product, and what only resembles it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from eager_attention import drawn, weights_by_hand
from torch import Tensor, nn

import mmviz
from mmviz import CaptureError

Mix = Callable[[Tensor, Tensor], Tensor]
"""Weights ``[..., query, key]`` and values to what attention gives."""
X = drawn(1, 2, 5, 4)


class Attention(nn.Module):
    """A softmax of the scores of tokens, and what ``mix`` computes from it."""

    def __init__(self, mix: Mix) -> None:
        super().__init__()
        self.mix = mix

    def forward(self, x: Tensor) -> Tensor:
        return self.mix((x @ x.mT / 2).softmax(-1), x)


MIXES: dict[str, Mix] = {
    "small ones filled with 0": lambda weights, value: weights.masked_fill(weights < 1e-9, 0) @ value,
    "what is no number filled with 0": lambda weights, value: weights.nan_to_num(0) @ value,
    "a mask of heads": lambda weights, value: (weights * torch.ones(2, 1, 1)) @ value,
    "baddbmm": lambda weights, value: torch.baddbmm(value[0], weights[0], value[0]),
    "both transposed": lambda weights, value: value.mT @ weights.mT,
    "an ellipsis in einsum": lambda weights, value: torch.einsum("...qk,...kd->...qd", weights, value),
    "a product by names": lambda weights, value: torch.matmul(input=weights, other=value),
}


def result_of(model: nn.Module, *inputs: Tensor) -> mmviz.capture.CaptureResult:
    with mmviz.capture(model) as result:
        model(*inputs)
    return result


def maps_of(result: mmviz.capture.CaptureResult) -> list[np.ndarray]:
    """Returns the captured weights; may be empty."""
    try:
        return [attn_map.weights for attn_map in result.record().maps]
    except CaptureError:
        return []


@pytest.mark.parametrize("name", MIXES)
def test_attention_is_captured_whatever_lies_between_softmax_and_product(name: str) -> None:
    weights = result_of(Attention(MIXES[name]), X).record().maps[0].weights
    np.testing.assert_allclose(weights.reshape(2, 5, 5), weights_by_hand(X, X)[0], atol=2e-6)


@pytest.mark.parametrize("name", MIXES)
def test_attention_that_is_not_captured_is_named(name: str) -> None:
    result = result_of(Attention(MIXES[name]), X)
    assert maps_of(result) or result.notices


class Windowed(nn.Module):
    """Attention by hand on five axes: sample, window, head, token, width."""

    def forward(self, x: Tensor) -> Tensor:
        return (x @ x.mT / 2).softmax(-1) @ x


def test_attention_by_hand_of_five_axes_is_captured() -> None:
    x = drawn(1, 3, 2, 5, 4)
    weights = result_of(Windowed(), x).record().maps[0].weights
    np.testing.assert_allclose(weights.reshape(6, 5, 5), weights_by_hand(x, x).reshape(6, 5, 5), atol=2e-6)


class Sink(nn.Module):
    """A score that belongs to no token takes a share of every row, and is cut off before the product, as in gpt-oss."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x @ x.mT / 2, x[..., :1]], -1).softmax(-1)[..., :-1] @ x


def test_attention_with_a_sink_is_captured() -> None:
    weights = result_of(Sink(), X).record().maps[0].weights
    expected = torch.cat([X @ X.mT / 2, X[..., :1]], -1).softmax(-1)[0].numpy()
    np.testing.assert_allclose(weights[..., :5], expected[..., :5], atol=2e-6)


class Exponents(nn.Module):
    """A softmax written out."""

    def forward(self, x: Tensor) -> Tensor:
        exponents = (x @ x.mT / 2).exp()
        return exponents / exponents.sum(-1, keepdim=True) @ x


class Sigmoids(nn.Module):
    """Weights that do not add up to 1."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x @ x.mT) @ x


class AttentionBeside(nn.Module):
    """A sigmoid beside a softmax that is captured, in one module whose name promises attention."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x @ x.mT) @ x + (x @ x.mT / 2).softmax(-1) @ x


@pytest.mark.parametrize("kind", [Exponents, Sigmoids])
def test_weights_without_a_softmax_are_captured_or_named(kind: type[nn.Module]) -> None:
    result = result_of(nn.ModuleDict({"mixer": kind()})["mixer"], X)
    assert maps_of(result) or result.notices


def test_weights_beside_those_that_were_captured_are_named() -> None:
    result = result_of(nn.Sequential(AttentionBeside()), X)
    assert len(maps_of(result)) == 1 and result.notices


class Efficient(nn.Module):
    """A softmax over the features of a query and one over tokens; no token attends to another."""

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return query.softmax(-1) @ (key.softmax(-2).mT @ value)


def test_a_softmax_over_features_is_no_attention() -> None:
    assert maps_of(result_of(Efficient(), *drawn(3, 1, 4, 6, 8))) == []
