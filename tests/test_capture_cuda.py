"""Capture on a GPU: the kernels' own log-sum-exp, and the same answers as on a CPU. Skipped by name without one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_capture_routes import Attend, eager
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

import mmviz
from mmviz.capture.recorder import FUSED, FUSED_LSE

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU: torch sees none here")


def parts(dtype: torch.dtype, size: int = 64, count: int = 700) -> list[Tensor]:
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
def test_a_kernel_gives_its_log_sum_exp(backend: SDPBackend, dtype: torch.dtype, near: float, causal: bool) -> None:
    query, key, value = parts(dtype)
    model = Attend(lambda *given: F.scaled_dot_product_attention(*given, is_causal=causal))
    with torch.no_grad(), sdpa_kernel(backend):
        alone = model(query, key, value)
        with mmviz.capture(model) as seen:
            watched = model(query, key, value)
    assert torch.equal(alone, watched)
    (heard,) = seen.everything
    assert heard.route == FUSED_LSE
    expected = eager(query.cpu(), key.cpu(), causal=causal)[0].numpy()
    view = seen.view(0)
    assert np.abs(view.full() - expected).max() < near
    assert np.abs(view.columns([3, 600], 2) - expected[2][:, [3, 600]]).max() < near
    edges = [0, 100, 101, 512, 700]
    means = np.add.reduceat(np.add.reduceat(expected, edges[:-1], 1), edges[:-1], 2) / np.outer(*[np.diff(edges)] * 2)
    assert np.abs(view.overview(edges, edges) - means).max() < near
    assert len(seen.record().maps) == 1


@pytest.mark.parametrize(
    "options", [{"attn_mask": torch.arange(700) < 650}, {"attn_mask": torch.linspace(-2, 2, 700)}, {"enable_gqa": True}]
)
def test_what_a_kernel_keeps_to_itself_is_worked_out(options: dict[str, object]) -> None:
    query, key, value = parts(torch.float32, 20)
    if "enable_gqa" in options:
        key, value = key[:, :2], value[:, :2]
    given = {name: one.cuda().expand(700, 700) if isinstance(one, Tensor) else one for name, one in options.items()}
    model = Attend(lambda *tensors: F.scaled_dot_product_attention(*tensors, **given))
    with torch.no_grad(), mmviz.capture(model) as seen:
        model(query, key, value)
    assert seen.everything[0].route == FUSED
    mask = options.get("attn_mask")
    expected = eager(query.cpu(), key.cpu(), mask)[0].numpy()
    assert np.abs(seen.view(0).columns(range(700), 3) - expected[3]).max() < 3e-6
    assert seen.record().made_by["device"] == "cuda"


def test_relevance_and_rollout_run_where_the_model_ran() -> None:
    query, key, value = (one.requires_grad_() for one in parts(torch.float32))
    model = Attend(F.scaled_dot_product_attention)
    with mmviz.capture(model) as seen:
        logit = model(query, key, value).pow(2).sum()
    weights = eager(query.detach().cpu(), key.detach().cpu()).float().requires_grad_()
    (gradient,) = torch.autograd.grad((weights @ value.detach().cpu()).pow(2).sum(), weights)
    expected = (gradient * weights).clamp(min=0).mean(1)[0].detach().numpy()
    assert np.abs(seen.relevance(logit, [0, 9]) - expected[[0, 9]]).max() < 1e-4 * expected.max()
    assert seen.rollout([5]).sum() == pytest.approx(1, abs=1e-5)
