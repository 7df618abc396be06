"""mmviz shows, and checks, how image, text and audio attend to each other in a multimodal model.

`explain` runs a bundled model, `capture` records the attention of any torch module, and `record` takes attention
weights that were computed elsewhere. Each leads to an `AttentionRecord`; together with its inputs it is a `Run`, which
shows itself as the linked viewer.

Examples:
    A bundled model, and the attention weights from the token that answers to every token:

    >>> run = mmviz.explain(image="picture.png", text="What is right of the spoken thing?", audio="voice.wav")
    >>> weights = run.attention()

    Any torch module:

    >>> model = torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(32, 4, batch_first=True), 2).eval()
    >>> with torch.no_grad(), mmviz.capture(model) as result:
    ...     states = model(torch.randn(1, 3, 32))
    >>> run = mmviz.Run(mmviz.make_sample(text="a red ball"), result.record(["a", "red", "ball"]))

    Weights from Hugging Face, JAX or numpy:

    >>> record = mmviz.record([np.full((4, 3, 3), 1 / 3)], tokens=["a", "red", "ball"])
    >>> run = mmviz.Run(mmviz.make_sample(text="a red ball"), record)

    The linked viewer, in one file:

    >>> characters = Path("run.html").write_text(run.to_html(), "utf-8")
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
