"""Checked inputs: image, text and audio."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmviz.types.errors import Notice
from mmviz.types.frozen import ValueSemantics, read_only
from mmviz.types.short_repr import ShortRepr, call_repr, short


@dataclass(frozen=True, eq=False, repr=False)
class ImageInput(ShortRepr, ValueSemantics):
    """A checked RGB image. Raises ``ValueError`` for pixels of another shape or type."""

    pixels: NDArray[np.uint8]
    """uint8 ``[height, width, 3]``, at most 2,048 pixels a side, read-only."""
    width: int
    """Width of the original in pixels, which may be larger."""
    height: int
    """Height of the original in pixels."""

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[2] != 3 or self.pixels.dtype != np.uint8:
            raise ValueError(f"an image is uint8 [height, width, 3], not {self.pixels.dtype} {self.pixels.shape}")
        object.__setattr__(self, "pixels", read_only(self.pixels))


@dataclass(frozen=True, eq=False, repr=False)
class AudioInput(ShortRepr, ValueSemantics):
    """Checked mono audio. Raises ``ValueError`` for a wave of another shape or type."""

    wave: NDArray[np.float32]
    """float32 ``[sample]``, -1 .. 1, read-only."""
    rate: int
    """Sampling rate of ``wave`` in Hz (16,000)."""
    seconds: float
    """Length of the original in seconds."""

    def __post_init__(self) -> None:
        if self.wave.ndim != 1 or self.wave.dtype != np.float32:
            raise ValueError(f"audio is float32 [sample], not {self.wave.dtype} {self.wave.shape}")
        object.__setattr__(self, "wave", read_only(self.wave))


@dataclass(frozen=True, repr=False)
class Sample(ShortRepr):
    """Checked inputs of one run; any of the three may be missing (None)."""

    image: ImageInput | None = None
    text: str | None = None
    audio: AudioInput | None = None
    notices: tuple[Notice, ...] = ()
    """What was done to the inputs: cut, resampled, converted."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "notices", tuple(self.notices))

    def __repr__(self) -> str:
        parts = [] if self.image is None else [f"image={self.image.width} x {self.image.height}"]
        parts += [] if self.text is None else [f"text={short(self.text)}"]
        parts += [] if self.audio is None else [f"audio={self.audio.seconds:.2f} s"]
        parts += [f"notices={len(self.notices)}"] if self.notices else []
        return call_repr(self, *parts)
