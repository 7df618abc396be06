"""Names attention that was not captured: fused kernels called by name, softmaxes in scripted functions or without a
product, weights that no softmax made, modules that are named like attention."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from mmviz.capture.function_tables import SOFTMAXES
from mmviz.capture.module_tracker import ModuleTracker
from mmviz.capture.recorder import AttentionRecorder
from mmviz.capture.torch_modes import is_backward
from mmviz.types import Notice

_KERNEL_NAME = re.compile(r"attention|_attn|multi_?head|transformer_encoder_layer|flash_fwd|flash_attn", re.IGNORECASE)
_SOFTMAX_NAME = re.compile(r"^aten\._(safe_|masked_)?softmax$")
"""The operators behind a softmax, which run by themselves only where no function mode sees it, as in scripted code."""
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
        if _is_kernel(func) and self._is_the_models_own(func) and self.tracker.is_selected and not is_backward():
            self.kernels[self.tracker.module, _name(func)] = None
        return func(*args, **(kwargs or {}))

    def _is_the_models_own(self, func: Any) -> bool:
        """Returns whether the recorder neither runs an operator itself nor saw the function behind it."""
        if self.recorder.is_in_fused_call:
            return False
        return not _SOFTMAX_NAME.search(_name(func)) or self.recorder.function not in SOFTMAXES


def uncaptured_notices(
    recorder: AttentionRecorder, tracker: ModuleTracker, kernels: Iterable[tuple[str, str]]
) -> list[Notice]:
    """Returns a notice for each kernel, softmax or module that may be attention and is not in the record."""
    kernels = [kernel for kernel in kernels if kernel not in recorder.recorded_kernels]
    notices = [Notice("uncaptured-kernel", {"module": module, "kernel": kernel}) for module, kernel in kernels]
    missed = [softmax for softmax in recorder.softmax_tracker.softmaxes if not softmax.is_captured]
    softmaxes = [softmax for softmax in missed if softmax.is_attention and len(softmax.shape) > 2]
    for module, shape in dict.fromkeys((softmax.module, softmax.shape) for softmax in softmaxes):
        notices.append(Notice("uncaptured-softmax", {"module": module, "shape": list(shape)}))
    others = [softmax for softmax in missed if softmax.feeds_product and not softmax.is_attention]
    others = [softmax for softmax in others if not softmax.is_router]
    for module, shape in dict.fromkeys((softmax.module, softmax.shape) for softmax in others):
        notices.append(Notice("softmax-without-scores", {"module": module, "shape": list(shape)}))
    unnormalized = recorder.softmax_tracker.unnormalized
    for module, function in unnormalized:
        notices.append(Notice("uncaptured-weights", {"module": module, "function": function}))
    notices += [Notice("uncaptured-thread", {"module": module}) for module in tracker.foreign_modules]
    notices += [Notice("attention-over-features", {"module": module}) for module in recorder.over_features]
    known = {attention.module for attention in recorder.attention_calls} | set(tracker.foreign_modules)
    known |= set(recorder.over_features)
    known |= {softmax.module for softmax in (*softmaxes, *others)}
    known |= {module for module, _ in (*kernels, *unnormalized)}
    for module in tracker.modules_run:
        if module == tracker.model_name or not tracker.selects(module):
            continue
        is_covered = any(tracker.contains(module, path) or tracker.contains(path, module) for path in known)
        mixes_tokens = any(tracker.contains(module, path) for path in recorder.mixing_modules)
        if _MODULE_NAME.search(tracker.class_names[module]) and mixes_tokens and not is_covered:
            notices.append(Notice("uncaptured-module", {"module": module}))
            known.add(module)
    return notices


_is_kernel_by_func: dict[Any, bool] = {}


def _is_kernel(func: Any) -> bool:
    if func not in _is_kernel_by_func:
        _is_kernel_by_func[func] = bool(_KERNEL_NAME.search(_name(func)) or _SOFTMAX_NAME.search(_name(func)))
    return _is_kernel_by_func[func]


def _name(func: Any) -> str:
    return str(getattr(func, "_overloadpacket", None) or getattr(func, "__name__", func))
