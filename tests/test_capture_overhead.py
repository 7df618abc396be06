"""Capture lets go of a model's tensors at once, and detects hidden attention without slowing what hides none."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from eager_attention import drawn
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import mmviz
from mmviz.capture.fused_kernel_detector import FusedKernelDetector, may_hide_attention

pytestmark = pytest.mark.slow

X = drawn(1, 2, 6, 4)


class Block(nn.Module):
    """A layer of attention between plain functions, then ``last``."""

    def __init__(self, last: Callable[[Tensor], Any] = lambda x: x) -> None:
        super().__init__()
        self.linear, self.norm, self.last = nn.Linear(4, 4), nn.LayerNorm(4), last

    def forward(self, x: Tensor) -> Any:
        query = self.linear(self.norm(x))
        output = F.scaled_dot_product_attention(query, query, query)
        scores = torch.einsum("bhqd,bhkd->bhqk", output, query).softmax(-1)
        return self.last(F.gelu(x + (scores @ query).mT.contiguous().mT))


@pytest.fixture
def dispatched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns the names of the operators that reach the detector."""
    names: list[str] = []
    dispatch = FusedKernelDetector.__torch_dispatch__

    def counted(self: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        names.append(str(func))
        return dispatch(self, func, types, args, kwargs)

    monkeypatch.setattr(FusedKernelDetector, "__torch_dispatch__", counted)
    return names


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_collector")
def test_tensors_are_let_go_of_with_the_result() -> None:
    for fails in (False, True):

        def last(x: Tensor, fails: bool = fails) -> Tensor:
            return x.no_such_method() if fails else x  # type: ignore[no-any-return]

        result: Any = None
        try:
            with mmviz.capture(model := Block(last)) as result:
                model(X)
        except AttributeError:
            assert fails
        values = [weakref.ref(call.value) for call in result.all_attention_calls]
        flow = weakref.ref(result._tracker.flow)
        assert len(values) == 2 and all(value() is not None for value in values)
        del result
        assert not any(value() is not None for value in values) and flow() is None


def test_no_operator_of_a_plain_function_reaches_the_detector(dispatched: list[str]) -> None:
    with mmviz.capture(model := Block()) as result:
        model(X)
    assert len(result.all_attention_calls) == 2 and not dispatched


@torch.library.custom_op("mmviz_tests::hidden_attention", mutates_args=())
def hidden_attention(x: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(x, x, x)


def kernel_modules(result: Any) -> list[str]:
    return [notice.parameters["module"] for notice in result.notices if notice.code == "uncaptured-kernel"]


class _Above(TorchDispatchMode):
    """A dispatch mode that a model enters itself."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def hidden_below_a_mode(x: Tensor) -> Tensor:
    with _Above():
        output: Tensor = hidden_attention(x + 1)
    return output


@pytest.mark.parametrize("last", [hidden_attention, hidden_below_a_mode])
def test_attention_in_an_operator_of_its_own_is_detected(last: Callable[[Tensor], Tensor]) -> None:
    model = Block(last)
    with torch.no_grad():
        plain = model(X)
        with mmviz.capture(model) as result:
            output = model(X)
    assert torch.equal(output, plain) and len(result.all_attention_calls) == 2
    assert kernel_modules(result) == ["Block"]


def test_detection_goes_on_after_a_function_that_fails(dispatched: list[str]) -> None:
    def last(x: Tensor) -> Tensor:
        with pytest.raises(RuntimeError):
            torch.matmul(x, x)
        output: Tensor = hidden_attention(x)
        return output

    with torch.no_grad(), mmviz.capture(model := Block(last)) as result:
        model(X)
        assert torch._C._len_torch_dispatch_stack() == 1
    assert torch._C._len_torch_dispatch_stack() == 0
    assert kernel_modules(result) == ["Block"] and dispatched


def own_linear(x: Tensor) -> Tensor:
    return x


def test_only_plain_functions_of_torch_are_trusted() -> None:
    for func in (F.linear, F.layer_norm, torch.einsum, Tensor.softmax, Tensor.mT.__get__, F.gumbel_softmax):
        assert not may_hide_attention(func, (Tensor, nn.Parameter))
    kernels = (F.scaled_dot_product_attention, torch._native_multi_head_attention, torch._masked_softmax)
    for func in (*kernels, torch.ops.aten.mm, torch.ops.aten.mm.default, own_linear):
        assert may_hide_attention(func, ())
    assert may_hide_attention(F.linear, (type("Packed", (Tensor,), {}),))
