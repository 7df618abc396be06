"""The log-mel spectrogram against those of librosa and scipy."""

from __future__ import annotations

import subprocess
import sys

import librosa
import numpy as np
import pytest
import scipy.signal
from processes import ROOT

from mmviz.inputs.mel import DYNAMIC_RANGE, HOP, N_FFT, N_MELS, SAMPLE_RATE, log_mel, mel_filters
from mmviz.inputs.resample import resample

LEFT = (N_FFT - HOP) // 2
"""Samples of silence before the audio, which centre the first window on the middle of the first hop."""


def noise(samples: int, seed: int = 0) -> np.ndarray:
    """Noise that falls by 60 dB, so that most of the range is used."""
    wave = np.random.default_rng(seed).uniform(-0.9, 0.9, samples)
    return (wave * np.geomspace(1, 1e-3, samples)).astype(np.float32)


def framed(wave: np.ndarray) -> np.ndarray:
    """The audio padded with silence to whole windows."""
    hops = -(-len(wave) // HOP)
    right = (hops - 1) * HOP + N_FFT - LEFT - len(wave)
    return np.pad(wave, (LEFT, max(0, right)))[: (hops - 1) * HOP + N_FFT]


def scaled(power: np.ndarray) -> np.ndarray:
    """Power in librosa's decibels, scaled to -1 .. 1."""
    decibels = librosa.power_to_db(power, ref=np.max, amin=1e-10, top_db=10 * DYNAMIC_RANGE)
    return decibels / (10 * DYNAMIC_RANGE / 2) + 1


def test_the_filters_in_the_file_equal_those_of_librosa() -> None:
    assert np.array_equal(mel_filters(), librosa.filters.mel(sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=N_MELS))


@pytest.mark.parametrize("samples", [1_600, 16_000, 16_001, 15_999, 40_123])
def test_the_spectrogram_equals_that_of_librosa(samples: int) -> None:
    wave = noise(samples)
    power = librosa.feature.melspectrogram(
        y=framed(wave), sr=SAMPLE_RATE, n_fft=N_FFT, hop_length=HOP, n_mels=N_MELS, center=False, power=2.0
    )
    spectrogram = log_mel(wave)
    assert spectrogram.shape == power.shape == (N_MELS, -(-samples // HOP)) and spectrogram.dtype == np.float32
    assert np.abs(spectrogram - scaled(power)).max() < 1e-3
    assert spectrogram.std() > 0.2, "the comparison covers more than the floor"


def test_the_spectrogram_equals_that_of_scipy() -> None:
    wave = noise(8_000, seed=1).astype(np.float64)
    window = scipy.signal.get_window("hann", N_FFT)
    frames = np.stack([framed(wave)[start : start + N_FFT] * window for start in range(0, 50 * HOP, HOP)])
    power = np.abs(scipy.fft.rfft(frames, axis=1)) ** 2
    assert np.abs(log_mel(wave.astype(np.float32)) - scaled(mel_filters() @ power.T)).max() < 1e-3


def test_filters_are_positive_and_ascend() -> None:
    filters = mel_filters()
    assert filters.shape == (N_MELS, N_FFT // 2 + 1) and (filters >= 0).all() and (filters.sum(1) > 0).all()
    assert (np.diff(filters.argmax(1)) >= 0).all(), "low bands first"


@pytest.mark.parametrize("hertz", [200, 500, 1_000, 2_500, 6_000])
def test_a_tone_is_loudest_in_its_band(hertz: int) -> None:
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(8_000) / SAMPLE_RATE)
    bands = log_mel(wave.astype(np.float32))[:, 5:-5].mean(1)
    centres = librosa.mel_frequencies(N_MELS + 2, fmin=0, fmax=SAMPLE_RATE / 2)[1:-1]
    assert abs(bands.argmax() - np.abs(centres - hertz).argmin()) <= 1


@pytest.mark.parametrize("milliseconds", [5.0, 15.0, 123.0, 127.0, 400.1, 689.9, 995.0])
def test_a_click_is_loudest_in_its_hop(milliseconds: float) -> None:
    wave = np.zeros(SAMPLE_RATE, np.float32)
    wave[round(milliseconds * 16)] = 1
    spectrogram = log_mel(wave)
    assert spectrogram.mean(0).argmax() == int(milliseconds // 10)
    raised = np.flatnonzero(spectrogram.max(0) > -1)
    assert raised.min() >= milliseconds // 10 - 2 and raised.max() <= milliseconds // 10 + 2


def test_the_spectrogram_does_not_depend_on_loudness() -> None:
    loud = noise(16_000)
    for factor in (0.5, 0.1, 0.05, 2.0, 30.0):
        assert np.abs(log_mel(loud * np.float32(factor)) - log_mel(loud)).max() < 1e-3, factor


def test_values_lie_between_minus_1_and_1_and_silence_stays_low() -> None:
    spectrogram = log_mel(noise(16_000))
    assert spectrogram.max() == pytest.approx(1) and spectrogram.min() >= -1
    silent = log_mel(np.zeros(16_000, np.float32))
    assert silent.shape == (N_MELS, 100) and np.isfinite(silent).all() and silent.max() <= -0.2
    quiet = log_mel(np.random.default_rng(0).uniform(-1e-6, 1e-6, 16_000).astype(np.float32))
    assert quiet.max() < 0.5, "the hiss of an empty recording does not look like audio"


def test_short_audio_has_at_least_one_hop() -> None:
    assert log_mel(np.zeros(0, np.float32)).shape == (N_MELS, 1)
    assert log_mel(np.ones(1, np.float32)).shape == (N_MELS, 1)
    assert log_mel(np.ones(HOP, np.float32)).shape == (N_MELS, 1)
    assert log_mel(np.ones(HOP + 1, np.float32)).shape == (N_MELS, 2)


@pytest.mark.parametrize(("rate", "target"), [(44_100, 16_000), (8_000, 16_000), (16_000, 48_000)])
def test_resampling_is_that_of_librosa_to_the_bit(rate: int, target: int) -> None:
    wave = noise(rate // 2)
    assert np.array_equal(resample(wave, rate, target), librosa.resample(wave, orig_sr=rate, target_sr=target))


FIRST_VIEW = """
import io, sys, soundfile
sys.path.insert(0, "tests")
from records import plain
import numpy as np
import mmviz
from mmviz.report import ViewerData

sound = io.BytesIO()
soundfile.write(sound, np.sin(np.arange(22_050) / 9) * 0.3, 44_100, format="WAV")
assert mmviz.make_sample(audio=sound.getvalue()).audio.rate == 16_000
assert b'"mel"' in ViewerData(plain()).to_bytes()
print([name for name in ("librosa", "numba") if name in sys.modules])
"""


@pytest.mark.slow
def test_a_first_view_waits_for_no_librosa() -> None:
    """A recorded run is shown, and a sound read, before it is imported."""
    done = subprocess.run([sys.executable, "-c", FIRST_VIEW], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.stdout == "[]\n", done.stderr
