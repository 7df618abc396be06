"""The log-mel spectrogram that Whisper was trained on, by librosa; training and model share it.

Axes: ``[mel, hop]``. A hop is 10 ms, a window 25 ms around the beginning of its hop.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mmviz.inputs.mel import HOP, SAMPLE_RATE

N_FFT = 400
"""Samples of an analysis window."""
N_MELS = 80
DYNAMIC_RANGE_DB = 80.0
"""Decibels kept below the loudest cell."""


def whisper_log_mel(wave: NDArray[np.float32], hops: int) -> NDArray[np.float32]:
    """Returns the log-mel spectrogram of the first ``hops`` hops of mono audio at 16 kHz, silence after it.

    Args:
        wave: float ``[sample]``, -1 .. 1.

    Returns:
        float32 ``[80, hops]``: log10 of power, at most eight decades below the loudest cell, ``(x + 4) / 4``.

    Source: Radford et al. 2022, section 2.2, and the preprocessing of their published code.
    """
    import librosa

    padded = np.zeros(hops * HOP, np.float32)
    padded[: len(wave[: len(padded)])] = wave[: len(padded)]
    power = np.abs(librosa.stft(padded, n_fft=N_FFT, hop_length=HOP, pad_mode="reflect"))[:, :-1] ** 2
    decibels = librosa.power_to_db(_filters() @ power, ref=1.0, amin=1e-10, top_db=DYNAMIC_RANGE_DB)
    return np.asarray((decibels / 10 + 4) / 4, np.float32)


@lru_cache(maxsize=1)
def _filters() -> NDArray[np.float32]:
    """Returns the bands, ``[mel, N_FFT // 2 + 1]``."""
    import librosa

    filters: NDArray[np.float32] = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=N_MELS)
    return filters
