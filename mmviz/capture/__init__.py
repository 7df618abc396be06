"""Capture of attention in torch modules: tensors in, records out. It knows no model by name.

The package is also the function: ``with mmviz.capture(model) as result``, see `mmviz.capture.context_manager.capture`.
"""

import sys
import types
from contextlib import AbstractContextManager
from typing import Any

from mmviz.capture.attention_call import AttentionCall
from mmviz.capture.call_rollout_relevance import relevance
from mmviz.capture.context_manager import capture
from mmviz.capture.result import CaptureResult

__all__ = ["AttentionCall", "CaptureResult", "capture", "relevance"]


class _CallableModule(types.ModuleType):
    """A package that can be called as `capture`: importing a submodule sets ``mmviz.capture`` to the package."""

    def __call__(self, *args: Any, **kwargs: Any) -> AbstractContextManager[CaptureResult]:
        return capture(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
