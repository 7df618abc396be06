"""The one log-mel spectrogram of mmviz: training, model and figure all use it.

Axes: ``[mel, hop]``.  A hop is 10 ms; hop ``t`` describes the sound between ``t * 10 ms`` and ``(t + 1) * 10 ms``,
because the analysis window (32 ms) is centred on the middle of the hop.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
N_FFT = 512
HOP = 160
N_MELS = 64
DYNAMIC_RANGE = 8.0
"""Decades of power kept below the loudest cell (80 dB)."""
_QUIETEST_REFERENCE = -5.0


@lru_cache(maxsize=1)
def mel_filters() -> NDArray[np.float32]:
    """Slaney-style triangular filters of librosa, ``[mel, N_FFT // 2 + 1]``.

    Kept in a file, as importing librosa takes longer than anything else the first picture of a sound needs; a test
    holds it to ``librosa.filters.mel(sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=N_MELS)``, which made it.
    """
    filters: NDArray[np.float32] = np.load(Path(__file__).with_name("mel_filters.npy"), allow_pickle=False)
    return filters


def log_mel(wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-mel spectrogram of a mono sound at 16 kHz.

    Parameters: ``wave``, float, ``[sample]``, any loudness.
    Returns: float32 ``[64, ceil(samples / 160)]``, decades of power relative to the loudest cell, moved to about
    -1 .. 1 (0 dB is 1, -80 dB is -1), so that the loudness of the recording does not matter.
    """
    hops = max(1, -(-len(wave) // HOP))
    left = (N_FFT - HOP) // 2
    padded = np.zeros((hops - 1) * HOP + N_FFT, dtype=np.float32)
    padded[left : left + len(wave)] = wave[: len(padded) - left]
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    spectrum = np.fft.rfft(frames * np.hanning(N_FFT + 1)[:-1].astype(np.float32), axis=1)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    decades = np.log10(np.maximum(mel_filters() @ power.T, 1e-10))
    loudest = max(float(decades.max()), _QUIETEST_REFERENCE)
    relative = np.maximum(decades - loudest, -DYNAMIC_RANGE)
    return np.asarray(relative / (DYNAMIC_RANGE / 2) + 1.0, dtype=np.float32)


def fitted_log_mel(wave: NDArray[np.float32], hops: int) -> tuple[NDArray[np.float32], int]:
    """`log_mel` of the first ``hops`` hops of a sound, followed by silence, ``[64, hops]``; and how many hops sound."""
    spectrogram = log_mel(wave[: hops * HOP])
    fitted = np.full((N_MELS, hops), -1, np.float32)
    fitted[:, : spectrogram.shape[1]] = spectrogram
    return fitted, spectrogram.shape[1]
