"""Names attention that was not captured: fused kernels called by name, softmaxes in scripted functions or without a
product, weights without a softmax, modules that are named like attention."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mmviz.capture.module_tracker import ModuleTracker
from mmviz.capture.recorder import AttentionRecorder
from mmviz.types import Notice

_MODULE_NAME = re.compile(r"attention|attn", re.IGNORECASE)


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
    notices += [Notice("attention-over-features", {"module": module}) for module in recorder.calls.over_features]
    known = {attention.module for attention in recorder.calls.attention_calls} | set(tracker.foreign_modules)
    known |= set(recorder.calls.over_features)
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
