"""A context that hears attention, and knows in which module it happened.

The watched model is not changed: functions are seen through a `TorchFunctionMode` of this thread alone (`ear`), module
names come from hooks that are gone when the context ends, also after an exception.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from mmviz.capture.ear import Ear
from mmviz.capture.heard import Heard
from mmviz.types import CaptureError


@contextmanager
def listening(
    module: nn.Module, expected: Sequence[str] = (), replace: Callable[[Tensor], Tensor] | None = None
) -> Iterator[list[Heard]]:
    """Hear the attention of ``module`` in this thread while the context lasts; the list fills as it runs.

    ``expected``: module paths that must each be heard exactly once, in this order; raises ``CaptureError``
    (``capture-missing``) at the end otherwise, naming what was looked for and what was heard.
    ``replace``: what the model is to use instead of the weights it made by hand (a control, e.g. uniform attention).
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
    ear = Ear(where, replace)
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
