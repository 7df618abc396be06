"""Attention is recorded and traced, whichever function multiplies queries and keys, weights and values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from eager_attention import drawn
from torch import Tensor, nn

import mmviz
from mmviz.capture.data_flow_step import Step
from mmviz.capture.product_call import product_call
from mmviz.capture.qkv_and_projections import attention_tensors

X, Y = drawn(4, 6), drawn(5, 6, seed=1)
BATCHES = X[None], Y[None]
SINGLE = {
    "mm": (lambda a, b: torch.mm(a, b.T), torch.mm),
    "inner": (torch.inner, lambda weights, values: torch.inner(weights, values.T)),
    "matmul": (lambda a, b: torch.matmul(a, b.T), torch.matmul),
    "addmm": (
        lambda a, b: torch.addmm(torch.zeros(4, 5), a, b.T),
        lambda weights, values: torch.addmm(torch.zeros(4, 6), weights, values),
    ),
    "einsum": (lambda a, b: torch.einsum("kd,qd->qk", b, a), lambda w, v: torch.einsum("qk,kd->qd", w, v)),
    "turned": (torch.inner, lambda weights, values: torch.inner(values.T, weights).T),
}
"""Products of tensors of two axes: scores ``[query, key]``, and the weighted sum of values."""
Products = tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]


class Attention(nn.Module):
    def __init__(self, scores: Callable[[Tensor, Tensor], Tensor], sums: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.scores, self.sums = scores, sums

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        return self.sums((self.scores(query, key) * 0.5).softmax(-1), key)


@pytest.mark.parametrize("products", SINGLE.values(), ids=SINGLE)
def test_a_product_of_two_axes_is_recorded_and_traced(products: Products) -> None:
    expected = (X @ Y.T * 0.5).softmax(-1).numpy()
    with mmviz.capture(model := Attention(*products), steps=True) as result:
        model(X, Y)
    (attn_map,) = result.record().maps
    np.testing.assert_allclose(attn_map.weights[0], expected, atol=2e-6)
    assert attn_map.queries != attn_map.keys
    (call,) = result.attention_calls()
    steps = attention_tensors(call)
    np.testing.assert_allclose(steps.scale * steps.query[0] @ steps.key[0].T, 0.5 * (X @ Y.T).numpy(), atol=2e-6)


@pytest.mark.parametrize(
    ("scores", "sums"),
    [
        (lambda a, b: a @ b.mT, torch.matmul),
        (lambda a, b: torch.bmm(a, mat2=b.mT), torch.bmm),
        (lambda a, b: torch.zeros(1).baddbmm(batch1=a, batch2=b.mT), torch.bmm),
        (lambda a, b: torch.einsum("...qd,...kd->...qk", a, b), lambda w, v: torch.einsum("bqk,bkd->bqd", w, v)),
    ],
    ids=["operator", "bmm", "baddbmm", "einsum"],
)
def test_a_product_of_batches_is_recorded_and_traced(
    scores: Callable[[Tensor, Tensor], Tensor], sums: Callable[[Tensor, Tensor], Tensor]
) -> None:
    with mmviz.capture(model := Attention(scores, sums), steps=True) as result:
        model(*BATCHES)
    (attn_map,) = result.record().maps
    np.testing.assert_allclose(attn_map.weights[0], (X @ Y.T * 0.5).softmax(-1).numpy(), atol=2e-6)
    assert attention_tensors(result.attention_calls()[0]).scale == 0.5


@pytest.mark.parametrize("name", ["matmul", "__matmul__", "mm", "bmm", "inner", "baddbmm", "addmm"])
def test_queries_and_keys_of_a_product_are_told_alike_by_tensors_and_by_steps(name: str) -> None:
    added = [torch.zeros(1)] if name in ("baddbmm", "addmm") else []
    tensors = [*added, torch.zeros(2, 3), torch.zeros(3, 4)]
    of_tensors = product_call(name, tensors, {}, Tensor)
    of_steps = product_call(name, [Step(tuple(tensor.shape)) for tensor in tensors], {}, Step)
    assert of_tensors is not None and of_steps is not None
    for product in (of_tensors, of_steps):
        factors = product.score_factors()
        assert factors is not None and [len(factor.order) for factor in factors] == [1, 1]
        assert [tuple(factor.tensor.shape) for factor in factors] == [(2, 3), (3, 4)]
        assert [factor.feature_axis for factor in factors] == [-1, -1 if name == "inner" else -2]
        assert product.contracted_axis(0) == 1 and product.contracted_axis(1) == (1 if name == "inner" else 0)


def test_a_product_from_the_right_has_its_tensors_in_the_order_of_the_product() -> None:
    first, second = torch.zeros(2, 3), torch.zeros(3, 4)
    product = product_call("__rmatmul__", [second, first], {}, Tensor)
    assert product is not None and product.operands[0] is first and product.operands[1] is second


@pytest.mark.parametrize(("name", "shapes"), [("inner", ((2, 3, 4), (5, 4))), ("addbmm", ((2, 3, 4), (2, 4, 5)))])
def test_products_over_several_axes_hold_no_scores(name: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    added = [torch.zeros(1)] if name == "addbmm" else []
    product = product_call(name, [*added, *(torch.zeros(shape) for shape in shapes)], {}, Tensor)
    assert product is not None and product.score_factors() is None
