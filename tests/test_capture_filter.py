"""Capture restricted to some modules: only and exclude patterns, of `mmviz.capture` and of a custom model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from eager_attention import KernelAttention, LinearAttention
from torch import Tensor, nn

import mmviz
from mmviz import CaptureError, Request

X = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(0))


class Router(nn.Module):
    """Chooses experts as attention to three learned keys, a stream of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.experts = nn.Linear(8, 8), nn.Parameter(torch.eye(3, 8))

    def forward(self, x: Tensor) -> Tensor:
        experts = self.gate(self.experts) + x.mean(1, keepdim=True)
        return (x @ experts.mT).softmax(-1) @ experts


class SumAttention(nn.Module):
    """A softmax that feeds no matrix product."""

    def forward(self, x: Tensor) -> Tensor:
        return ((x @ x.mT).softmax(-1)[..., None] * x[:, None]).sum(-2)


class Model(nn.Module):
    """Two layers of attention, a router, and attention that cannot be captured."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.vision, self.text = (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True) for _ in range(2))
        self.moe = nn.ModuleDict({"router": Router()})
        self.other = nn.ModuleList([KernelAttention(), LinearAttention(), SumAttention()])

    def forward(self, x: Tensor) -> Tensor:
        x = self.text(self.vision(x))
        x = x + self.moe["router"](x)
        for module in self.other:
            x = x + module(x)
        return x[:, 0, :2]


VISION, TEXT, ROUTER = "vision.self_attn", "text.self_attn", "moe.router"


def captured(
    only: str | Sequence[str] = (), exclude: str | Sequence[str] = (), **options: object
) -> mmviz.capture.CaptureResult:
    with torch.no_grad(), mmviz.capture(Model().eval(), only=only, exclude=exclude, **options) as result:
        result.model(X)
    return result


def modules_of(result: mmviz.capture.CaptureResult) -> list[str]:
    return [call.module for call in result.all_attention_calls]


@pytest.mark.parametrize(
    ("only", "exclude", "modules"),
    [
        ((), (), [VISION, TEXT, ROUTER]),
        ((), "*.router", [VISION, TEXT]),
        ((), ["moe"], [VISION, TEXT]),
        ((), "*router*", [VISION, TEXT]),
        ("vision", (), [VISION]),
        ("vision.*", (), [VISION]),
        (["*.self_attn"], (), [VISION, TEXT]),
        (["*.self_attn", "moe"], "text.self_attn", [VISION, ROUTER]),
    ],
)
def test_only_selected_modules_are_recorded(
    only: str | Sequence[str], exclude: str | Sequence[str], modules: list[str]
) -> None:
    assert modules_of(captured(only, exclude)) == modules


def test_attention_that_is_not_selected_is_not_named_as_uncaptured() -> None:
    everything = captured().notices
    assert {notice.parameters["module"] for notice in everything} == {"other.0", "other.1", "other.2"}
    assert {notice.parameters["module"] for notice in captured(exclude="other.1").notices} == {"other.0", "other.2"}
    assert captured(exclude="other").notices == () == captured(only="*.self_attn").notices


def test_an_excluded_router_takes_no_part_in_rollout() -> None:
    without = captured(exclude=["other", "*.router"]).rollout(range(5))
    np.testing.assert_allclose(without.sum(1), 1, atol=1e-6)
    rows = captured(exclude="other").rollout([0])  # the keys of the router hold the mean of all tokens
    np.testing.assert_allclose(rows[0], (without[0] + without.mean(0)) / 2, atol=1e-6)


def test_excluded_modules_are_neither_replaced_nor_counted_in_ablation() -> None:
    def uniform(weights: Tensor) -> Tensor:
        return torch.full_like(weights, 1 / weights.shape[-1])

    with torch.no_grad():
        model = Model().eval()
        with mmviz.capture(model, exclude="vision", replace=uniform):
            output = model(X)
        with mmviz.capture(model, exclude=["vision", "moe"], replace=uniform):
            without_router = model(X)
    plain, replaced = captured(exclude="other", replace=uniform), captured(exclude=["vision", "other"], replace=uniform)
    assert np.allclose(plain.view(VISION).full(), 1 / 5) and np.allclose(replaced.view(TEXT).full(), 1 / 5)
    assert not torch.allclose(output, without_router, atol=1e-5), "the excluded router keeps its weights"
    first = captured(exclude="vision", ablate=[[(0, 1)]]).all_attention_calls[0]
    assert first.module == TEXT and first.ablated_heads is not None


@pytest.mark.parametrize("options", [{"only": "visoin.*"}, {"exclude": ["*.router", "visoin.*"]}])
def test_a_pattern_that_matches_no_module_is_refused_with_module_paths(options: dict[str, object]) -> None:
    with pytest.raises(CaptureError) as error, mmviz.capture(Model(), **options):
        pass
    assert error.value.code == "capture-pattern" and error.value.parameters["pattern"] == "visoin.*"
    assert "vision.norm1" in str(error.value) and "…" in str(error.value)


def custom(**options: object) -> mmviz.CustomModel:
    return mmviz.CustomModel(Model(), lambda sample: (X, list("abcde")), ["yes", "no"], **options)


@pytest.mark.parametrize("request_options", [{}, {"sweep": ((mmviz.types.AblateHead(0, 1),),)}])
def test_a_custom_model_passes_its_patterns_to_capture(request_options: dict[str, object]) -> None:
    model = custom(only=["*.self_attn", "moe"], exclude="*.router")
    backend = mmviz.LocalBackend("cpu", {"own": model})
    (record,) = backend.run([Request("own", mmviz.make_sample(text="a"), **request_options)])
    assert [attn_map.name for attn_map in record.maps] == [VISION, TEXT] and record.notices == ()
    findings = backend.model_checks("own", mmviz.make_sample(text="a"))
    checks, notices = findings["modules"], findings["notices"]
    assert [check["module"] for check in checks] == [VISION, TEXT] and notices == []


def test_heads_of_a_custom_model_are_ablated_only_in_selected_modules() -> None:
    backend = mmviz.LocalBackend("cpu", {"own": custom(only="text"), "all": custom(exclude="other")})
    sample = mmviz.make_sample(text="a")
    by_filter, by_number = (
        backend.run([Request(name, sample, sweep=((mmviz.types.AblateHead(number, 1),),), maps=False)])[0]
        for name, number in (("own", 0), ("all", 1))
    )
    np.testing.assert_allclose(by_filter.sweep, by_number.sweep, atol=1e-6)
