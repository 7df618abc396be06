"""What happens to speech on its way: rooms, telephones, codecs, hum, music, clicks and clipping.

Each function keeps the length of a sound, float32 ``[sample]`` at 16 kHz, and when everything in it sounds.
"""

from __future__ import annotations

from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from mmviz.inputs.mel import SAMPLE_RATE
from mmviz.inputs.resample import resample

Wave = NDArray[np.float32]

PHONE_BAND = 300, 3400
"""Hertz."""
_MU = 255
CODECS = {
    "libopencore_amrnb": ("amrnb", 8_000, 4_750, 12_200, 39),
    "libopus": ("libopus", 16_000, 6_000, 16_000, 0),
    "g722": ("g722", 16_000, 64_000, 64_000, 22),
}
"""Encoder: decoder, samples per second, bits per second from and to, and how many samples later it sounds."""


def rms(wave: Wave) -> float:
    """Returns the root mean square."""
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) if wave.size else 0.0


def beneath(wave: Wave, level: float, other: NDArray[np.floating], decibel: float) -> Wave:
    """Returns ``wave`` with ``other`` beneath it, ``decibel`` below ``level``, a root mean square."""
    scale = level * 10 ** (-decibel / 20) / max(1e-9, rms(np.asarray(other, np.float32)))
    return (wave + scale * other).astype(np.float32)


def noise(rng: np.random.Generator, length: int) -> Wave:
    """Returns white or low noise."""
    white = rng.standard_normal(length).astype(np.float32)
    if rng.random() < 0.5:
        return white
    brown = np.cumsum(white, dtype=np.float32)
    kernel = 400
    brown[kernel:] -= brown[:-kernel].copy()
    return (brown / max(1e-6, float(brown.std()))).astype(np.float32)


def through_microphone(rng: np.random.Generator, wave: Wave) -> Wave:
    """Returns the sound through a random smooth filter."""
    size = next_fast_len(len(wave), real=True)
    spectrum = rfft(wave, size)
    knots = rng.normal(0, 5, 6)
    decibel = np.interp(np.linspace(0, 5, len(spectrum)), np.arange(6), knots)
    return np.asarray(irfft(spectrum * 10 ** (decibel / 20), size)[: len(wave)], np.float32)


def in_room(rng: np.random.Generator, wave: Wave) -> Wave:
    """Returns the sound in a room: straight to the ear, and with a tail of reflections, from 12 dB below to 2 dB above.

    The tail loses 60 dB in 0.2 to 0.9 s, high tones sooner.
    """
    seconds = rng.uniform(0.2, 0.9)
    length = int(seconds * SAMPLE_RATE)
    tail = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    dull = int(rng.integers(1, 5))  # the mean of so many samples
    tail = np.convolve(tail, np.ones(dull) / dull)[:length]
    tail[: int(rng.uniform(0.002, 0.012) * SAMPLE_RATE)] = 0  # the first wall is some metres away
    tail *= 10 ** (-rng.uniform(-2, 12) / 20) / max(1e-9, float(np.sqrt(np.sum(tail**2))))
    tail[0] = 1.0
    size = next_fast_len(len(wave) + length, real=True)
    return np.asarray(irfft(rfft(wave, size) * rfft(tail, size), size)[: len(wave)], np.float32)


