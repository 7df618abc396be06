"""Sounds of the world: one spoken word, alone or in a phrase, at any time and loudness, with noise.

About half are clean or nearly so; the others come from a room, by telephone, over hum, music or a second voice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mmviz.inputs.mel import SAMPLE_RATE
from mmviz.training.world.speech_augmentation import (
    Wave as Wave,
)
from mmviz.training.world.speech_augmentation import (
    beneath,
    by_telephone,
    clipped,
    hum,
    in_room,
    music,
    noise,
    rms,
    through_codec,
    through_microphone,
    with_clicks,
)
from mmviz.training.world.speech_bank import CARRIERS

Clip = Callable[[str], Wave]
"""Maps a text to float32 mono at 16 kHz, spoken by one voice."""

EFFECTS = {
    "room": 0.22, "telephone": 0.12, "codec": 0.14, "hum": 0.1, "voice": 0.14, "music": 0.14, "clicks": 0.07,
    "clipping": 0.07,
}  # fmt: skip
"""How often each is chosen, among the sounds that have any."""
_HARD = 0.5  # share of the sounds with one or two of the effects
_MICROPHONE = 0.6
_LOUD_NOISE = 0.08  # share with noise 2 to 8 dB below the word


@dataclass(frozen=True)
class Sound:
    """A sound with one spoken word."""

    wave: Wave
    """``[sample]`` at 16 kHz."""
    word: str
    """The word of the world that is spoken."""
    start: float
    """Start of the word, in seconds."""
    end: float
    """End of the word, in seconds."""
    busy: bool
    """Whether there is a carrier phrase or a second sound besides the word."""


def compose_sound(
    rng: np.random.Generator,
    word: str,
    clip: Clip,
    busy: bool | None = None,
    strength: float = 1.0,
    others: Callable[[], Wave] | None = None,
) -> Sound:
    """Speaks ``word`` at a random time within up to 4 s.

    ``busy``: add a carrier phrase or a second sound (None: at random); ``strength`` 0..1 scales noise and distortion;
    ``others`` gives other words of another voice, which is heard quietly in some sounds.
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
    effects = _choose_effects(rng, strength)
    if rng.random() < _MICROPHONE * strength:
        wave = through_microphone(rng, wave)
    if "room" in effects:
        wave = in_room(rng, wave)
    level = rms(wave[start:end])
    if 0.5 < extra < 1.0:
        wave = _with_second_sound(rng, wave, start, end)
    wave = _with_background(rng, wave, level, start, effects, others)
    decibel = rng.uniform(2, 8) if rng.random() < _LOUD_NOISE * strength else rng.uniform(8, 48)
    wave = wave + strength * level * 10 ** (-decibel / 20) * noise(rng, total)
    if "clipping" in effects:
        wave = clipped(rng, wave)
    if "telephone" in effects:
        wave = by_telephone(rng, wave)
    if "codec" in effects:
        wave = through_codec(rng, wave)
    gain = 10 ** (-rng.uniform(0, 30) / 20)
    wave = wave / max(1e-6, float(np.abs(wave).max())) * gain
    return Sound(wave.astype(np.float32), word, start / SAMPLE_RATE, end / SAMPLE_RATE, busy)


def _choose_effects(rng: np.random.Generator, strength: float) -> set[str]:
    """Returns none of the effects, one or two."""
    if rng.random() >= _HARD * strength:
        return set()
    return set(rng.choice(list(EFFECTS), int(rng.integers(1, 3)), replace=False, p=list(EFFECTS.values())).tolist())


def _with_background(
    rng: np.random.Generator, wave: Wave, level: float, start: int, effects: set[str],
    others: Callable[[], Wave] | None,
) -> Wave:  # fmt: skip
    """Returns the sound with what is heard beneath a word, of root mean square ``level``, that begins at ``start``."""
    if "hum" in effects:
        wave = beneath(wave, level, hum(rng, len(wave)), rng.uniform(3, 25))
    if "music" in effects:
        wave = beneath(wave, level, music(rng, len(wave)), rng.uniform(7, 25))
    if "voice" in effects and others is not None:
        said = np.zeros(len(wave), np.float32)
        at = 0
        while at < len(wave):
            part = others()[: len(wave) - at]
            said[at : at + len(part)] = part
            at += len(part) + int(rng.uniform(0.02, 0.6) * SAMPLE_RATE)
        wave = beneath(wave, level, said, rng.uniform(8, 22))
    return with_clicks(rng, wave, start) if "clicks" in effects else wave


def _resampled(wave: Wave, speed: float) -> Wave:
    length = int(len(wave) / speed)
    return np.asarray(np.interp(np.arange(length) * speed, np.arange(len(wave)), wave), np.float32)


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
