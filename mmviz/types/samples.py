"""Checked inputs: image, text and audio."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mmviz.types.errors import Notice
from mmviz.types.frozen import ValueSemantics, read_only
from mmviz.types.short_repr import ShortRepr, call_repr, short
from mmviz.types.tokens import PixelBox, Seconds

MAX_PICTURES = 16
"""Pictures, or frames of a video, of one sample."""


@dataclass(frozen=True, eq=False, repr=False)
class ImageInput(ShortRepr, ValueSemantics):
    """A checked RGB image, or several on one sheet.

    Raises ``ValueError`` for pixels of another shape or type, and for ``parts`` beyond the sheet.
    """

    pixels: NDArray[np.uint8]
    """uint8 ``[height, width, 3]``, at most 2,048 pixels a side, read-only."""
    width: int
    """Width of the original in pixels, which may be larger."""
    height: int
    """Height of the original in pixels."""
    parts: tuple[PixelBox, ...] = ()
    """Where each of several pictures lies on the sheet, in whole pixels: `PictureBox`, or `VideoPatch` for a frame of a
    video. Empty for one picture."""

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[2] != 3 or self.pixels.dtype != np.uint8:
            raise ValueError(f"an image is uint8 [height, width, 3], not {self.pixels.dtype} {self.pixels.shape}")
        object.__setattr__(self, "pixels", read_only(self.pixels))
        object.__setattr__(self, "parts", tuple(self.parts))
        height, width = self.pixels.shape[:2]
        for box in self.parts:
            edges = (box.x0, box.y0, box.x1, box.y1)
            if any(edge != int(edge) or edge < 0 for edge in edges) or box.x1 > width or box.y1 > height:
                raise ValueError(f"a picture lies beyond the sheet: {box}")

    @property
    def pictures(self) -> tuple[NDArray[np.uint8], ...]:
        """The pixels of each picture, uint8 ``[height, width, 3]``, read-only."""
        boxes = [(slice(int(box.y0), int(box.y1)), slice(int(box.x0), int(box.x1))) for box in self.parts]
        return tuple(self.pixels[rows, columns] for rows, columns in boxes) or (self.pixels,)


@dataclass(frozen=True, eq=False, repr=False)
class AudioInput(ShortRepr, ValueSemantics):
    """Checked mono audio, or several sounds one after another.

    Raises ``ValueError`` for a wave of another shape or type, and for ``parts`` that do not follow each other in it.
    """

    wave: NDArray[np.float32]
    """float32 ``[sample]``, -1 .. 1, read-only."""
    rate: int
    """Sampling rate of ``wave`` in Hz (16,000)."""
    seconds: float
    """Length of the original in seconds."""
    parts: tuple[Seconds, ...] = ()
    """The time span of each of several sounds in ``audio``; empty for one sound."""

    def __post_init__(self) -> None:
        if self.wave.ndim != 1 or self.wave.dtype != np.float32:
            raise ValueError(f"audio is float32 [sample], not {self.wave.dtype} {self.wave.shape}")
        object.__setattr__(self, "wave", read_only(self.wave))
        object.__setattr__(self, "parts", tuple(self.parts))
        ends = [0.0, *(edge for part in self.parts for edge in (part.start, part.end)), self.seconds + 0.01]
        if self.parts and any(later < earlier for earlier, later in pairwise(ends)):
            raise ValueError(f"sounds do not follow each other: {self.parts}")

    @property
    def sounds(self) -> tuple[NDArray[np.float32], ...]:
        """The wave of each sound, float32 ``[sample]``, read-only."""
        edges = [(round(part.start * self.rate), round(part.end * self.rate)) for part in self.parts]
        return tuple(self.wave[first:last] for first, last in edges) or (self.wave,)


@dataclass(frozen=True, repr=False)
class Sample(ShortRepr):
    """The checked inputs of one run. Any may be missing."""

    image: ImageInput | None = None
    """The image, or several on one sheet; None where it is missing."""
    text: str | None = None
    """The text; None where it is missing."""
    audio: AudioInput | None = None
    """The sound, or several one after another; None where it is missing."""
    notices: tuple[Notice, ...] = ()
    """What was done to the inputs: cut, resampled, converted."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "notices", tuple(self.notices))

    def __repr__(self) -> str:
        parts = [] if self.image is None else [f"image={self.image.width} x {self.image.height}"]
        parts += [f"pictures={len(self.image.parts)}"] if self.image and self.image.parts else []
        parts += [] if self.text is None else [f"text={short(self.text)}"]
        parts += [] if self.audio is None else [f"audio={self.audio.seconds:.2f} s"]
        parts += [f"sounds={len(self.audio.parts)}"] if self.audio and self.audio.parts else []
        parts += [f"notices={len(self.notices)}"] if self.notices else []
        return call_repr(self, *parts)
