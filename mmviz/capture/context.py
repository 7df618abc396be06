"""A context that hears the attention of one model, in this thread alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from mmviz.capture.ablation_hooks import AblationHooks, HeadIndex
from mmviz.capture.module_tracker import ModuleTracker
from mmviz.capture.recorder import AttentionRecorder
from mmviz.capture.result import CaptureResult
from mmviz.capture.score_trace import ScoreTracer
from mmviz.capture.uncaptured import FusedKernelDetector
from mmviz.types import CaptureError


@contextmanager
def capture(
    model: nn.Module, *, expected: Sequence[str] = (), replace: Callable[[Tensor], Tensor] | None = None,
    ablate: Sequence[Sequence[HeadIndex]] = (), steps: bool = False,
) -> Iterator[CaptureResult]:  # fmt: skip
    """Hear the attention of ``model`` while the context lasts: ``with capture(model) as seen: model(**inputs)``.

    The model is not changed, and its output is what it is when nobody listens: to the bit where it calls
    ``scaled_dot_product_attention`` or multiplies by hand; to rounding where torch would take the fast path of
    ``nn.TransformerEncoder``, which steps aside. What ``torch.compile`` made of it runs uncompiled meanwhile.
    Functions are seen through modes of this thread alone, module paths come from hooks; all are gone when the context
    ends, also after an exception.

    ``expected``: module paths that must each be heard exactly once, in this order; raises ``CaptureError``
    (``capture-missing``) at the end otherwise, naming what was looked for and what was heard.
    ``replace``: what the model is to use instead of the weights it made by hand (a control, e.g. uniform attention).
    ``ablate``: heads to be switched off, ``(attention, head)`` in order of execution, both from 0: for every sample of the
    batch, or one list for all. What such a head brings is set to 0; its map stays what the model computed. Raises
    ``CaptureError``: ``head-batch`` where the batch is another one, ``head-missing`` (at the end) where there is no
    such head.
    ``steps``: keep as well what `mmviz.capture.attention_steps` needs: queries, keys and linear maps, also of attention that was
    written by hand.
    Raises ``CaptureError`` (``capture-kind``, ``capture-script``) for what is no module, or one of TorchScript.
    """
    if not isinstance(model, nn.Module):
        raise CaptureError("capture-kind", kind=type(model).__name__)
    if isinstance(model, torch.jit.ScriptModule):
        raise CaptureError("capture-script")
    path = ModuleTracker(model)
    switched = AblationHooks(ablate)
    ear = AttentionRecorder(path, replace, switched, ScoreTracer() if steps else None)
    kernels = None if expected else FusedKernelDetector(ear, path)
    with ExitStack() as stack:
        if any(_is_compiled(part) for part in model.modules()):
            stack.enter_context(_uncompiled())
        stack.enter_context(path.following())
        if kernels:
            stack.enter_context(kernels)
        stack.enter_context(ear)
        yield CaptureResult(ear, path, kernels)
    switched.check([one.attn_output.shape[1] for one in ear.heard])
    found = [heard.module for heard in ear.heard]
    if expected and found != list(expected):
        raise CaptureError("capture-missing", looked=", ".join(expected), heard=", ".join(found) or "nothing")


def _is_compiled(part: nn.Module) -> bool:
    return hasattr(part, "_orig_mod") or getattr(part, "_compiled_call_impl", None) is not None


_lock = threading.Lock()
_holders = 0
_stance = ExitStack()


@contextmanager
def _uncompiled() -> Iterator[None]:
    """Compiled models run as they were written. Torch knows one stance for all threads, so the first to come takes it
    and the last to leave gives it back; the models of other threads run uncompiled meanwhile, with the same results."""
    global _holders
    with _lock:
        if _holders == 0:
            _stance.enter_context(torch.compiler.set_stance("force_eager"))
        _holders += 1
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            if _holders == 0:
                _stance.close()
