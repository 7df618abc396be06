"""The context that captures the attention of one model, in this thread and those that the model starts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import MappingProxyType

import torch
from torch import Tensor, nn

from mmviz.capture.ablation_hooks import AblationHooks, HeadRef
from mmviz.capture.attention_place import AttentionPlace
from mmviz.capture.blocked_pairs import BlockedPairs
from mmviz.capture.fused_kernel_detector import FusedKernelDetector
from mmviz.capture.module_filter import check_patterns
from mmviz.capture.module_tracker import ModuleTracker
from mmviz.capture.process_fork_check import refuse_after_fork
from mmviz.capture.recorder import AttentionRecorder
from mmviz.capture.result import CaptureResult
from mmviz.capture.score_trace import ScoreTracer
from mmviz.capture.streams import StreamPairs
from mmviz.types import CaptureError, pairs_by_pattern


@contextmanager
def capture(
    model: nn.Module, *, only: str | Sequence[str] = (), exclude: str | Sequence[str] = (),
    ablate: Sequence[Sequence[HeadRef]] = (), replace: Callable[[Tensor], Tensor] | None = None,
    block: Mapping[AttentionPlace, BlockedPairs] = MappingProxyType({}), steps: bool = False,
    expected: Sequence[str] = (), streams: Mapping[str, str] | None = None, pairs: StreamPairs = None,
) -> Iterator[CaptureResult]:  # fmt: skip
    """Captures the attention of ``model`` while the context lasts.

    The model is not changed. Its output is the same to the bit where it calls ``scaled_dot_product_attention`` or
    computes attention eagerly, and equal up to rounding where torch would take the fast path of
    ``nn.TransformerEncoder``, which is not taken during capture. What ``torch.compile`` compiled runs uncompiled.
    Function modes of this thread record the attention and hooks track module paths; all are removed when the context
    ends, also after an exception.

    Args:
        model: Any torch module.
        only: Glob patterns (`fnmatch`) on module paths. Only modules that match, and the modules in them, take
            part; by default all do. Attention in other modules is neither recorded nor checked nor named as
            uncaptured, and neither ``ablate``, ``replace`` nor ``block`` changes it.
        exclude: Glob patterns of modules that take no part, such as ``"*.router"``.
        ablate: Heads whose output is set to 0: one list for every sample of the batch, or a single list for all.
            A head is ``(attention, head)``, both from 0, or ``(module path, head)``. Attention is numbered in order of
            execution within each call of the model, so that a head is ablated in every call (in every step of
            ``generate``). The map of an ablated head stays what the model computed.
        replace: Maps the attention weights ``[..., head, query, key]`` of each module to those that it uses instead.
        block: Pairs of queries and keys that may not attend, by the attention within each call of the model, see
            `mmviz.capture.blocked_pairs`. Its map is that of the weights that are left.
        steps: Whether to keep what `mmviz.capture.qkv_and_projections` needs: queries, keys and linear maps, also
            of eager attention.
        expected: Module paths that must run attention, each exactly once and in this order.
        streams: Names of streams by glob patterns on the paths of attention modules that attend to themselves, such as
            ``{"vision.*": "image"}``, which overrule what is told from the data that flows.
        pairs: The same for any attention, ``{pattern: (stream of the queries, stream of the keys)}``.

    Raises:
        MmvizError: ``stream-names`` for ``streams`` or ``pairs`` of another form.
        CaptureError: ``capture-kind`` or ``capture-script`` for what is no module, or a TorchScript module;
            ``capture-pattern`` for a pattern that matches no module; ``head-batch`` where ``ablate`` has lists for
            another number of samples; at the end ``head-missing`` or ``head-module`` where a head to ablate never
            ran, ``capture-missing`` where other modules attended than ``expected``, and ``cut-missing`` where an
            attention of ``block`` never ran; ``cut-shape`` and ``cut-kernel`` where pairs cannot be blocked.

    Examples:
        >>> layer = torch.nn.TransformerEncoderLayer(32, 4, batch_first=True)
        >>> model = torch.nn.TransformerEncoder(layer, 2).eval()
        >>> with torch.no_grad(), mmviz.capture(model) as result:
        ...     states = model(torch.randn(1, 3, 32))
        >>> for attn_map in result.record(tokens=["a", "red", "ball"]).maps:
        ...     print(attn_map.name, attn_map.weights.shape)  # [head, query, key]
        layers.0.self_attn (4, 3, 3)
        layers.1.self_attn (4, 3, 3)
    """
    if not isinstance(model, nn.Module):
        raise CaptureError("capture-kind", kind=type(model).__name__)
    if isinstance(model, torch.jit.ScriptModule):
        raise CaptureError("capture-script")
    refuse_after_fork()
    named = pairs_by_pattern(streams, pairs)
    tracker = ModuleTracker(model, only, exclude)
    check_patterns(named, tracker.class_names)
    ablation = AblationHooks(ablate)
    detector = None if expected else FusedKernelDetector(tracker)
    recorder = AttentionRecorder(tracker, replace, ablation, ScoreTracer() if steps else None, detector, block)
    with ExitStack() as stack:
        if detector or any(_is_compiled(module) for module in model.modules()):  # compiled functions cannot be told
            stack.enter_context(_uncompiled())
        stack.enter_context(tracker.track(recorder.record_thread))
        if detector:
            stack.enter_context(detector)
        stack.enter_context(recorder)
        yield CaptureResult(recorder, tracker, detector, named)
    ablation.check(recorder.calls.attention_calls)
    for place in block.keys() - {attention.place for attention in recorder.calls.attention_calls}:
        raise CaptureError("cut-missing", name=place[0])
    modules = [attention.module for attention in recorder.calls.attention_calls]
    if expected and modules != list(expected):
        raise CaptureError("capture-missing", expected=", ".join(expected), captured=", ".join(modules) or "nothing")


def _is_compiled(module: nn.Module) -> bool:
    return hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None


_lock = threading.Lock()
_uncompiled_count = 0
_stance = ExitStack()


@contextmanager
def _uncompiled() -> Iterator[None]:
    """Runs compiled models uncompiled while the context lasts.

    Torch has one compiler stance for all threads, so the first context sets it and the last one restores it. Models of
    other threads run uncompiled meanwhile, with the same results.
    """
    global _uncompiled_count
    with _lock:
        if _uncompiled_count == 0:
            _stance.enter_context(torch.compiler.set_stance("force_eager"))
        _uncompiled_count += 1
    try:
        yield
    finally:
        with _lock:
            _uncompiled_count -= 1
            if _uncompiled_count == 0:
                _stance.close()
