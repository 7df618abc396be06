"""Rollout and relevance of a few tokens, exact, beside the same from all weights at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mmviz
from mmviz.analysis.rollout import rollout
from mmviz.capture.flow import rollout_rows
from mmviz.types import CaptureError

SIZE, HEADS = 16, 2


class Layer(nn.Module):
    """Attention and a residual connection; ``route``: by which code."""

    def __init__(self, route: str):
        super().__init__()
        self.route = route
        self.parts = nn.Linear(SIZE, 3 * SIZE)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in (self.parts(x) * 3).chunk(3, -1)
        )
        causal = self.route == "causal"
        if self.route == "by hand":
            attn_output = (query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5).softmax(-1) @ value
        else:
            attn_output = F.scaled_dot_product_attention(query, key, value, is_causal=causal)
        return x + attn_output.transpose(1, 2).flatten(2)


def model(route: str, layers: int = 3) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(*(Layer(route) for _ in range(layers)))


def run(route: str, count: int, grad: bool = False) -> tuple[Any, Tensor]:
    x = torch.randn(2, count, SIZE, generator=torch.Generator().manual_seed(2))
    watched = model(route)
    with torch.set_grad_enabled(grad), mmviz.capture(watched) as seen:
        output = watched(x)
    return seen, output


@pytest.mark.parametrize("route", ["fused", "causal", "by hand"])
@pytest.mark.parametrize("count", [40, 700])
def test_rollout_of_a_few_tokens_is_that_of_all(route: str, count: int) -> None:
    seen, _ = run(route, count)
    maps = [seen.view(layer, batch=1).full() for layer in range(3)]
    full = rollout(maps)
    chosen = [0, 5, count - 1]
    assert np.abs(seen.rollout(chosen, batch=1) - full[chosen]).max() < 1e-6
    assert np.abs(seen.rollout(chosen, "to", batch=1) - full[:, chosen]).max() < 1e-6
    pooled = np.zeros((2, count))
    pooled[0, :10], pooled[1, 10:] = 1 / 10, 1 / (count - 10)
    found = rollout_rows([seen.view(layer, batch=1) for layer in range(3)], pooled)
    assert np.abs(found - pooled @ full).max() < 1e-6


def relevance_by_definition(seen: Any, logit: Tensor, batch: int) -> np.ndarray:
    """Chefer et al. 2021, equations 5 and 6, from weights that are in the graph."""
    weights = [heard.weights for heard in seen.everything]
    carried = np.eye(weights[0].shape[-1])
    for one, gradient in zip(weights, torch.autograd.grad(logit, weights, retain_graph=True), strict=True):
        mean = (one[batch] * gradient[batch]).clamp(min=0).mean(0).detach().double().numpy()
        carried = carried + mean @ carried
    return carried - np.eye(len(carried))


@pytest.mark.parametrize("count", [30, 600])
def test_relevance_through_fused_kernels_is_that_of_the_weights(count: int) -> None:
    by_hand, output = run("by hand", count, grad=True)
    expected = relevance_by_definition(by_hand, output[1, 0].square().sum(), 1)
    seen, fused = run("fused", count, grad=True)
    logit = fused[1, 0].square().sum()
    for one, of in ((seen, logit), (by_hand, output[1, 0].square().sum())):
        assert np.abs(one.relevance(of, [0, 7], batch=1) - expected[[0, 7]]).max() < 5e-5 * expected.max()
    if count == 30:
        assert np.abs(seen.relevance(logit, batch=1) - expected).max() < 5e-5 * expected.max()


def test_relevance_needs_gradients_of_the_same_run() -> None:
    seen, output = run("fused", 10)
    other, _ = run("fused", 10, grad=True)
    for one, logit in ((seen, output.sum()), (other, torch.ones((), requires_grad=True) * 2)):
        with pytest.raises(CaptureError) as refusal:
            one.relevance(logit, batch=0)
        assert refusal.value.code == "relevance-graph"


def test_queries_that_may_ask_nobody_stay_where_they_are() -> None:
    class Masked(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            mask = torch.ones(8, 8, dtype=torch.bool)
            mask[3] = False
            return x + F.scaled_dot_product_attention(x, x, x, attn_mask=mask)

    watched = nn.Sequential(Masked(), Masked())
    with torch.no_grad(), mmviz.capture(watched) as seen:
        watched(torch.randn(1, 2, 8, 4))
    full = rollout([seen.view(layer).full() for layer in range(2)])
    assert np.abs(seen.rollout(range(8)) - full).max() < 1e-6
    assert np.abs(seen.rollout(range(8), "to") - full).max() < 1e-6
    assert np.allclose(seen.rollout([3])[0], np.eye(8)[3])
