"""What lies between scores, their softmax and its product, each against weights written out in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from eager_attention import drawn  # first: it sets what transformers reads
from torch import Tensor, nn
from transformers import GptOssConfig, GptOssForCausalLM, MixtralConfig, MixtralForCausalLM

import mmviz
from mmviz import CaptureError
from mmviz.capture.recorder import GUMBEL

Attend = Callable[[Tensor], Tensor]
X = drawn(1, 2, 5, 4)
KEPT = torch.arange(5) < 3
ONE_SCORE, GATE = nn.Linear(4, 1), nn.Linear(4, 5)
LATENTS = nn.Parameter(drawn(3, 4))


class Mixer(nn.Module):
    """A module around a function, whose name promises nothing."""

    def __init__(self, attend: Attend) -> None:
        super().__init__()
        self.attend = attend

    def forward(self, x: Tensor) -> Tensor:
        return self.attend(x)


def captured(attend: Attend, x: Tensor = X) -> mmviz.capture.CaptureResult:
    """Returns the capture of a function inside a larger model, whose output must be the same to the bit."""
    model = nn.ModuleDict({"mixer": Mixer(attend)})
    torch.manual_seed(0)
    plain = model["mixer"](x)
    torch.manual_seed(0)
    with mmviz.capture(model) as result:
        assert torch.equal(model["mixer"](x), plain)
    return result


def scores(x: Tensor) -> Tensor:
    return x @ x.mT / 2


def softmax(values: Tensor, axis: int = -1) -> Tensor:
    exponents = (values.double() - values.double().amax(axis, keepdim=True)).exp()
    return exponents / exponents.sum(axis, keepdim=True)


PLAIN = softmax(scores(X))
CUT = PLAIN * KEPT
SLOTS = softmax(scores(X), -2)


@pytest.mark.parametrize(
    ("attend", "expected", "absorbed_by"),
    [
        (lambda x: F.softmin(-scores(x), -1) @ x, PLAIN, ""),
        (lambda x: scores(x).log_softmax(-1).exp() @ x, PLAIN, ""),
        (lambda x: torch.softmax(input=scores(x), dim=-1) @ x, PLAIN, ""),
        (lambda x: scores(x).softmax(-2).mT @ x, SLOTS.mT, ""),
        (lambda x: scores(x).permute(0, 2, 3, 1).softmax(2).permute(0, 3, 1, 2).contiguous() @ x, PLAIN, ""),
        (lambda x: (scores(x).softmax(-1) * KEPT) @ x, CUT, "mask"),
        (lambda x: torch.where(KEPT, scores(x).softmax(-1), 0.0) @ x, CUT, "mask"),
        (lambda x: (scores(x).softmax(-1) * torch.ones(2, 1, 1)) @ x, PLAIN, ""),
        (lambda x: renormalised(scores(x).softmax(-1) * KEPT) @ x, CUT / CUT.sum(-1, keepdim=True), ""),
        (lambda x: renormalised(scores(x).softmax(-2)) @ x, SLOTS / SLOTS.sum(-1, keepdim=True), ""),
        (lambda x: torch.cat([scores(x), x[..., :1]], -1).softmax(-1)[..., :-1] @ x,
         softmax(torch.cat([scores(X), X[..., :1]], -1))[..., :-1], "sink"),
        (lambda x: (torch.tanh(scores(x)) * 2).softmax(-1) @ x, softmax(torch.tanh(scores(X)) * 2), ""),
        (lambda x: (-torch.cdist(x, x)).softmax(-1) @ x, softmax(-torch.cdist(X, X)), ""),
        (lambda x: (x[..., :, None, :] * x[..., None, :, :]).sum(-1).softmax(-1) @ x, softmax(X @ X.mT), ""),
        (lambda x: torch.einsum("bhqk,bkd->bhqd", scores(x).softmax(-1), x[:, 0]), PLAIN, ""),
        (lambda x: torch.einsum("bhqk,bhkd->bhqd", [scores(x).softmax(-1), x]), PLAIN, ""),
        (lambda x: torch.einsum("bhkd,bhqk->bdqh", x, scores(x).softmax(-1)), PLAIN, ""),
        (lambda x: torch.mm(scores(x)[0, 0].softmax(-1), x[0, 0]), PLAIN[:, :1], ""),
        (lambda x: (LATENTS @ x.mT).softmax(-1) @ x, softmax(LATENTS.detach() @ X.mT), ""),
        (lambda x: ONE_SCORE(x).softmax(-2).mT @ x, softmax(ONE_SCORE(X).detach(), -2).mT, ""),
        (lambda x: torch.einsum("bhk,bhkd->bhd", ONE_SCORE(x)[..., 0].softmax(-1), x),
         softmax(ONE_SCORE(X).detach(), -2).mT, ""),
    ],
    ids=[
        "softmin", "exp of log_softmax", "softmax by name", "softmax over columns", "permuted", "multiplied by a mask",
        "where", "multiplied by ones", "masked and normalised anew", "slots", "sink", "soft cap", "distances",
        "sum of products", "values that heads share", "einsum of a list", "einsum in another order", "mm",
        "learned queries", "one score a token", "a single query",
    ],
)  # fmt: skip
def test_weights_are_those_that_the_product_used(attend: Attend, expected: Tensor, absorbed_by: str) -> None:
    record = captured(attend).record()
    (attn_map,) = record.maps
    np.testing.assert_allclose(attn_map.weights, expected[0].numpy(), atol=2e-6)
    assert attn_map.absorbed_by == absorbed_by and record.made_by["parity"] < 2e-6 and record.notices == ()


def renormalised(weights: Tensor) -> Tensor:
    return weights / (weights.sum(-1, keepdim=True) + 1e-12)


def test_what_baddbmm_adds_is_no_part_of_attention() -> None:
    attend: Attend = lambda x: torch.baddbmm(100 * x[0], scores(x)[0].softmax(-1), x[0], beta=0.5, alpha=2.0)  # noqa: E731
    result = captured(attend)
    record = result.record()
    np.testing.assert_allclose(record.maps[0].weights, PLAIN[0].numpy(), atol=2e-6)
    assert record.made_by["parity"] < 1e-4
    expected = (2 * PLAIN @ X.double())[0].numpy()
    np.testing.assert_allclose(result.all_attention_calls[0].attn_output[0].numpy(), expected, atol=1e-4)
    model = Mixer(attend)
    with mmviz.capture(model, ablate=[[(0, 1)]]):
        output = model(X)
    np.testing.assert_allclose(output[1], 50 * X[0, 1], rtol=1e-6)
    assert torch.equal(output[0], attend(X)[0])


@pytest.mark.parametrize("hard", [False, True])
def test_a_gumbel_softmax_is_recorded_as_what_it_is(hard: bool) -> None:
    record = captured(lambda x: F.gumbel_softmax(scores(x), hard=hard, dim=-1) @ x).record()
    torch.manual_seed(0)
    expected = F.gumbel_softmax(scores(X), hard=hard, dim=-1)[0]
    np.testing.assert_allclose(record.maps[0].weights, expected.numpy(), atol=2e-6)
    assert record.made_by["routes"] == [GUMBEL]


@torch.jit.script
def scripted_attention(x: Tensor) -> Tensor:
    return torch.softmax(x @ x.transpose(-2, -1), -1) @ x


@pytest.mark.parametrize(
    ("attend", "code", "words"),
    [
        (lambda x: (scores(x).softmax(-1) * 2) @ x, "map-rows", "sum to 1"),
        (scripted_attention, "capture-nothing", "aten._softmax"),
        (lambda x: F.relu(scores(x)) @ x, "capture-nothing", "relu"),
        (lambda x: torch.sigmoid(scores(x)) @ x, "capture-nothing", "sigmoid"),
        (lambda x: torch.einsum("bhqk,bhkd->bhqd", scores(x).exp(), x), "capture-nothing", "exp"),
        (lambda x: scores(x).softmax(-2) @ x, "capture-nothing", "softmax of shape"),
        (lambda x: (scores(x).softmax(-1)[..., None] * x[..., None, :, :]).sum(-2), "capture-nothing", "of shape"),
        (lambda x: x.softmax(-1) @ (x.softmax(-2).mT @ x), "capture-nothing", "no product of queries and keys"),
    ],
    ids=["above 1", "scripted", "relu", "sigmoid", "exp", "another axis", "no product", "features"],
)
def test_what_is_not_shown_is_named(attend: Attend, code: str, words: str) -> None:
    with pytest.raises(CaptureError) as error:
        captured(attend).record()
    assert error.value.code == code and words in str(error.value)


@pytest.mark.parametrize(
    "attend",
    [
        lambda x: GATE(x).softmax(-1) @ torch.ones(5, 4),
        lambda x: F.relu(GATE(x)) @ torch.ones(5, 4),
        lambda x: GATE(x).softmax(-1),
        lambda x: torch.sigmoid(GATE(x)) * x[..., :1],
    ],
    ids=["router", "layers", "classes", "gate"],
)
def test_what_is_no_attention_is_not_named(attend: Attend) -> None:
    assert captured(attend).notices == ()


def test_the_sinks_of_gpt_oss_take_a_share() -> None:
    torch.manual_seed(0)
    config = GptOssConfig(
        num_hidden_layers=2, hidden_size=32, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
        intermediate_size=16, num_local_experts=4, num_experts_per_tok=2, vocab_size=50, sliding_window=4,
        layer_types=["sliding_attention", "full_attention"],
    )  # fmt: skip
    model = GptOssForCausalLM(config).eval()
    model.set_attn_implementation("eager")
    with torch.no_grad(), mmviz.capture(model) as result:
        eager = model(torch.arange(3, 10)[None], output_attentions=True).attentions
    record = result.record()
    assert [attn_map.absorbed_by for attn_map in record.maps] == ["sink", "sink"]
    for attn_map, weights in zip(record.maps, eager, strict=True):
        np.testing.assert_allclose(attn_map.weights, weights[0].numpy(), atol=2e-6)
        assert attn_map.weights.sum(-1).max() < 0.999
    assert record.notices == ()


def test_routers_of_experts_are_neither_shown_nor_named() -> None:
    torch.manual_seed(0)
    config = MixtralConfig(
        num_hidden_layers=2, hidden_size=32, num_attention_heads=4, num_key_value_heads=2, intermediate_size=16,
        num_local_experts=4, vocab_size=50,
    )  # fmt: skip
    model = MixtralForCausalLM(config).eval()
    with torch.no_grad(), mmviz.capture(model) as result:
        model(torch.arange(3, 10)[None])
    record = result.record()
    assert len(record.maps) == 2 and record.notices == ()
