"""Checked inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.types.errors import Notice


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only view of ``array``."""
    view = array.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True)
class ImageInput:
    """``pixels`` uint8 ``[height, width, 3]``, at most 2,048 a side; ``width`` and ``height`` of the original."""

    pixels: NDArray[np.uint8]
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[2] != 3 or self.pixels.dtype != np.uint8:
            raise ValueError(f"a picture is uint8 [height, width, 3], not {self.pixels.dtype} {self.pixels.shape}")
        object.__setattr__(self, "pixels", frozen(self.pixels))


@dataclass(frozen=True)
class AudioInput:
    """``wave`` float32 mono ``[sample]`` at ``rate`` Hz (16,000), -1 .. 1; ``seconds`` long in the original."""

    wave: NDArray[np.float32]
    rate: int
    seconds: float

    def __post_init__(self) -> None:
        if self.wave.ndim != 1 or self.wave.dtype != np.float32:
            raise ValueError(f"a sound is float32 [sample], not {self.wave.dtype} {self.wave.shape}")
        object.__setattr__(self, "wave", frozen(self.wave))


@dataclass(frozen=True)
class Sample:
    """Checked inputs; any but not all may be None."""

    image: ImageInput | None = None
    text: str | None = None
    audio: AudioInput | None = None
    notices: tuple[Notice, ...] = ()
