"""Rollout and relevance of a few tokens, exact, compared with those from all weights at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

import mmviz
from mmviz.analysis.rollout import rollout
from mmviz.capture.call_rollout_relevance import one_stream
from mmviz.capture.joint_rollout import rollout_rows
from mmviz.types import CaptureError

SIZE, HEADS = 16, 2


class Layer(nn.Module):
    """Attention with a residual connection; ``route`` is "eager", "fused" or "causal"."""

    def __init__(self, route: str):
        super().__init__()
        self.route = route
        self.qkv = nn.Linear(SIZE, 3 * SIZE)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in (self.qkv(x) * 3).chunk(3, -1))
        if self.route == "eager":
            attn_output = (query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5).softmax(-1) @ value
        else:
            attn_output = F.scaled_dot_product_attention(query, key, value, is_causal=self.route == "causal")
        return x + attn_output.transpose(1, 2).flatten(2)


def run(route: str, tokens: int, grad: bool = False) -> tuple[Any, Tensor]:
    """Returns the capture and the output of three layers over two samples."""
    x = torch.randn(2, tokens, SIZE, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(1)
    model = nn.Sequential(*(Layer(route) for _ in range(3)))
    with torch.set_grad_enabled(grad), mmviz.capture(model) as result:
        output = model(x)
    return result, output


@pytest.mark.parametrize("route", ["fused", "causal", "eager"])
@pytest.mark.parametrize("count", [40, 700])
def test_rollout_of_a_few_tokens_is_part_of_the_full_rollout(route: str, count: int) -> None:
    result, _ = run(route, count)
    full = rollout([result.view(layer, batch=1).full() for layer in range(3)])
    tokens = [0, 5, count - 1]
    assert np.abs(result.rollout(tokens, batch=1) - full[tokens]).max() < 1e-6
    assert np.abs(result.rollout(tokens, "to", batch=1) - full[:, tokens]).max() < 1e-6
    pooled = np.zeros((2, count))
    pooled[0, :10], pooled[1, 10:] = 1 / 10, 1 / (count - 10)
    system = one_stream([result.view(layer, batch=1) for layer in range(3)])
    rows = rollout_rows(system, torch.from_numpy(pooled).float(), 0, 0).numpy()
    assert np.abs(rows - pooled @ full).max() < 1e-6


def relevance_by_definition(result: Any, logit: Tensor, batch: int) -> NDArray[np.float64]:
    """Chefer et al. 2021, equations 5 and 6, from weights that are in the graph."""
    layer_weights = [call.weights for call in result.all_attention_calls]
    relevance = np.eye(layer_weights[0].shape[-1])
    gradients = torch.autograd.grad(logit, layer_weights, retain_graph=True)
    for weights, gradient in zip(layer_weights, gradients, strict=True):
        mean = (weights[batch] * gradient[batch]).clamp(min=0).mean(0).detach().double().numpy()
        relevance = relevance + mean @ relevance
    return relevance - np.eye(len(relevance))


@pytest.mark.parametrize("count", [30, 600])
def test_relevance_through_fused_kernels_is_that_of_the_weights(count: int) -> None:
    eager, eager_output = run("eager", count, grad=True)
    eager_logit = eager_output[1, 0].square().sum()
    expected = relevance_by_definition(eager, eager_logit, 1)
    fused, fused_output = run("fused", count, grad=True)
    fused_logit = fused_output[1, 0].square().sum()
    for result, logit in ((fused, fused_logit), (eager, eager_logit)):
        assert np.abs(result.relevance(logit, [0, 7], batch=1) - expected[[0, 7]]).max() < 5e-5 * expected.max()
    if count == 30:
        assert np.abs(fused.relevance(fused_logit, batch=1) - expected).max() < 5e-5 * expected.max()


def test_relevance_needs_gradients_of_the_same_run() -> None:
    without_grad, output = run("fused", 10)
    with_grad, _ = run("fused", 10, grad=True)
    unrelated = torch.ones((), requires_grad=True) * 2
    for result, logit in ((without_grad, output.sum()), (with_grad, unrelated)):
        with pytest.raises(CaptureError) as error:
            result.relevance(logit, batch=0)
        assert error.value.code == "relevance-graph"


def test_rollout_leaves_fully_masked_queries_where_they_are() -> None:
    class Masked(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            mask = torch.ones(8, 8, dtype=torch.bool)
            mask[3] = False
            return x + F.scaled_dot_product_attention(x, x, x, attn_mask=mask)

    model = nn.Sequential(Masked(), Masked())
    with torch.no_grad(), mmviz.capture(model) as result:
        model(torch.randn(1, 2, 8, 4))
    full = rollout([result.view(layer).full() for layer in range(2)])
    assert np.abs(result.rollout(range(8)) - full).max() < 1e-6
    assert np.abs(result.rollout(range(8), "to") - full).max() < 1e-6
    assert np.allclose(result.rollout([3])[0], np.eye(8)[3])
