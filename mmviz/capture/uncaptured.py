"""Names attention that was not captured: fused kernels called by name, softmaxes that feed no known matrix product,
modules that are named like attention."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from mmviz.capture.module_tracker import ModuleTracker
from mmviz.capture.recorder import AttentionRecorder
from mmviz.types import Notice

_KERNEL_NAME = re.compile(r"attention|multi_?head|transformer_encoder_layer|flash_fwd|flash_attn", re.IGNORECASE)
_MODULE_NAME = re.compile(r"attention|attn", re.IGNORECASE)


class FusedKernelDetector(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Detects fused attention operators that run in this thread without ``recorder`` having called them."""

    supports_higher_order_operators = True

    @classmethod
    def is_infra_mode(cls) -> bool:
        """Returns True: otherwise torch refuses to compile inside the model, which flex attention does."""
        return True

    def __init__(self, recorder: AttentionRecorder, tracker: ModuleTracker):
        super().__init__()  # type: ignore[no-untyped-call]
        self.recorder, self.tracker = recorder, tracker
        self.kernels: dict[tuple[str, str], None] = {}
        """Module path and name of each operator, in order of the first run."""

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if not self.recorder.is_in_fused_call and _is_kernel(func) and self.tracker.is_selected:
            self.kernels[self.tracker.module, _name(func)] = None
        return func(*args, **(kwargs or {}))


def uncaptured_notices(
    recorder: AttentionRecorder, tracker: ModuleTracker, kernels: Iterable[tuple[str, str]]
) -> list[Notice]:
    """Returns a notice for each kernel, softmax or module that may be attention and is not in the record."""
    notices = [Notice("uncaptured-kernel", {"module": module, "kernel": kernel}) for module, kernel in kernels]
    softmaxes = [softmax for softmax in recorder.softmaxes if not softmax.is_captured and len(softmax.shape) > 2]
    for module, shape in dict.fromkeys((softmax.module, softmax.shape) for softmax in softmaxes):
        notices.append(Notice("uncaptured-softmax", {"module": module, "shape": list(shape)}))
    known = {attention.module for attention in recorder.attention_calls}
    known |= {softmax.module for softmax in softmaxes} | {module for module, _ in kernels}
    for module in tracker.modules_run:
        if module == tracker.model_name or not tracker.selects(module):
            continue
        is_covered = any(tracker.contains(module, path) or tracker.contains(path, module) for path in known)
        if _MODULE_NAME.search(tracker.class_names[module]) and not is_covered:
            notices.append(Notice("uncaptured-module", {"module": module}))
            known.add(module)
    return notices


_is_kernel_by_func: dict[Any, bool] = {}


def _is_kernel(func: Any) -> bool:
    if func not in _is_kernel_by_func:
        _is_kernel_by_func[func] = bool(_KERNEL_NAME.search(_name(func)))
    return _is_kernel_by_func[func]


def _name(func: Any) -> str:
    return str(getattr(func, "_overloadpacket", None) or getattr(func, "__name__", func))
