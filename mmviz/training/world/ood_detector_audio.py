"""Sounds without speech for the out-of-distribution detector: noise, tones, tunes and beats, made by rule."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmviz.inputs.mel import SAMPLE_RATE
from mmviz.training.world.compose_sound import Wave


def noise_sound(rng: np.random.Generator) -> Wave:
    """Returns a sound without speech: coloured noise, hum, a tone, knocks, a random tune or beat."""
    length = int(SAMPLE_RATE * (rng.uniform(0.3, 4) if rng.random() < 0.5 else 4))
    time = np.arange(length) / SAMPLE_RATE
    kind = rng.integers(8)
    if kind < 2:
        wave = coloured_noise(rng, length, [0.0, rng.uniform(-1, 2.2)][kind])
    elif kind == 2:
        wave = coloured_noise(rng, length, rng.uniform(-1, 2))
        wave *= 1 + rng.uniform(0.3, 1) * np.sin(2 * np.pi * rng.uniform(0.2, 12) * time)
    elif kind == 3:
        wave = _hum(rng, length)
    elif kind == 4:
        low, high = rng.uniform(80, 6000, 2)
        glide = rng.random() < 0.5
        wave = np.sin(2 * np.pi * (low + glide * (high - low) * time / (2 * time[-1])) * time)
        wave += rng.uniform(0, 0.2) * rng.standard_normal(length)
    elif kind == 5:
        wave = 1e-3 * rng.standard_normal(length)
        for start in rng.integers(0, length, int(rng.integers(3, 400))):
            knock = rng.standard_normal(int(rng.uniform(0.003, 0.12) * SAMPLE_RATE))[: length - start]
            wave[start : start + len(knock)] += knock * np.exp(-4 * np.linspace(0, 1, len(knock))) * rng.random()
    elif kind == 6:
        wave = _tune(rng, length)
    else:
        wave = _beat(rng, length) + (rng.random() < 0.5) * rng.uniform(0.05, 1) * _tune(rng, length)
    return _at_random_level(rng, wave)


def coloured_noise(rng: np.random.Generator, length: int, slope: float) -> NDArray[np.floating]:
    """Returns noise with power ``1 / f ** slope``: 0 white, 1 pink, 2 brown, -1 blue."""
    hertz = np.maximum(np.fft.rfftfreq(length, 1 / SAMPLE_RATE), 20)
    return np.fft.irfft(np.fft.rfft(rng.standard_normal(length)) * hertz ** (-slope / 2), length)


def _hum(rng: np.random.Generator, length: int) -> NDArray[np.floating]:
    phase = 2 * np.pi * rng.choice([50, 60, 100]) * np.arange(length) / SAMPLE_RATE
    tones = [
        rng.uniform(0.1, 1) / k * np.sin(k * phase + rng.uniform(0, 6)) for k in range(1, int(rng.integers(3, 20)))
    ]
    hum: NDArray[np.floating] = np.sum(tones, axis=0) + rng.uniform(0, 0.1) * rng.standard_normal(length)
    return hum


def _tune(rng: np.random.Generator, length: int) -> NDArray[np.floating]:
    """Returns notes of one to four tones with overtones, each with an attack and a decay."""
    wave, start = 1e-4 * rng.standard_normal(length), 0
    note, fade = int(rng.uniform(0.1, 0.8) * SAMPLE_RATE), rng.uniform(0.5, 6)
    while start < length:
        time = np.arange(min(int(note * rng.choice([1, 1, 2, 4])), length - start)) / SAMPLE_RATE
        for pitch in rng.integers(40, 90, int(rng.integers(1, 5))):
            hertz = 440 * 2 ** ((pitch - 69) / 12)
            tones = [np.sin(2 * np.pi * hertz * k * time) / k ** rng.uniform(0.7, 2) for k in range(1, 7)]
            ring = np.minimum(time / 0.01, 1) * np.exp(-fade * time)
            wave[start : start + len(time)] += ring * np.sum(tones, axis=0)
        start += len(time)
    return wave


def _beat(rng: np.random.Generator, length: int) -> NDArray[np.floating]:
    """Returns two to four drums, each with a repeated pattern of eight steps."""
    wave = 10 ** -rng.uniform(2, 4) * rng.standard_normal(length)
    step = int(rng.uniform(0.08, 0.3) * SAMPLE_RATE)
    time = np.arange(int(0.4 * SAMPLE_RATE)) / SAMPLE_RATE
    for _ in range(int(rng.integers(2, 5))):
        glide = rng.uniform(50, 300) * (time + rng.uniform(0, 0.05) * (1 - np.exp(-30 * time)))
        snare = coloured_noise(rng, len(time), rng.uniform(-1.5, 1.5))
        drum = np.sin(2 * np.pi * glide) if rng.random() < 0.5 else 0.5 * snare / snare.std()
        drum = drum * np.exp(-rng.uniform(6, 60) * time) * rng.uniform(0.2, 1)
        pattern = rng.random(8) < rng.uniform(0.2, 0.9)
        for k, start in enumerate(range(0, length, step)):
            if pattern[k % 8]:
                wave[start : start + len(drum)] += drum[: length - start]
    return wave


def _at_random_level(rng: np.random.Generator, wave: NDArray[np.floating]) -> Wave:
    level = 10 ** (-rng.uniform(0, 30) / 20) / max(1e-6, float(np.abs(wave).max()))
    return np.asarray(wave * level, np.float32)
