"""mmviz shows, and checks, how image, text and audio attend to each other in a multimodal model.

`explain` runs a bundled model, `capture` records the attention of any torch module, and `record` takes attention
weights that were computed elsewhere. Each leads to an `AttentionRecord`; together with its inputs it is a `Run`, which
shows itself as the linked viewer.

Examples::

    >>> run = mmviz.explain(image="cat.jpg", text="What is this?", audio="meow.wav")  # a bundled model
    >>> run.attention()  # attention weights from the answer token to every token

    >>> with torch.no_grad(), mmviz.capture(model) as result:  # any torch module
    ...     model(**inputs)
    >>> run = mmviz.Run(mmviz.make_sample(text="a red ball"), result.record())

    >>> record = mmviz.record(output.attentions, tokens=words)  # from Hugging Face, JAX or numpy
    >>> run = mmviz.Run(mmviz.make_sample(text="a red ball"), record)

    >>> Path("run.html").write_text(run.to_html(), "utf-8")  # the linked viewer, in one file
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

from mmviz.explain import Run, explain  # imported here, so that the function hides the module of the same name
from mmviz.inputs import make_sample
from mmviz.io.from_arrays import record
from mmviz.types import (
    AttentionMap,
    AttentionRecord,
    CaptureError,
    Chars,
    InputError,
    MapRef,
    MmvizError,
    Modality,
    PictureBox,
    PixelBox,
    Request,
    Sample,
    Seconds,
    Token,
    VideoPatch,
)

if TYPE_CHECKING:
    from mmviz.backends.local import LocalBackend
    from mmviz.capture.context_manager import capture
    from mmviz.models.custom import CustomModel

__all__ = [
    "AttentionMap",
    "AttentionRecord",
    "CaptureError",
    "Chars",
    "CustomModel",
    "InputError",
    "LocalBackend",
    "MapRef",
    "MmvizError",
    "Modality",
    "PictureBox",
    "PixelBox",
    "Request",
    "Run",
    "Sample",
    "Seconds",
    "Token",
    "VideoPatch",
    "capture",
    "explain",
    "make_sample",
    "record",
]


def __getattr__(name: str) -> Any:
    """Loads the names that need torch when they are first used."""
    if name == "capture":  # the package is callable as the function
        return import_module("mmviz.capture")
    modules = {"LocalBackend": "mmviz.backends.local", "CustomModel": "mmviz.models.custom"}
    if name not in modules:
        raise AttributeError(f"module 'mmviz' has no attribute {name!r}")
    return getattr(import_module(modules[name]), name)
