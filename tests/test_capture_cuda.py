"""Capture on a GPU: the kernels' own log-sum-exp, and the same results as on a CPU. Skipped without one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_capture_routes import Attend, eager
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

import mmviz
from mmviz.capture.blocked_pairs import BlockedPairs
from mmviz.capture.recorder import SDPA, SDPA_LSE

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU: torch sees none here")


def tensors(dtype: torch.dtype, size: int = 64, count: int = 700) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, 4, count, size, generator=generator).to("cuda", dtype) for _ in range(3)]


@pytest.mark.parametrize(
    ("backend", "dtype", "near"),
    [
        (SDPBackend.FLASH_ATTENTION, torch.float16, 5e-5),
        (SDPBackend.FLASH_ATTENTION, torch.bfloat16, 5e-5),
        (SDPBackend.EFFICIENT_ATTENTION, torch.float32, 3e-6),
        (SDPBackend.EFFICIENT_ATTENTION, torch.float16, 5e-5),
    ],
)
@pytest.mark.parametrize("causal", [False, True])
def test_a_kernel_returns_its_log_sum_exp(backend: SDPBackend, dtype: torch.dtype, near: float, causal: bool) -> None:
    query, key, value = tensors(dtype)
    model = Attend(lambda *inputs: F.scaled_dot_product_attention(*inputs, is_causal=causal))
    with torch.no_grad(), sdpa_kernel(backend):
        plain = model(query, key, value)
        with mmviz.capture(model) as result:
            output = model(query, key, value)
    assert torch.equal(plain, output)
    (call,) = result.all_attention_calls
    assert call.route == SDPA_LSE
    expected = eager(query.cpu(), key.cpu(), causal=causal)[0].numpy()
    view = result.view(0)
    assert np.abs(view.full() - expected).max() < near
    assert np.abs(view.columns([3, 600], 2) - expected[2][:, [3, 600]]).max() < near
    edges = [0, 100, 101, 512, 700]
    means = np.add.reduceat(np.add.reduceat(expected, edges[:-1], 1), edges[:-1], 2) / np.outer(*[np.diff(edges)] * 2)
    assert np.abs(view.overview(edges, edges) - means).max() < near
    assert len(result.record().maps) == 1


@pytest.mark.parametrize(
    "options", [{"attn_mask": torch.arange(700) < 650}, {"attn_mask": torch.linspace(-2, 2, 700)}, {"enable_gqa": True}]
)
def test_masks_and_grouped_queries_are_exact(options: dict[str, object]) -> None:
    query, key, value = tensors(torch.float32, 20)
    if "enable_gqa" in options:
        key, value = key[:, :2], value[:, :2]
    kwargs = {
        name: option.cuda().expand(700, 700) if isinstance(option, Tensor) else option
        for name, option in options.items()
    }
    model = Attend(lambda *inputs: F.scaled_dot_product_attention(*inputs, **kwargs))
    with torch.no_grad(), mmviz.capture(model) as result:
        model(query, key, value)
    # torch pads the size of a head, and has no kernel of grouped queries in float32
    assert result.all_attention_calls[0].route == (SDPA if "enable_gqa" in options else SDPA_LSE)
    mask = options.get("attn_mask")
    expected = eager(query.cpu(), key.cpu(), mask)[0].numpy()
    assert np.abs(result.view(0).columns(range(700), 3) - expected[3]).max() < 3e-6
    assert result.record().made_by["device"] == "cuda"


def test_relevance_and_rollout_run_where_the_model_ran() -> None:
    query, key, value = (tensor.requires_grad_() for tensor in tensors(torch.float32))
    model = Attend(F.scaled_dot_product_attention)
    with mmviz.capture(model) as result:
        logit = model(query, key, value).pow(2).sum()
    weights = eager(query.detach().cpu(), key.detach().cpu()).float().requires_grad_()
    (gradient,) = torch.autograd.grad((weights @ value.detach().cpu()).pow(2).sum(), weights)
    expected = (gradient * weights).clamp(min=0).mean(1)[0].detach().numpy()
    assert np.abs(result.relevance(logit, [0, 9]) - expected[[0, 9]]).max() < 1e-4 * expected.max()
    assert result.rollout([5]).sum() == pytest.approx(1, abs=1e-5)


def by_hand(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return (query @ key.mT / 8).softmax(-1) @ value


@pytest.mark.parametrize("attend", [F.scaled_dot_product_attention, by_hand])
def test_pairs_are_blocked_as_on_a_cpu(attend: Callable[..., Tensor]) -> None:
    model, inputs = Attend(attend), tensors(torch.float32)
    pairs = torch.rand(1, 1, 700, 700, generator=torch.Generator().manual_seed(1)) < 0.3
    pairs[0, :, 5] = True
    with torch.no_grad(), mmviz.capture(model) as result:
        model(*inputs)
    block = {result.all_attention_calls[0].place: BlockedPairs(pairs)}
    records: list[mmviz.AttentionRecord] = []
    outputs: list[Tensor] = []
    for device in ("cuda", "cpu"):
        with torch.no_grad(), mmviz.capture(model, block=block) as result:
            outputs.append(model(*(part.to(device) for part in inputs)).cpu())
        records.append(result.record())
    torch.testing.assert_close(outputs[0], outputs[1], atol=2e-6, rtol=0)
    assert not outputs[0][:, :, 5].any() and records[0].made_by["parity"] < 1e-4
