"""Every way in which a module may compute attention is heard, exactly, and the module answers the same."""

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
from mmviz.capture.recorder import BY_HAND, FUSED_LSE
from mmviz.types import CaptureError

BATCH, HEADS, QUERIES, KEYS, SIZE = 2, 4, 37, 53, 16


def eager(
    query: Tensor, key: Tensor, mask: Tensor | None = None, causal: bool = False, scale: float | None = None
) -> Tensor:
    """The weights as in the definition, in float64."""
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


def heard_of(module: nn.Module, *given: Any, **named: Any) -> tuple[AttentionCall, Any]:
    """The only attention of a module, whose output must be what it is when nobody listens, to the bit."""
    with torch.no_grad():
        alone = module(*given, **named)
        with capture(module) as seen:
            watched = module(*given, **named)
        heard = seen.everything
    first, other = (one[0] if isinstance(one, tuple) else one for one in (alone, watched))
    assert torch.equal(first, other)
    (one,) = heard
    return one, watched


PADDING = torch.arange(KEYS) < torch.tensor([KEYS, 20])[:, None]  # the second row of the batch is short
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
def test_a_fused_kernel_is_read_exactly(options: dict[str, Any], reference: dict[str, Any], kv_heads: int) -> None:
    query, key, value = tensors(kv_heads)
    grouped = {"enable_gqa": True} if kv_heads < HEADS else {}
    module = Attend(lambda *given: F.scaled_dot_product_attention(*given, **options, **grouped))
    heard, _ = heard_of(module, query, key, value)
    assert heard.route == FUSED_LSE
    expected = eager(query, key, **reference).numpy()
    for row in range(BATCH):
        found, parity = attention_map(heard, 0, "queries", "keys", row)
        assert np.abs(found.weights - expected[row]).max() < 3e-6 and parity < 1e-5
        exact = LazyAttention(heard, row)
        assert np.abs(exact.rows([5, 0, 36], 1) - expected[row, 1][[5, 0, 36]]).max() < 3e-6
        assert np.abs(exact.columns([52, 3], 2) - expected[row, 2][:, [52, 3]]).max() < 3e-6
        assert np.abs(exact.zoom(range(4, 10), range(10, 31), 3) - expected[row, 3][4:9, 10:30]).max() < 3e-6


@pytest.mark.parametrize(("dtype", "near"), [(torch.bfloat16, 5e-5), (torch.float16, 5e-5)])
def test_half_precision_is_read_in_full(dtype: torch.dtype, near: float) -> None:
    query, key, value = tensors(dtype=dtype)
    heard, _ = heard_of(Attend(F.scaled_dot_product_attention), query, key, value)
    found, _ = attention_map(heard, 0, "queries", "keys")
    assert np.abs(found.weights - eager(query, key)[0].numpy()).max() < near
    assert found.dtype == str(dtype).removeprefix("torch.")


def test_autocast_is_seen_as_it_computes() -> None:
    query, key, value = tensors()
    with torch.autocast("cpu", torch.bfloat16):
        heard, output = heard_of(Attend(F.scaled_dot_product_attention), query, key, value)
    assert output.dtype == torch.bfloat16 and heard.dtype == "bfloat16"
    assert (
        np.abs(attention_map(heard, 0, "q", "k")[0].weights - eager(query.bfloat16(), key.bfloat16())[0].numpy()).max()
        < 5e-5
    )


def test_gradients_flow_while_it_is_heard() -> None:
    query, key, value = (one.requires_grad_() for one in tensors())
    module = Attend(F.scaled_dot_product_attention)
    expected = torch.autograd.grad(module(query, key, value).sum(), [query, key, value])
    with capture(module) as seen:
        found = torch.autograd.grad(module(query, key, value).sum(), [query, key, value])
    heard = seen.everything
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert heard[0].route == FUSED_LSE
    with pytest.raises(CaptureError) as refusal:
        relevance(query.sum(), heard)
    assert refusal.value.code == "relevance-graph"


def test_relevance_through_a_fused_kernel_is_that_of_the_weights_it_hides() -> None:
    query, key, value = (one[..., :QUERIES, :].requires_grad_() for one in tensors())
    with capture(Attend(F.scaled_dot_product_attention)) as seen:
        logit = seen.model(query, key, value).pow(2).sum()
    weights = eager(query, key).float()
    (gradient,) = torch.autograd.grad((weights @ value).pow(2).sum(), weights)
    expected = (gradient * weights).clamp(min=0).mean(1).detach().numpy()
    for batch in range(BATCH):
        found = relevance(logit, seen.everything, batch)
        assert np.abs(found - expected[batch]).max() < 1e-5 * expected.max()


