"""Spoken words as they are, and as a telephone carries them."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from mmviz.inputs.mel import SAMPLE_RATE
from mmviz.inputs.resample import resample
from mmviz.training.evaluate.real_folders import Recording
from mmviz.types import AudioInput

VIEWS = ("clean", "telephone-like")
LOW, HIGH, LINE_RATE = 300.0, 3_400.0, 8_000
"""Hz: the band of a telephone, and its sampling rate."""
LINE_NOISE = -25.0
"""Decibels of the noise on the line, against the loudness of the recording."""
_MU = 255


def views(recording: Recording) -> Iterator[tuple[str, AudioInput]]:
    """Yields the recording in each of `VIEWS`, with its name. The noise depends on the recording's name alone."""
    yield VIEWS[0], recording.audio
    seed = int.from_bytes(sha256(recording.name.encode()).digest()[:8], "big")
    wave = telephone(np.random.default_rng(seed), recording.audio.wave)
    yield VIEWS[1], AudioInput(wave, SAMPLE_RATE, len(wave) / SAMPLE_RATE)


def telephone(rng: np.random.Generator, wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns a wave ``[sample]`` at 16 kHz as a telephone carries it: the same length, peak about 0.5.

    Only `LOW` to `HIGH`, with white noise, in 8 bits by the mu-law at 8 kHz (ITU-T G.711).
    """
    spectrum = np.fft.rfft(wave.astype(np.float64))
    frequency = np.fft.rfftfreq(len(wave), 1 / SAMPLE_RATE)
    spectrum[(frequency < LOW) | (frequency > HIGH)] = 0
    band = np.fft.irfft(spectrum, len(wave))
    line = resample(band, SAMPLE_RATE, LINE_RATE).astype(np.float64)
    line = line + rng.standard_normal(len(line)) * line.std() * 10 ** (LINE_NOISE / 20)
    line = line * 0.5 / max(1e-6, float(np.abs(line).max()))
    carried = resample(mu_law(line), LINE_RATE, SAMPLE_RATE)[: len(wave)]
    return np.pad(carried, (0, len(wave) - len(carried)))


def mu_law(wave: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns a wave within -1 .. 1 coded in 8 bits and decoded by the mu-law, with 127 steps on either side of 0."""
    code = np.round(np.sign(wave) * np.log1p(_MU * np.abs(wave)) / np.log1p(_MU) * 127) / 127
    return np.asarray(np.sign(code) * np.expm1(np.abs(code) * np.log1p(_MU)) / _MU, np.float64)
