"""Scores beyond 1,000, and masks of large numbers, in every precision: weights against a softmax in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from eager_attention import FusedAttention, drawn
from torch import Tensor, nn

import mmviz
from mmviz import CaptureError
from mmviz.capture.lazy_attention import LazyAttention
from mmviz.capture.map_check import check_short_map

DTYPES = [torch.float32, torch.float16, torch.bfloat16]
HEADS, TOKENS, SIZE = 4, 40, 16


def exact(query: Tensor, key: Tensor, mask: Tensor | None = None) -> Tensor:
    scores = query.double() @ key.double().mT / query.shape[-1] ** 0.5
    return (scores if mask is None else scores + mask.double()).softmax(-1)


def captured(model: nn.Module, *inputs: Tensor | None) -> mmviz.capture.CaptureResult:
    with torch.no_grad():
        plain = model(*inputs)
        with mmviz.capture(model) as result:
            assert torch.equal(model(*inputs), plain)
    return result


class ExactAttention(nn.Module):
    """Values of another size than the queries: torch has no fused kernel that returns a log-sum-exp."""

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(query, key, key[..., : SIZE // 2])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1.0, 6.0, 20.0, 60.0])
@pytest.mark.parametrize("tokens", [TOKENS, 600])
def test_the_weights_of_large_scores_are_those_of_float64(dtype: torch.dtype, scale: float, tokens: int) -> None:
    query, key = (drawn(1, HEADS, tokens, SIZE, seed=seed).mul(scale).to(dtype) for seed in (0, 1))
    largest = float((query.double() @ key.double().mT / SIZE**0.5).max())
    assert scale < 20 or largest > 1000
    for model in (FusedAttention(), ExactAttention()):
        result = captured(model, query, key)
        assert len(result.record().maps) == 1 and result.notices == ()
        view = result.view(0)
        expected = exact(query, key)[0].numpy()
        near = 2e-6 if dtype is torch.float32 else 5e-5  # the kernels add exponents up less exactly in half precision
        assert np.abs(view.full() - expected).max() < near
        assert np.abs(view.columns([3, 20], 1) - expected[1][:, [3, 20]]).max() < near
        assert np.abs(view.full().sum(-1, dtype=np.float64) - 1).max() < 5 * near


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("factor", [1, 2], ids=["once", "twice"])
def test_rows_masked_by_the_least_number_are_what_softmax_makes_of_them(
    dtype: torch.dtype, causal: bool, factor: int
) -> None:
    query, key = (drawn(1, HEADS, 8, SIZE, seed=seed).to(dtype) for seed in (0, 1))
    mask = torch.zeros(8, 8, dtype=torch.float32)
    if causal:
        mask = torch.full((8, 8), float(torch.finfo(dtype).min)).triu(1)
    mask[:, :3] += factor * float(torch.finfo(dtype).min)  # padding on the left
    mask = mask.clamp(min=float(torch.finfo(dtype).min)).to(dtype)
    if not causal:
        mask[2] = torch.finfo(dtype).min
    expected = exact(query, key, mask)[0].float().numpy()
    attn_map = captured(FusedAttention(), query, key, mask).record().maps[0]
    # float32, in which the kernels add, rounds a score beside 65,504, the largest number of float16, by 0.004; in half
    # precision those without AVX-512 add exponents up to 6e-5
    near = {torch.float32: 2e-6, torch.float16: 4e-3, torch.bfloat16: 1e-4}[dtype]
    np.testing.assert_allclose(attn_map.weights, expected, rtol=0, atol=near)
    if dtype is not torch.float16:
        assert attn_map.weights[:, 2] == pytest.approx(1 / 8, abs=near), "even"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_number_in_the_mask_swallows_scores_as_it_does_in_the_kernel(dtype: torch.dtype) -> None:
    query, key = (drawn(1, HEADS, 8, SIZE, seed=seed).to(dtype) for seed in (0, 1))
    mask = torch.zeros(8, 8).to(dtype)
    mask[2] = -1e9  # float32 rounds the sums to multiples of 64
    attn_map = captured(FusedAttention(), query, key, mask).record().maps[0]
    assert attn_map.weights[:, 2] == pytest.approx(1 / 8, abs=1e-6)


def test_a_log_sum_exp_that_is_not_that_of_the_scores_is_refused() -> None:
    query, key = (drawn(1, HEADS, TOKENS, SIZE, seed=seed).mul(20) for seed in (0, 1))
    (call,) = captured(FusedAttention(), query, key).all_attention_calls
    assert call.lse is not None
    call.lse.add_(0.5)
    with pytest.raises(CaptureError) as error:
        check_short_map(call, 0, "queries", "keys")
    assert error.value.code == "map-lse"


def test_wrong_weights_of_large_scores_do_not_pass() -> None:
    query, key = (drawn(1, HEADS, TOKENS, SIZE, seed=seed).mul(20) for seed in (0, 1))
    (call,) = captured(FusedAttention(), query, key).all_attention_calls
    call.attn_output[0, 0, 3] += 0.05 * call.attn_output.abs().max()
    with pytest.raises(CaptureError) as error:
        check_short_map(call, 0, "queries", "keys")
    assert error.value.code == "map-parity"


def test_a_row_is_computed_in_float64_only_where_that_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    from mmviz.capture.head_weights_by_row_tile import RecomputedWeights

    exact_rows = RecomputedWeights.exact_rows

    def counted(self: RecomputedWeights, numbers: Tensor) -> tuple[Tensor, Tensor]:
        rows.extend(numbers.tolist())
        return exact_rows(self, numbers)

    monkeypatch.setattr(RecomputedWeights, "exact_rows", counted)
    query, key = (drawn(1, 1, TOKENS, SIZE, seed=seed) for seed in (0, 1))
    query[0, 0, 7] *= 100
    LazyAttention(captured(FusedAttention(), query, key).all_attention_calls[0]).full()
    assert rows == [7]


def test_the_rounding_of_a_log_sum_exp_is_divided_out_and_nothing_else() -> None:
    query, key = (drawn(1, HEADS, TOKENS, SIZE, seed=seed).mul(2.5) for seed in (0, 1))
    (call,) = captured(FusedAttention(), query, key).all_attention_calls
    assert call.lse is not None
    expected, lse = exact(query, key)[0], call.lse.clone()
    sizes = expected.amax(-1) * lse[0].abs()
    is_large = (sizes > 9) & (sizes < 15)
    assert is_large.sum() > 10
    call.lse.add_(3e-6)
    weights = torch.from_numpy(LazyAttention(call, 0).full())
    assert float((weights - expected).abs().amax(-1)[is_large].max()) < 2e-6
    call.lse.copy_(lse + 3e-4)  # no rounding: a share that is lacking must show
    weights = torch.from_numpy(LazyAttention(call, 0).full())
    assert bool((weights.double().sum(-1) < 1 - 2e-4)[is_large].all())
