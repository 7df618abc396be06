"""Listening to attention in torch modules. Knows no model by name; torch tensors in, records out.

The package is also the function: ``with mmviz.capture(model) as seen``, see `mmviz.capture.context.capture`.
"""

import sys
import types
from contextlib import AbstractContextManager
from typing import Any

from mmviz.capture.call import AttentionCall
from mmviz.capture.context import capture
from mmviz.capture.flow import relevance
from mmviz.capture.result import CaptureResult

__all__ = ["AttentionCall", "CaptureResult", "capture", "relevance"]


class _Callable(types.ModuleType):
    """The package under its own name is what people call, and importing a part of it must not hide that."""

    def __call__(self, *given: Any, **named: Any) -> AbstractContextManager[CaptureResult]:
        return capture(*given, **named)


sys.modules[__name__].__class__ = _Callable
