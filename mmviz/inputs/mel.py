"""The log-mel spectrogram of pictures of sounds, and of what tells foreign sounds; see `whisper_mel` for the model's.

Axes: ``[mel, hop]``. A hop is 10 ms. The analysis window (32 ms) is centred on the middle of its hop, so hop ``t``
describes the audio from ``t * 10 ms`` to ``(t + 1) * 10 ms``.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmviz.io.npz import unpack_npy

SAMPLE_RATE = 16_000
"""Hz."""
N_FFT = 512
"""Samples of an analysis window."""
HOP = 160
"""Samples of a hop."""
N_MELS = 64
DYNAMIC_RANGE = 8.0
"""Decades of power kept below the loudest cell (80 dB)."""
_MIN_REFERENCE = -5.0
"""Decades of power; audio below it is not amplified to full range."""


@lru_cache(maxsize=1)
def mel_filters() -> NDArray[np.float32]:
    """Returns ``librosa.filters.mel(sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=N_MELS)``, ``[mel, N_FFT // 2 + 1]``.

    It is read from a file, since importing librosa takes longer than all else that the first spectrogram needs.
    """
    filters: NDArray[np.float32] = unpack_npy(Path(__file__).with_name("mel_filters.npy").read_bytes())
    return filters


def log_mel(wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the log-mel spectrogram of mono audio at 16 kHz.

    Power is relative to the loudest cell, so the loudness of the recording does not matter.

    Args:
        wave: float ``[sample]``, of any loudness.

    Returns:
        float32 ``[64, ceil(samples / 160)]``, -1 .. 1: 1 for 0 dB (the loudest cell), -1 for -80 dB and below.
    """
    hops = max(1, -(-len(wave) // HOP))
    left = (N_FFT - HOP) // 2
    padded = np.zeros((hops - 1) * HOP + N_FFT, dtype=np.float32)
    padded[left : left + len(wave)] = wave[: len(padded) - left]
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    spectrum = np.fft.rfft(frames * np.hanning(N_FFT + 1)[:-1].astype(np.float32), axis=1)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    decades = np.log10(np.maximum(mel_filters() @ power.T, 1e-10))
    loudest = max(float(decades.max()), _MIN_REFERENCE)
    relative = np.maximum(decades - loudest, -DYNAMIC_RANGE)
    return np.asarray(relative / (DYNAMIC_RANGE / 2) + 1.0, dtype=np.float32)


def padded_log_mel(wave: NDArray[np.float32], hops: int) -> tuple[NDArray[np.float32], int]:
    """Returns `log_mel` of the first ``hops`` hops, padded with silence to ``[64, hops]``, and how many are audio."""
    spectrogram = log_mel(wave[: hops * HOP])
    padded = np.full((N_MELS, hops), -1, np.float32)
    padded[:, : spectrogram.shape[1]] = spectrogram
    return padded, spectrogram.shape[1]
