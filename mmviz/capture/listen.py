"""A context that hears every softmax whose output feeds a matrix product, and knows in which module it happened.

The watched model is not changed: functions are seen through a `TorchFunctionMode` of this thread alone, module names
come from hooks that are gone when the context ends, also after an exception.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mmviz.types import CaptureError

ROUTE = "softmax feeding a matrix product"
_SOFTMAX: set[Callable[..., Any]] = {torch.softmax, torch.nn.functional.softmax, Tensor.softmax}
_PRODUCT: set[Callable[..., Any]] = {torch.matmul, torch.bmm, Tensor.matmul, Tensor.bmm, Tensor.__matmul__}


@dataclass(frozen=True)
class Heard:
    """One attention as it happened, still in torch and still in the graph.

    ``weights`` ``[batch, head, query, key]``, ``value`` ``[batch, head, key, d_v]``, ``mixed`` their product."""

    module: str
    weights: Tensor
    value: Tensor
    mixed: Tensor


class _Ear(TorchFunctionMode):
    def __init__(self, where: list[str], replace: Callable[[Tensor], Tensor] | None):
        super().__init__()
        self.where = where
        self.replace = replace
        self.heard: list[Heard] = []
        self._waiting: list[Tensor] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in _SOFTMAX and self.where:
            if self.replace is not None:
                result = self.replace(result)
            self._waiting.append(result)
        elif func in _PRODUCT and any(args[0] is weights for weights in self._waiting):
            self._waiting = [weights for weights in self._waiting if weights is not args[0]]
            self.heard.append(Heard(self.where[-1] if self.where else "", args[0], args[1], result))
        return result


@contextmanager
def listening(
    module: nn.Module, expected: Sequence[str] = (), replace: Callable[[Tensor], Tensor] | None = None
) -> Iterator[list[Heard]]:
    """Hear the attention of ``module`` in this thread while the context lasts; the list fills as it runs.

    ``expected``: module paths that must each be heard exactly once, in this order; raises ``CaptureError``
    (``capture-missing``) at the end otherwise, naming what was looked for and what was heard.
    ``replace``: what the model is to use instead of the weights it computed (a control, e.g. uniform attention).
    """
    where: list[str] = []
    thread = threading.get_ident()

    def enter(name: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            if threading.get_ident() == thread:
                where.append(name)

        return hook

    def leave(*_: Any) -> None:
        if threading.get_ident() == thread and where:
            where.pop()

    handles = []
    ear = _Ear(where, replace)
    try:
        for name, part in module.named_modules():
            handles.append(part.register_forward_pre_hook(enter(name)))
            handles.append(part.register_forward_hook(leave, always_call=True))
        with ear:
            yield ear.heard
    finally:
        for handle in handles:
            handle.remove()
    found = [heard.module for heard in ear.heard]
    if expected and found != list(expected):
        raise CaptureError("capture-missing", looked=", ".join(expected), heard=", ".join(found) or "nothing")
