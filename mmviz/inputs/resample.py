"""Resampling of sounds: one place for inputs, models, training and figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray


def resample(wave: NDArray[Any], rate: int, target: int) -> NDArray[np.float32]:
    """Returns ``wave`` ``[sample]``, of ``rate`` Hz, at ``target`` Hz, float32.

    It is ``librosa.resample(wave, orig_sr=rate, target_sr=target)``, to the bit: its default, ``soxr_hq``, by the
    package that librosa calls for it. Importing librosa takes longer than reading a sound.
    """
    resampled: NDArray[np.float32] = np.asarray(soxr.resample(wave, rate, target, quality="HQ"), np.float32)
    return resampled
