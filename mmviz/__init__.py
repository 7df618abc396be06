"""mmviz: see, and check, how image, text and audio attend to each other in a fusion model."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

from mmviz.explain import Run, explain  # eager: the function must win over the module of the same name
from mmviz.given import record
from mmviz.inputs import make_sample
from mmviz.types import (
    AttentionMap,
    AttentionRecord,
    CaptureError,
    InputError,
    MmvizError,
    Modality,
    Request,
    Sample,
    Token,
)

if TYPE_CHECKING:
    from mmviz.backends.local import LocalBackend
    from mmviz.capture.listen import capture

__all__ = [
    "AttentionMap",
    "AttentionRecord",
    "CaptureError",
    "InputError",
    "LocalBackend",
    "MmvizError",
    "Modality",
    "Request",
    "Run",
    "Sample",
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
    if name != "LocalBackend":
        raise AttributeError(f"module 'mmviz' has no attribute {name!r}")
    from mmviz.backends.local import LocalBackend

    return LocalBackend