def by_telephone(rng: np.random.Generator, wave: Wave) -> Wave:
    """Returns the sound by an ordinary telephone: 300 to 3400 Hz, 8 kHz, 8-bit mu-law (ITU-T G.711)."""
    size = 4 * next_fast_len(-(-len(wave) // 4) + 256)
    hertz = np.arange(size // 2 + 1) * SAMPLE_RATE / size
    low, high = PHONE_BAND
    band = np.clip((hertz - low) / 100 + 1, 0, 1) * np.clip((high - hertz) / 200 + 1, 0, 1)
    spectrum = rfft(wave, size) * band
    narrow = irfft(spectrum[: size // 4 + 1], size // 2) / 2  # each other sample
    peak = max(1e-9, float(np.abs(narrow).max())) / 10 ** (-rng.uniform(0, 20) / 20)
    squeezed = np.sign(narrow) * np.log1p(_MU * np.abs(narrow) / peak) / np.log1p(_MU)
    steps = np.round(squeezed * 127) / 127
    narrow = np.sign(steps) * np.expm1(np.abs(steps) * np.log1p(_MU)) / _MU * peak
    return np.asarray(irfft(np.pad(rfft(narrow), (0, size // 4)), size)[: len(wave)] * 2, np.float32)


def through_codec(rng: np.random.Generator, wave: Wave, name: str | None = None) -> Wave:
    """Returns the sound through one of `CODECS`, those of calls at low rates: AMR, Opus and G.722 (None: any of them).

    A build of PyAV without them leaves a plain telephone.
    """
    names = [codec for codec in CODECS if codec in av.codecs_available]
    if not names:
        return by_telephone(rng, wave)
    name = name or names[int(rng.integers(len(names)))]
    decoder_name, rate, least, most, late = CODECS[name]
    peak = max(1e-9, float(np.abs(wave).max()))
    narrow = wave if rate == SAMPLE_RATE else resample(wave, SAMPLE_RATE, rate)
    encoder = cast(AudioCodecContext, AudioCodecContext.create(name, "w"))
    encoder.sample_rate, encoder.layout, encoder.format = rate, "mono", "s16"
    encoder.bit_rate = int(rng.integers(least, most + 1))
    encoder.time_base = Fraction(1, rate)
    size = rate // 50
    whole = np.pad(np.round(narrow / peak * 20_000).astype(np.int16), (0, -len(narrow) % size + 2 * size))
    packets = []
    for start in range(0, len(whole), size):
        frame = av.AudioFrame.from_ndarray(whole[None, start : start + size], "s16", "mono")
        frame.sample_rate, frame.pts = rate, start
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoder = cast(AudioCodecContext, AudioCodecContext.create(decoder_name, "r"))
    decoder.sample_rate, decoder.layout, decoder.extradata = rate, "mono", encoder.extradata
    parts = [frame.to_ndarray().ravel() for packet in packets for frame in decoder.decode(packet)]
    samples = np.concatenate(parts)
    scale = peak / 20_000 * (1 if samples.dtype == np.int16 else 32_768)
    heard = samples.astype(np.float32) * np.float32(scale)
    if decoder.sample_rate != SAMPLE_RATE:
        heard = resample(heard, decoder.sample_rate, SAMPLE_RATE)
    shift = late * SAMPLE_RATE // rate
    heard = heard[shift : shift + len(wave)]
    return np.pad(heard, (0, len(wave) - len(heard))).astype(np.float32)


def hum(rng: np.random.Generator, length: int) -> NDArray[np.float64]:
    """Returns the hum of the mains, 50 or 60 Hz, with its harmonics."""
    time = np.arange(length) / SAMPLE_RATE
    base = float(rng.choice([50, 60])) * rng.uniform(0.998, 1.002)
    orders = np.arange(1, int(rng.integers(4, 14)))
    strengths = rng.uniform(0.2, 1, len(orders)) * orders ** -rng.uniform(0.3, 1.5)
    phases = rng.uniform(0, 2 * np.pi, len(orders))
    return np.asarray(strengths @ np.sin(2 * np.pi * base * orders[:, None] * time + phases[:, None]))


def music(rng: np.random.Generator, length: int) -> NDArray[np.float64]:
    """Returns chords of struck or held tones, some a second."""
    played = np.zeros(length)
    start = 0
    scale = np.array([0, 3, 4, 5, 7, 9, 10, 12])  # semitones above the lowest note
    root = 110 * 2 ** (int(rng.integers(0, 24)) / 12)
    fall = rng.uniform(0, 4)
    while start < length:
        count = min(length - start, int(rng.uniform(0.2, 1.2) * SAMPLE_RATE))
        time = np.arange(count) / SAMPLE_RATE
        envelope = np.minimum(1, time / 0.02) * np.exp(-fall * time) * np.minimum(1, time[::-1] / 0.02)
        for semitone in rng.choice(scale, int(rng.integers(1, 4)), replace=False):
            hertz = root * 2 ** (semitone / 12)
            for order in (1, 2, 3):
                played[start : start + count] += envelope * np.sin(2 * np.pi * hertz * order * time) / order**1.5
        start += count
    return played


def with_clicks(rng: np.random.Generator, wave: Wave, start: int) -> Wave:
    """Returns the sound with one to three clicks before sample ``start``, as of a button or a mouse."""
    clicked = wave.copy()
    for _ in range(int(rng.integers(1, 4))):
        length = int(rng.uniform(0.001, 0.008) * SAMPLE_RATE)
        if start <= length:
            break
        at = int(rng.integers(0, start - length))
        click = rng.standard_normal(length) * np.exp(-5 * np.arange(length) / length)
        clicked[at : at + length] += click * rng.uniform(0.05, 0.4)
    return clicked


def clipped(rng: np.random.Generator, wave: Wave) -> Wave:
    """Returns the sound cut off at 0.2 to 0.7 of its peak."""
    limit = rng.uniform(0.2, 0.7) * float(np.abs(wave).max())
    return np.clip(wave, -limit, limit)
