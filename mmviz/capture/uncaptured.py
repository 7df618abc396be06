"""Attention that nobody caught, so that it can be named: fused kernels called past the ear, softmaxes that fed no
product, modules whose name promises attention."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from mmviz.capture.module_tracker import ModuleTracker
from mmviz.capture.recorder import AttentionRecorder
from mmviz.types import Notice

_KERNEL = re.compile(r"attention|multi_?head|transformer_encoder_layer|flash_fwd|flash_attn", re.IGNORECASE)
_PROMISE = re.compile(r"attention|attn", re.IGNORECASE)


class FusedKernelDetector(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Names the fused attention operators that run in this thread without ``ear`` having called them."""

    supports_higher_order_operators = True

    @classmethod
    def is_infra_mode(cls) -> bool:
        """Or torch would refuse to compile inside of the model, which flex attention does."""
        return True

    def __init__(self, ear: AttentionRecorder, path: ModuleTracker):
        super().__init__()  # type: ignore[no-untyped-call]
        self.ear, self.path = ear, path
        self.found: dict[tuple[str, str], None] = {}

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if not self.ear.is_inside and self.path and _is_kernel(func):
            self.found[self.path.module, _name(func)] = None
        return func(*args, **(kwargs or {}))


def uncaptured_notices(ear: AttentionRecorder, path: ModuleTracker, kernels: Iterable[tuple[str, str]]) -> list[Notice]:
    """Notices for what may be attention and is not in the record."""
    notices = [Notice("capture-unheard-kernel", {"module": module, "kernel": kernel}) for module, kernel in kernels]
    left = [made for made in ear.softmaxes if not made.is_heard and len(made.shape) > 2]
    for made in {(made.module, made.shape): made for made in left}.values():
        notices.append(Notice("capture-unheard-softmax", {"module": made.module, "shape": list(made.shape)}))
    told = {heard.module for heard in ear.heard} | {made.module for made in left} | {module for module, _ in kernels}
    for module in path.ran:
        near = any(path.is_within(other, module) or path.is_within(module, other) for other in told)
        if module != path.root and _PROMISE.search(path.kinds[module]) and not near:
            notices.append(Notice("capture-unheard-module", {"module": module}))
            told.add(module)
    return notices


_known: dict[Any, bool] = {}


def _is_kernel(func: Any) -> bool:
    if func not in _known:
        _known[func] = bool(_KERNEL.search(_name(func)))
    return _known[func]


def _name(func: Any) -> str:
    return str(getattr(func, "_overloadpacket", None) or getattr(func, "__name__", func))
