"""mmviz: see, and check, how image, text and audio attend to each other in a fusion model."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

from mmviz.explain import Run, explain  # eager: the function must win over the module of the same name
from mmviz.inputs import make_sample
from mmviz.io.from_arrays import record
from mmviz.types import (
    AttentionMap,
    AttentionRecord,
    CaptureError,
    Chars,
    InputError,
    MmvizError,
    Modality,
    PixelBox,
    Request,
    Sample,
    Seconds,
    Token,
)

if TYPE_CHECKING:
    from mmviz.backends.local import LocalBackend
    from mmviz.capture.context import capture
    from mmviz.models.custom import CustomModel

__all__ = [
    "AttentionMap",
    "AttentionRecord",
    "CaptureError",
    "Chars",
    "CustomModel",
    "InputError",
    "LocalBackend",
    "MmvizError",
    "Modality",
    "PixelBox",
    "Request",
    "Run",
    "Sample",
    "Seconds",
    "Token",
    "capture",
    "explain",
    "make_sample",
    "record",
]


def __getattr__(name: str) -> Any:
    """What brings torch comes when it is asked for."""
    if name == "capture":  # the package is the function as well
        return import_module("mmviz.capture")
    homes = {"LocalBackend": "mmviz.backends.local", "CustomModel": "mmviz.models.custom"}
    if name not in homes:
        raise AttributeError(f"module 'mmviz' has no attribute {name!r}")
    return getattr(import_module(homes[name]), name)
