"""Every way in which a module may compute attention is captured exactly, and its output stays the same."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from checked_map import attention_map
from torch import Tensor, nn

from mmviz.capture import AttentionCall, capture, relevance
from mmviz.capture.lazy_attention import LazyAttention
from mmviz.capture.recorder import EAGER, SDPA_LSE
from mmviz.types import CaptureError

BATCH, HEADS, QUERIES, KEYS, SIZE = 2, 4, 37, 53, 16
DEADLINE = 60.0
"""Seconds for a thread to finish."""


def eager(
    query: Tensor, key: Tensor, mask: Tensor | None = None, causal: bool = False, scale: float | None = None
) -> Tensor:
    """Returns the weights by definition, float64 ``[batch, head, query, key]``."""
    key = key.repeat_interleave(query.shape[1] // key.shape[1], 1)
    scores = query.double() @ key.double().transpose(-2, -1) * (scale or query.shape[-1] ** -0.5)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf) if mask.dtype is torch.bool else scores + mask.double()
    if causal:
        scores = scores.masked_fill(~torch.ones(scores.shape[-2:], dtype=torch.bool).tril(), -math.inf)
    return scores.softmax(-1)


class Attend(nn.Module):
    """A module around one function of query, key and value."""

    def __init__(self, attend: Callable[..., Tensor]):
        super().__init__()
        self.inner = nn.Identity()
        self.attend = attend

    def forward(self, *tensors: Tensor) -> Tensor:
        return self.inner(self.attend(*tensors))


def tensors(kv_heads: int = HEADS, dtype: torch.dtype = torch.float32, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    query = torch.randn(BATCH, HEADS, QUERIES, SIZE, dtype=dtype)
    key, value = (torch.randn(BATCH, kv_heads, KEYS, SIZE, dtype=dtype) for _ in range(2))
    return query, key, value


def captured(module: nn.Module, *args: Any, **kwargs: Any) -> tuple[AttentionCall, Any]:
    """Returns the only attention call of a module, and its output, which must be that without capture to the bit."""
    with torch.no_grad():
        plain = module(*args, **kwargs)
        with capture(module) as result:
            output = module(*args, **kwargs)
    first, second = (tensors[0] if isinstance(tensors, tuple) else tensors for tensors in (plain, output))
    assert torch.equal(first, second)
    (call,) = result.all_attention_calls
    return call, output


PADDING = torch.arange(KEYS) < torch.tensor([KEYS, 20])[:, None]  # the second sample is short
BIAS = torch.linspace(-3, 3, QUERIES * KEYS).view(1, 1, QUERIES, KEYS)


@pytest.mark.parametrize(
    ("options", "reference"),
    [
        ({}, {}),
        ({"scale": 0.7}, {"scale": 0.7}),
        ({"attn_mask": PADDING[:, None, None]}, {"mask": PADDING[:, None, None]}),
        ({"attn_mask": PADDING[:, None, None].expand(BATCH, 1, QUERIES, KEYS)}, {"mask": PADDING[:, None, None]}),
        ({"attn_mask": BIAS}, {"mask": BIAS}),
        ({"attn_mask": BIAS[0, 0]}, {"mask": BIAS}),
        ({"is_causal": True}, {"causal": True}),
    ],
    ids=["plain", "scale", "padding", "padding for each query", "bias", "bias of two dimensions", "causal"],
)
@pytest.mark.parametrize("kv_heads", [HEADS, 2])
def test_a_fused_kernel_is_captured_exactly(options: dict[str, Any], reference: dict[str, Any], kv_heads: int) -> None:
    query, key, value = tensors(kv_heads)
    grouped = {"enable_gqa": True} if kv_heads < HEADS else {}
    module = Attend(lambda *tensors: F.scaled_dot_product_attention(*tensors, **options, **grouped))
    call, _ = captured(module, query, key, value)
    assert call.route == SDPA_LSE
    expected = eager(query, key, **reference).numpy()
    for row in range(BATCH):
        attn_map, parity = attention_map(call, 0, "queries", "keys", row)
        assert np.abs(attn_map.weights - expected[row]).max() < 3e-6 and parity < 1e-5
        exact = LazyAttention(call, row)
        assert np.abs(exact.rows([5, 0, 36], 1) - expected[row, 1][[5, 0, 36]]).max() < 3e-6
        assert np.abs(exact.columns([52, 3], 2) - expected[row, 2][:, [52, 3]]).max() < 3e-6
        assert np.abs(exact.zoom(range(4, 10), range(10, 31), 3) - expected[row, 3][4:9, 10:30]).max() < 3e-6


@pytest.mark.parametrize(("dtype", "near"), [(torch.bfloat16, 5e-5), (torch.float16, 5e-5)])
def test_half_precision_is_captured_exactly(dtype: torch.dtype, near: float) -> None:
    query, key, value = tensors(dtype=dtype)
    call, _ = captured(Attend(F.scaled_dot_product_attention), query, key, value)
    attn_map, _ = attention_map(call, 0, "queries", "keys")
    assert np.abs(attn_map.weights - eager(query, key)[0].numpy()).max() < near
    assert attn_map.dtype == str(dtype).removeprefix("torch.")


def test_autocast_is_captured_as_it_computes() -> None:
    query, key, value = tensors()
    with torch.autocast("cpu", torch.bfloat16):
        call, output = captured(Attend(F.scaled_dot_product_attention), query, key, value)
    assert output.dtype == torch.bfloat16 and call.dtype == "bfloat16"
    assert (
        np.abs(attention_map(call, 0, "q", "k")[0].weights - eager(query.bfloat16(), key.bfloat16())[0].numpy()).max()
        < 5e-5
    )


def test_gradients_flow_during_capture() -> None:
    query, key, value = (tensor.requires_grad_() for tensor in tensors())
    module = Attend(F.scaled_dot_product_attention)
    expected = torch.autograd.grad(module(query, key, value).sum(), [query, key, value])
    with capture(module) as result:
        gradients = torch.autograd.grad(module(query, key, value).sum(), [query, key, value])
    calls = result.all_attention_calls
    assert all(torch.equal(*pair) for pair in zip(gradients, expected, strict=True))
    assert calls[0].route == SDPA_LSE
    with pytest.raises(CaptureError) as error:
        relevance(query.sum(), calls)
    assert error.value.code == "relevance-graph"


def test_relevance_through_a_fused_kernel_is_that_of_the_weights_it_does_not_return() -> None:
    query, key, value = (tensor[..., :QUERIES, :].requires_grad_() for tensor in tensors())
    with capture(Attend(F.scaled_dot_product_attention)) as result:
        logit = result.model(query, key, value).pow(2).sum()
    weights = eager(query, key).float()
    (gradient,) = torch.autograd.grad((weights @ value).pow(2).sum(), weights)
    expected = (gradient * weights).clamp(min=0).mean(1).detach().numpy()
    for batch in range(BATCH):
        amounts = relevance(logit, result.all_attention_calls, batch)
        assert np.abs(amounts - expected[batch]).max() < 1e-5 * expected.max()


def eager_attention(product: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        scores = query @ key.transpose(-2, -1) / SIZE**0.5
        return product(F.dropout(scores.softmax(-1, dtype=torch.float32).to(query.dtype), 0.1, False), value)

    return attend


def swapped(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """An einsum with another order of axes, and the value first."""
    scores = torch.einsum("bhqd,bhkd->bqkh", query, key) / SIZE**0.5
    return torch.einsum("bkhd,bqkh->bqhd", value.transpose(1, 2), torch.softmax(scores, 2)).transpose(1, 2)


@pytest.mark.parametrize(
    "attend",
    [
        eager_attention(torch.matmul),
        eager_attention(lambda weights, value: weights @ value),
        eager_attention(lambda weights, value: torch.einsum("bhqk,bhkd->bhqd", weights, value)),
        swapped,
    ],
    ids=["matmul", "@", "einsum", "einsum in another order"],
)
def test_eager_attention_is_captured(attend: Callable[..., Tensor]) -> None:
    query, key, value = tensors()
    call, _ = captured(Attend(attend), query, key, value)
    assert call.route == EAGER
    for row in range(BATCH):
        attn_map, parity = attention_map(call, 0, "queries", "keys", row)
        assert np.abs(attn_map.weights - eager(query, key)[row].numpy()).max() < 1e-6 and parity < 1e-5


def test_inactive_dropout_and_a_cast_may_follow_the_softmax() -> None:
    query, key, value = tensors(dtype=torch.bfloat16)

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        weights = torch.softmax(query @ key.transpose(-2, -1) / SIZE**0.5, -1, dtype=torch.float32)
        return F.dropout(weights.to(value.dtype), 0.0, True) @ value

    call, _ = captured(Attend(attend), query, key, value)
    assert call.dtype == "bfloat16", "that of the product, not of the softmax"
    attn_map, _ = attention_map(call, 0, "queries", "keys")
    assert np.abs(attn_map.weights - eager(query, key)[0].numpy()).max() < 5e-3


def test_attention_with_active_dropout_is_refused() -> None:
    query, key, value = tensors()

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        torch.manual_seed(5)
        return F.dropout(torch.softmax(query @ key.transpose(-2, -1), -1), 0.5, True) @ value

    call, _ = captured(Attend(attend), query, key, value)
    with pytest.raises(CaptureError) as error:
        attention_map(call, 0, "queries", "keys")
    assert error.value.code == "capture-dropout"


def test_a_product_of_three_axes_that_a_module_is_called_with_has_its_samples_in_the_first() -> None:
    query, key, value = (tensor.flatten(0, 1) for tensor in tensors())
    module = Attend(lambda q, k, v: torch.bmm(torch.softmax(torch.bmm(q, k.transpose(1, 2)) / SIZE**0.5, -1), v))
    call, _ = captured(module, query, key, value)
    assert call.shape == (BATCH * HEADS, 1, QUERIES, KEYS)


@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_multi_head_attention_is_captured(need_weights: bool, batch_first: bool) -> None:
    torch.manual_seed(1)
    module = nn.MultiheadAttention(32, HEADS, batch_first=batch_first).eval()
    x, memory = torch.randn(BATCH, 7, 32), torch.randn(BATCH, 11, 32)
    padded = torch.arange(11) >= torch.tensor([11, 4])[:, None]
    inputs = [tensor if batch_first else tensor.transpose(0, 1) for tensor in (x, memory, memory)]
    call, (_, average) = captured(module, *inputs, key_padding_mask=padded, need_weights=need_weights)
    reference = module(*inputs, key_padding_mask=padded, need_weights=True, average_attn_weights=False)[1].detach()
    assert call.route == (EAGER if need_weights else SDPA_LSE)
    for row in range(BATCH):
        attn_map, _ = attention_map(call, 0, "queries", "keys", row)
        assert np.abs(attn_map.weights - reference[row].numpy()).max() < 1e-6
        if need_weights:
            assert np.abs(attn_map.weights.mean(0) - average[row].numpy()).max() < 1e-6
    assert float(LazyAttention(call, 1).full()[:, :, 4:].max()) == 0, "nothing attends to padding"


def test_a_transformer_encoder_is_captured_layer_by_layer() -> None:
    torch.manual_seed(2)
    layer = nn.TransformerEncoderLayer(32, HEADS, 64, batch_first=True)
    module = nn.TransformerEncoder(layer, 3, enable_nested_tensor=True).eval()
    x, padded = torch.randn(BATCH, 9, 32), torch.arange(9) >= torch.tensor([9, 5])[:, None]
    with torch.no_grad():
        plain = module(x, src_key_padding_mask=padded)
        with capture(module) as result:
            output = module(x, src_key_padding_mask=padded)
    calls = result.all_attention_calls
    # without capture torch takes its fast path, which computes in another order and leaves padding at zero
    assert torch.allclose(plain[~padded], output[~padded], atol=1e-5)
    assert [call.module for call in calls] == [f"layers.{k}.self_attn" for k in range(3)]
    states = x
    for number, (call, layer) in enumerate(zip(calls, module.layers, strict=True)):
        attend = layer.self_attn(states, states, states, key_padding_mask=padded, average_attn_weights=False)
        expected = attend[1].detach()
        attn_map, _ = attention_map(call, number, "tokens", "tokens", 1)
        assert np.abs(attn_map.weights - expected[1].numpy()).max() < 1e-5
        states = layer(states, src_key_padding_mask=padded)


@pytest.mark.parametrize("lse", [True, False])
def test_an_overview_is_the_mean_of_its_uneven_bins(lse: bool, request: pytest.FixtureRequest) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    request.addfinalizer(lambda: torch.set_num_threads(before))
    torch.manual_seed(3)
    query, key, value = (torch.randn(1, HEADS, 700, SIZE) for _ in range(3))
    size = SIZE if lse else SIZE // 2  # values of another size: a kernel that returns no log-sum-exp
    call, _ = captured(Attend(F.scaled_dot_product_attention), query, key, value[..., :size])
    assert (call.lse is not None) == lse
    rows, columns = [0, 1, 300, 700], [0, 256, 257, 600, 690, 700]
    overview = LazyAttention(call).overview(rows, columns)
    weights = eager(query, key)[0].numpy()
    for head in range(HEADS):
        for q in range(3):
            for k in range(5):
                part = weights[head, rows[q] : rows[q + 1], columns[k] : columns[k + 1]]
                assert abs(overview[head, q, k] - part.mean()) < 1e-6
    counts: list[int] = []
    other = threading.Thread(target=lambda: counts.append(torch.get_num_threads()), daemon=True)
    other.start()
    other.join(DEADLINE)
    assert counts == [2], "only the workers are limited to one thread"


@pytest.mark.parametrize("lse", [True, False])
def test_a_fully_masked_query_has_a_row_of_zeros(lse: bool) -> None:
    query, key, value = tensors()
    mask = torch.ones(QUERIES, KEYS, dtype=torch.bool)
    mask[3] = False
    value = value if lse else value[..., : SIZE // 2]  # a kernel that returns no log-sum-exp
    module = Attend(lambda *tensors: F.scaled_dot_product_attention(*tensors, attn_mask=mask))
    call, _ = captured(module, query, key, value)
    assert (call.lse is not None) == lse
    exact = LazyAttention(call)
    full, columns = exact.full(), exact.columns(range(KEYS), 0)
    assert np.isfinite(full).all() and full[:, 3].sum() == 0
    assert np.abs(full[:, 4] - eager(query, key)[0, :, 4].numpy()).max() < 3e-6
    assert np.abs(columns - full[0]).max() < 3e-6


def test_overwritten_tensors_are_refused() -> None:
    query, key, value = tensors()
    call, _ = captured(Attend(F.scaled_dot_product_attention), query, key, value)
    key[0, 0, 0] += 1
    with pytest.raises(CaptureError) as error:
        LazyAttention(call).rows([0], 0)
    assert error.value.code == "capture-changed"


@pytest.mark.slow
def test_threads_on_one_shared_model_do_not_mix() -> None:
    torch.manual_seed(4)
    module = nn.MultiheadAttention(32, HEADS, batch_first=True).eval()
    wrong: list[str] = []

    def work(number: int) -> None:
        generator = torch.Generator().manual_seed(number)
        for _ in range(60):
            x = torch.randn(1, 3 + number, 32, generator=generator)
            with torch.no_grad(), capture(module) as result:
                module(x, x, x, need_weights=False)
            calls = result.all_attention_calls
            if len(calls) != 1 or calls[0].shape != (1, HEADS, 3 + number, 3 + number):
                wrong.append(f"{number}: {[call.shape for call in calls]}")
            elif attention_map(calls[0], 0, "t", "t")[1] > 1e-5:
                wrong.append(f"{number}: parity")

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
        assert not thread.is_alive()
    assert wrong == []
    assert not module._forward_hooks and not module._forward_pre_hooks
