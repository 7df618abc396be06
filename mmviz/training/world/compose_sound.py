"""Sounds of the world: one spoken word, alone or in a phrase, at any time and loudness, with noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from mmviz.inputs.mel import SAMPLE_RATE
from mmviz.training.world.speech_bank import CARRIERS

Wave = NDArray[np.float32]
Clip = Callable[[str], Wave]
"""Maps a text to float32 mono at 16 kHz, spoken by one voice."""


@dataclass(frozen=True)
class Sound:
    """A sound with one spoken word."""

    wave: Wave
    """``[sample]`` at 16 kHz."""
    word: str
    start: float
    """Start of the word, in seconds."""
    end: float
    """End of the word, in seconds."""
    busy: bool
    """Whether there is a carrier phrase or a second sound besides the word."""


def compose_sound(
    rng: np.random.Generator, word: str, clip: Clip, busy: bool | None = None, strength: float = 1.0
) -> Sound:
    """Speaks ``word`` at a random time within up to 4 s.

    ``busy``: add a carrier phrase or a second sound (None: at random); ``strength`` 0..1 scales noise and distortion.
    """
    speed = float(np.exp(rng.normal(0, 0.06 * strength)))
    spoken = _resampled(clip(word), speed)
    busy = bool(rng.random() < 0.6) if busy is None else busy
    extra = rng.random() if busy else 1.0
    parts = [spoken]
    if extra < 0.65:
        carrier = _resampled(clip(CARRIERS[int(rng.integers(len(CARRIERS)))]), speed)
        parts = [carrier, np.zeros(int(rng.uniform(0.02, 0.12) * SAMPLE_RATE), np.float32), spoken]
    phrase = np.concatenate(parts)[: int(3.9 * SAMPLE_RATE)]
    total = int(rng.uniform(len(phrase), max(len(phrase) + 1600, 4.0 * SAMPLE_RATE)))
    total = int(min(max(total, len(phrase) + 800), 4 * SAMPLE_RATE))
    offset = int(rng.integers(0, max(1, total - len(phrase))))
    wave = np.zeros(total, np.float32)
    wave[offset : offset + len(phrase)] = phrase
    end = min(offset + len(phrase), total)
    start = end - len(spoken)
    wave = _with_room(rng, wave, strength)
    if 0.5 < extra < 1.0:
        wave = _with_second_sound(rng, wave, start, end)
    noise = 10 ** (-rng.uniform(10, 50) / 20) * strength
    wave = wave + noise * 0.15 * _noise(rng, total)
    gain = 10 ** (-rng.uniform(0, 30) / 20)
    wave = wave / max(1e-6, float(np.abs(wave).max())) * gain
    return Sound(wave.astype(np.float32), word, start / SAMPLE_RATE, end / SAMPLE_RATE, busy)


def _resampled(wave: Wave, speed: float) -> Wave:
    length = int(len(wave) / speed)
    return np.asarray(np.interp(np.arange(length) * speed, np.arange(len(wave)), wave), np.float32)


def _noise(rng: np.random.Generator, length: int) -> Wave:
    white = rng.standard_normal(length).astype(np.float32)
    if rng.random() < 0.5:
        return white
    brown = np.cumsum(white, dtype=np.float32)
    kernel = 400
    brown[kernel:] -= brown[:-kernel].copy()
    return (brown / max(1e-6, float(brown.std()))).astype(np.float32)


def _with_room(rng: np.random.Generator, wave: Wave, strength: float) -> Wave:
    """Returns the sound through a random smooth filter (microphone) and, at times, a room's decay."""
    size = next_fast_len(len(wave), real=True)
    spectrum = rfft(wave, size)
    if rng.random() < 0.6 * strength:
        knots = rng.normal(0, 5, 6)
        decibel = np.interp(np.linspace(0, 5, len(spectrum)), np.arange(6), knots)
        spectrum = spectrum * 10 ** (decibel / 20)
    if rng.random() < 0.3 * strength:
        decay = rng.uniform(0.03, 0.15)
        tail = rng.standard_normal(int(decay * 3 * SAMPLE_RATE)) * 0.12
        tail *= np.exp(-np.arange(len(tail)) / (decay * SAMPLE_RATE))
        tail[0] = 1.0
        spectrum = spectrum * rfft(tail, size)
    return np.asarray(irfft(spectrum, size)[: len(wave)], np.float32)


def _with_second_sound(rng: np.random.Generator, wave: Wave, start: int, end: int) -> Wave:
    """Returns the sound with a burst, beep or chirp before or after the word, often louder than the speech."""
    before, after = start, len(wave) - end
    length = int(rng.uniform(0.08, 0.5) * SAMPLE_RATE)
    room = max(before, after)
    if room < SAMPLE_RATE // 12:
        return wave
    length = min(length, room)
    at = (
        int(rng.integers(0, before - length + 1)) if before >= after else int(rng.integers(end, len(wave) - length + 1))
    )
    time = np.arange(length) / SAMPLE_RATE
    kind = rng.integers(3)
    if kind == 0:
        burst = rng.standard_normal(length) * 0.3
    elif kind == 1:
        burst = np.sin(2 * np.pi * rng.uniform(200, 4000) * time)
    else:
        low, high = rng.uniform(200, 4000, 2)
        burst = np.sin(2 * np.pi * (low + (high - low) * time / (2 * time[-1] + 1e-6)) * time)
    wave = wave.copy()
    wave[at : at + length] += (burst * np.hanning(length) * rng.uniform(0.1, 1.2)).astype(np.float32)
    return wave
