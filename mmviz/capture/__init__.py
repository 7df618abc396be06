"""Listening to attention in torch modules. Knows no model by name; torch tensors in, records out.

The package is also the function: ``with mmviz.capture(model) as seen``, see `mmviz.capture.listen.capture`.
"""

import sys
import types
from contextlib import AbstractContextManager
from typing import Any

from mmviz.capture.flow import relevance
from mmviz.capture.heard import Heard
from mmviz.capture.listen import capture
from mmviz.capture.seen import Seen

__all__ = ["Heard", "Seen", "capture", "relevance"]


class _Callable(types.ModuleType):
    """The package under its own name is what people call, and importing a part of it must not hide that."""

    def __call__(self, *given: Any, **named: Any) -> AbstractContextManager[Seen]:
        return capture(*given, **named)


sys.modules[__name__].__class__ = _Callable