def by_hand_of(product: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        scores = query @ key.transpose(-2, -1) / SIZE**0.5
        return product(F.dropout(scores.softmax(-1, dtype=torch.float32).to(query.dtype), 0.1, False), value)

    return attend


def swapped(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Another order of axes, and the value first."""
    scores = torch.einsum("bhqd,bhkd->bqkh", query, key) / SIZE**0.5
    return torch.einsum("bkhd,bqkh->bqhd", value.transpose(1, 2), torch.softmax(scores, 2)).transpose(1, 2)


@pytest.mark.parametrize(
    "attend",
    [
        by_hand_of(torch.matmul),
        by_hand_of(lambda weights, value: weights @ value),
        by_hand_of(lambda weights, value: torch.einsum("bhqk,bhkd->bhqd", weights, value)),
        swapped,
    ],
    ids=["matmul", "@", "einsum", "einsum in another order"],
)
def test_attention_by_hand_is_heard(attend: Callable[..., Tensor]) -> None:
    query, key, value = tensors()
    heard, _ = heard_of(Attend(attend), query, key, value)
    assert heard.route == BY_HAND
    for row in range(BATCH):
        found, parity = attention_map(heard, 0, "queries", "keys", row)
        assert np.abs(found.weights - eager(query, key)[row].numpy()).max() < 1e-6 and parity < 1e-5


def test_dropout_and_another_dtype_may_lie_between() -> None:
    query, key, value = tensors(dtype=torch.bfloat16)

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        weights = torch.softmax(query @ key.transpose(-2, -1) / SIZE**0.5, -1, dtype=torch.float32)
        return F.dropout(weights.to(value.dtype), 0.0, True) @ value

    heard, _ = heard_of(Attend(attend), query, key, value)
    assert heard.dtype == "bfloat16", "what was multiplied, not what the softmax gave"
    found, _ = attention_map(heard, 0, "queries", "keys")
    assert np.abs(found.weights - eager(query, key)[0].numpy()).max() < 5e-3


def test_weights_that_were_dropped_are_heard_and_refused() -> None:
    query, key, value = tensors()

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        torch.manual_seed(5)
        return F.dropout(torch.softmax(query @ key.transpose(-2, -1), -1), 0.5, True) @ value

    heard, _ = heard_of(Attend(attend), query, key, value)
    with pytest.raises(CaptureError) as refusal:
        attention_map(heard, 0, "queries", "keys")
    assert refusal.value.code == "capture-dropout"


def test_a_product_of_three_dimensions_has_its_heads_in_the_first() -> None:
    query, key, value = (one.flatten(0, 1) for one in tensors())
    module = Attend(lambda q, k, v: torch.bmm(torch.softmax(torch.bmm(q, k.transpose(1, 2)) / SIZE**0.5, -1), v))
    heard, _ = heard_of(module, query, key, value)
    assert heard.shape == (1, BATCH * HEADS, QUERIES, KEYS)


@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_multi_head_attention_is_heard_inside(need_weights: bool, batch_first: bool) -> None:
    torch.manual_seed(1)
    module = nn.MultiheadAttention(32, HEADS, batch_first=batch_first).eval()
    x, memory = torch.randn(BATCH, 7, 32), torch.randn(BATCH, 11, 32)
    padded = torch.arange(11) >= torch.tensor([11, 4])[:, None]
    given = [one if batch_first else one.transpose(0, 1) for one in (x, memory, memory)]
    heard, (_, average) = heard_of(module, *given, key_padding_mask=padded, need_weights=need_weights)
    reference = module(*given, key_padding_mask=padded, need_weights=True, average_attn_weights=False)[1].detach()
    assert heard.route == (BY_HAND if need_weights else FUSED_LSE)
    for row in range(BATCH):
        found, _ = attention_map(heard, 0, "queries", "keys", row)
        assert np.abs(found.weights - reference[row].numpy()).max() < 1e-6
        if need_weights:
            assert np.abs(found.weights.mean(0) - average[row].numpy()).max() < 1e-6
    assert float(LazyAttention(heard, 1).full()[:, :, 4:].max()) == 0, "what is padded gets nothing"


def test_a_transformer_encoder_is_heard_layer_by_layer() -> None:
    torch.manual_seed(2)
    layer = nn.TransformerEncoderLayer(32, HEADS, 64, batch_first=True)
    module = nn.TransformerEncoder(layer, 3, enable_nested_tensor=True).eval()
    x, padded = torch.randn(BATCH, 9, 32), torch.arange(9) >= torch.tensor([9, 5])[:, None]
    with torch.no_grad():
        alone = module(x, src_key_padding_mask=padded)
        with capture(module) as seen:
            watched = module(x, src_key_padding_mask=padded)
        heard = seen.everything
    # without a listener torch takes its fast path, which computes in another order and leaves padding at zero
    assert torch.allclose(alone[~padded], watched[~padded], atol=1e-5)
    assert [one.module for one in heard] == [f"layers.{k}.self_attn" for k in range(3)]
    seen = x
    for number, (one, part) in enumerate(zip(heard, module.layers, strict=True)):
        expected = part.self_attn(seen, seen, seen, key_padding_mask=padded, average_attn_weights=False)[1].detach()
        found, _ = attention_map(one, number, "tokens", "tokens", 1)
        assert np.abs(found.weights - expected[1].numpy()).max() < 1e-5
        seen = part(seen, src_key_padding_mask=padded)


@pytest.mark.parametrize("lse", [True, False])
def test_an_overview_is_the_mean_of_its_uneven_bins(lse: bool, request: pytest.FixtureRequest) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    request.addfinalizer(lambda: torch.set_num_threads(before))
    torch.manual_seed(3)
    query, key, value = (torch.randn(1, HEADS, 700, SIZE) for _ in range(3))
    size = SIZE if lse else SIZE // 2  # values of another size: a kernel that keeps the sums to itself
    heard, _ = heard_of(Attend(F.scaled_dot_product_attention), query, key, value[..., :size])
    assert (heard.lse is not None) == lse
    rows, columns = [0, 1, 300, 700], [0, 256, 257, 600, 690, 700]
    found = LazyAttention(heard).overview(rows, columns)
    weights = eager(query, key)[0].numpy()
    for head in range(HEADS):
        for q in range(3):
            for k in range(5):
                part = weights[head, rows[q] : rows[q + 1], columns[k] : columns[k + 1]]
                assert abs(found[head, q, k] - part.mean()) < 1e-6
    seen: list[int] = []
    other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    other.start()
    other.join()
    assert seen == [2], "the workers' one thread is theirs alone"


@pytest.mark.parametrize("lse", [True, False])
def test_a_query_that_may_ask_nobody_gives_nothing(lse: bool) -> None:
    query, key, value = tensors()
    mask = torch.ones(QUERIES, KEYS, dtype=torch.bool)
    mask[3] = False
    value = value if lse else value[..., : SIZE // 2]  # a kernel that keeps the sums to itself
    module = Attend(lambda *given: F.scaled_dot_product_attention(*given, attn_mask=mask))
    heard, _ = heard_of(module, query, key, value)
    assert (heard.lse is not None) == lse
    exact = LazyAttention(heard)
    full, columns = exact.full(), exact.columns(range(KEYS), 0)
    assert np.isfinite(full).all() and full[:, 3].sum() == 0
    assert np.abs(full[:, 4] - eager(query, key)[0, :, 4].numpy()).max() < 3e-6
    assert np.abs(columns - full[0]).max() < 3e-6


def test_what_was_written_over_is_refused() -> None:
    query, key, value = tensors()
    heard, _ = heard_of(Attend(F.scaled_dot_product_attention), query, key, value)
    key[0, 0, 0] += 1
    with pytest.raises(CaptureError) as refusal:
        LazyAttention(heard).rows([0], 0)
    assert refusal.value.code == "capture-changed"


def test_threads_on_one_shared_model_do_not_mix() -> None:
    torch.manual_seed(4)
    module = nn.MultiheadAttention(32, HEADS, batch_first=True).eval()
    wrong: list[str] = []

    def work(number: int) -> None:
        generator = torch.Generator().manual_seed(number)
        for _ in range(60):
            x = torch.randn(1, 3 + number, 32, generator=generator)
            with torch.no_grad(), capture(module) as seen:
                module(x, x, x, need_weights=False)
            heard = seen.everything
            if len(heard) != 1 or heard[0].shape != (1, HEADS, 3 + number, 3 + number):
                wrong.append(f"{number}: {[one.shape for one in heard]}")
            elif attention_map(heard[0], 0, "t", "t")[1] > 1e-5:
                wrong.append(f"{number}: parity")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert not module._forward_hooks and not module._forward_pre_hooks
