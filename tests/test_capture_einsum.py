"""Equations of an einsum: axes of attention weights and of scores, and what is no product of two operands."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import mmviz
from mmviz.capture.einsum import parse_einsum, permute_axes


def test_axes_are_told_apart() -> None:
    einsum = parse_einsum("b h q k, bkhd -> bqhd")
    assert einsum is not None
    assert (einsum.batch, einsum.first_only, einsum.second_only, einsum.summed) == ("bh", "q", "d", "k")
    swapped = einsum.swapped()
    assert (swapped.first_only, swapped.second_only, swapped.output) == ("d", "q", "bqhd")
    assert permute_axes(torch.zeros(2, 3, 4), "abc", "cab").shape == (4, 2, 3)


@pytest.mark.parametrize("equation", ["...qk,...kd->...qd", "ab->ba", "a,b,c->abc", "qqk,kd->qd", "bhqk,bkd->bqd", 3])
def test_other_equations_are_none(equation: object) -> None:
    assert parse_einsum(equation) is None


def test_an_einsum_that_sums_over_heads_runs_and_is_named() -> None:
    class SummedHeads(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.einsum("bhqk,bkd->bqd", (x @ x.mT).softmax(-1), x[:, 0])

    x = torch.randn(1, 2, 5, 4, generator=torch.Generator().manual_seed(0))
    model = SummedHeads()
    expected = model(x)
    with mmviz.capture(model, steps=True) as result:
        assert torch.equal(model(x), expected)
    assert [notice.code for notice in result.notices] == ["uncaptured-softmax"]
