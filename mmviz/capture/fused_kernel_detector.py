"""Detects fused attention operators that run without the recorder having called them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType, MethodWrapperType, WrapperDescriptorType
from typing import Any

from torch import Tensor, nn
from torch._C import (
    _get_dispatch_stack_at,
    _len_torch_dispatch_stack,
    _pop_torch_dispatch_stack,
    _push_on_torch_dispatch_stack,
)

from mmviz.capture.function_tables import SOFTMAXES
from mmviz.capture.module_tracker import ModuleTracker
from mmviz.capture.plain_torch_modes import is_backward
from mmviz.capture.quick_dispatch_mode import QuickDispatchMode

_KERNEL_NAME = re.compile(r"attention|_attn|multi_?head|transformer_encoder_layer|flash_fwd|flash_attn", re.IGNORECASE)
_SOFTMAX_NAME = re.compile(r"^aten\._(safe_|masked_)?softmax$")
"""The operators behind a softmax, which run by themselves only where no function mode sees it, as in scripted code."""
_C_FUNCTIONS = frozenset({BuiltinFunctionType, MethodDescriptorType, MethodWrapperType, WrapperDescriptorType})
_MODULES = {"torch.nn.functional", "torch.functional", "torch._tensor"}
"""Modules of torch whose functions in Python run nothing but operators of their own name and kind."""
_PLAIN_TENSORS = frozenset({Tensor, nn.Parameter})


class FusedKernelDetector(QuickDispatchMode):
    """Detects fused attention operators that run in this thread while it is not paused.

    A dispatch mode makes every operator several times as slow to call. So the recorder pauses it while it runs what the
    model called and works itself, unless attention may hide in that, see `may_hide_attention`.
    """

    def __init__(self, tracker: ModuleTracker):
        super().__init__()  # type: ignore[no-untyped-call]
        self.tracker = tracker
        self.kernels: dict[tuple[str, str], None] = {}
        """Module path and name of each operator, in order of the first run."""
        self._is_paused = False
        self._is_on_stack = True
        self._function = ""

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if not self._is_paused and _is_kernel(func) and self._is_the_models_own(func) and not is_backward():
            self.kernels[self.tracker.module, _name(func)] = None
        return func(*args, **(kwargs or {}))

    def _is_the_models_own(self, func: Any) -> bool:
        """Returns whether a selected module runs an operator, and not the softmax that the recorder sees."""
        is_seen = _SOFTMAX_NAME.search(_name(func)) and self._function in SOFTMAXES
        return self.tracker.is_selected and not is_seen

    def pause(self) -> bool:
        """Detects nothing until `resume`. Returns whether it was detecting before.

        It leaves the stack of dispatch modes, so that it costs nothing, unless the model entered another mode above it.
        """
        if self._is_paused:
            return False
        self._is_paused = True
        count = _len_torch_dispatch_stack()
        if count and _get_dispatch_stack_at(count - 1) is self:
            _pop_torch_dispatch_stack(None)
            self._is_on_stack = False
        return True

    def resume(self) -> None:
        """Detects again after `pause`."""
        if not self._is_on_stack:
            _push_on_torch_dispatch_stack(self)
            self._is_on_stack = True
        self._is_paused = False

    def run(self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Runs a function of the model while paused, and detects what it runs."""
        self.resume()
        self._function = getattr(func, "__name__", "")
        try:
            return func(*args, **kwargs)
        finally:
            self._function = ""
            self.pause()


def may_hide_attention(func: Callable[..., Any], types: Sequence[type]) -> bool:
    """Returns whether a function that a model calls may run fused attention or a softmax unseen by function modes.

    ``types``: the classes of its tensors that override functions. Torch's own functions on plain tensors do what their
    names say, so that only those named like attention may; any other function may, such as a custom operator.
    """
    kind = type(func)
    if kind not in _C_FUNCTIONS and (kind is not FunctionType or func.__module__ not in _MODULES):
        return True
    return not _PLAIN_TENSORS.issuperset(types) or _is_named_like_attention(func.__name__)


@lru_cache(maxsize=4096)
def _is_named_like_attention(name: str) -> bool:
    return bool(_KERNEL_NAME.search(name)) or ("softmax" in name and name not in SOFTMAXES)


@cache
def _is_kernel(func: Any) -> bool:
    return bool(_KERNEL_NAME.search(_name(func)) or _SOFTMAX_NAME.search(_name(func)))


def _name(func: Any) -> str:
    return str(getattr(func, "_overloadpacket", None) or getattr(func, "__name__", func))
