"""What happens to speech in the world: the word stays where it is, and a person would still understand it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from made_up_tokens import Voices

from mmviz.inputs.mel import SAMPLE_RATE
from mmviz.training.world import compose_sound as compose_module
from mmviz.training.world import speech_augmentation as effects
from mmviz.training.world.compose_sound import EFFECTS, Wave, compose_sound

pytestmark = pytest.mark.slow

START, END = 20_000, 30_000


def speech_like(seed: int = 0, length: int = END - START) -> Wave:
    """A buzz whose pitch rises and falls, in syllables, through resonances. It is like itself at no other time."""
    rng = np.random.default_rng(seed)
    time = np.arange(length) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(150 + 60 * np.sin(2 * np.pi * 1.7 * time)) / SAMPLE_RATE
    formant = rng.uniform(400, 2_500)
    strengths = [1 / order + np.exp(-(((150 * order - formant) / 200) ** 2)) for order in range(1, 25)]
    wave = np.array(strengths) @ np.sin(np.arange(1, 25)[:, None] * phase)
    wave = wave * np.abs(np.sin(2 * np.pi * 4 * time)) + rng.standard_normal(length) * 0.02
    return (0.5 * wave / np.abs(wave).max()).astype(np.float32)


@pytest.fixture
def word() -> Wave:
    wave = np.zeros(60_000, np.float32)
    wave[START:END] = speech_like()
    return wave


def beneath(make: Callable[[np.random.Generator, int], np.ndarray]) -> Callable[[np.random.Generator, Wave], Wave]:
    return lambda rng, wave: effects.beneath(wave, effects.rms(wave[START:END]), make(rng, len(wave)), 8)


CHANGES: dict[str, Callable[[np.random.Generator, Wave], Wave]] = {
    "microphone": effects.through_microphone,
    "room": effects.in_room,
    "telephone": effects.by_telephone,
    "clipping": effects.clipped,
    "clicks": lambda rng, wave: effects.with_clicks(rng, wave, START),
    "hum": beneath(effects.hum),
    "music": beneath(effects.music),
    "noise": beneath(effects.noise),
    **{
        name: lambda rng, wave, name=name: effects.through_codec(rng, wave, name)  # type: ignore[misc]
        for name in effects.CODECS
        if name in effects.av.codecs_available
    },
}


def lag(changed: Wave, wave: Wave) -> int:
    """By how many samples ``changed`` is late, where their cross-correlation is largest."""
    size = 2 * len(wave)
    product = np.fft.irfft(np.fft.rfft(changed, size) * np.conj(np.fft.rfft(wave, size)))
    late = int(np.argmax(product))
    return late if late < len(wave) else late - size


@pytest.mark.parametrize("name", CHANGES)
def test_the_word_stays_where_it_is(name: str, word: Wave) -> None:
    for seed in range(8):
        changed = CHANGES[name](np.random.default_rng(seed), word)
        assert changed.shape == word.shape and changed.dtype == np.float32 and np.isfinite(changed).all()
        assert np.abs(changed - word).max() > 1e-4
        assert abs(lag(changed, word)) <= 4  # a quarter of a millisecond


def test_a_telephone_passes_its_band_alone(word: Wave) -> None:
    rng = np.random.default_rng(0)
    white = rng.standard_normal(32_000).astype(np.float32)
    power = np.abs(np.fft.rfft(effects.by_telephone(rng, white))) ** 2
    hertz = np.fft.rfftfreq(32_000, 1 / SAMPLE_RATE)
    inside = power[(hertz > 400) & (hertz < 3_300)].mean()
    assert power[hertz > 4_010].max() < 1e-4 * inside, "nothing above half of 8 kHz"
    assert power[hertz < 150].mean() < 0.02 * inside
    narrow = effects.by_telephone(rng, word)
    assert 0.5 < np.corrcoef(narrow, word)[0, 1] < 0.999


@pytest.mark.parametrize("decibel", [0.0, 8.0, 20.0])
def test_what_is_beneath_is_as_quiet_as_asked(decibel: float) -> None:
    rng = np.random.default_rng(2)
    wave, other = speech_like(), rng.standard_normal(END - START)
    added = effects.beneath(wave, effects.rms(wave), other, decibel) - wave
    assert 20 * np.log10(effects.rms(wave) / effects.rms(added)) == pytest.approx(decibel, abs=0.01)


def test_clicks_come_before_the_word(word: Wave) -> None:
    for seed in range(20):
        clicked = effects.with_clicks(np.random.default_rng(seed), word, START)
        assert (clicked[START:] == word[START:]).all() and np.abs(clicked[:START]).max() > 0
    assert (effects.with_clicks(np.random.default_rng(0), word, 0) == word).all()


def test_a_room_rings_after_the_word_alone(word: Wave) -> None:
    last = np.roll(word, len(word) - END)
    for seed in range(8):
        assert np.abs(effects.in_room(np.random.default_rng(seed), last)[:START]).max() < 1e-4, (
            "it rings into the start"
        )
        echoed = effects.in_room(np.random.default_rng(seed), word)
        assert np.abs(echoed[:START]).max() < 1e-4, "nothing sounds before its cause"
        assert np.abs(echoed[END : END + 1_600]).max() > 1e-3


def sounds(count: int, strength: float = 1.0, **options: object) -> list[compose_module.Sound]:
    clips = {"cat": speech_like(1, 7_000)}
    return [
        compose_sound(
            np.random.default_rng(seed), "cat", lambda text: clips.get(text, speech_like(2, 9_000)), strength=strength,
            **options,  # type: ignore[arg-type]
        )
        for seed in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("effect", EFFECTS)
def test_the_interval_holds_the_word_under_each_effect(effect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compose_module, "_choose_effects", lambda rng, strength: {effect})
    spoken = speech_like(1, 7_000)
    for seed in range(6):
        sound = compose_sound(
            np.random.default_rng(seed), "cat", lambda text: spoken, busy=False, others=lambda: speech_like(3, 5_000)
        )
        alone = np.zeros(len(sound.wave), np.float32)
        start, end = round(sound.start * SAMPLE_RATE), round(sound.end * SAMPLE_RATE)
        alone[start:end] = compose_module._resampled(spoken, len(spoken) / (end - start + 0.5))[: end - start]
        assert abs(lag(sound.wave, alone)) <= 40  # 2.5 ms


def test_about_half_of_the_sounds_are_without_effects() -> None:
    chosen = [compose_module._choose_effects(np.random.default_rng(seed), 1.0) for seed in range(2_000)]
    assert 0.45 < np.mean([not names for names in chosen]) < 0.55
    assert set().union(*chosen) == set(EFFECTS) and max(map(len, chosen)) == 2
    assert sum(EFFECTS.values()) == pytest.approx(1)


@pytest.mark.slow
def test_noise_leaves_the_word_to_be_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compose_module, "_choose_effects", lambda rng, strength: set())
    monkeypatch.setattr(compose_module, "_MICROPHONE", 0.0)
    ratios = []
    for sound in sounds(400, busy=False):
        inside = slice(round(sound.start * SAMPLE_RATE), round(sound.end * SAMPLE_RATE))
        rest = np.delete(sound.wave, np.r_[inside])
        if len(rest) > 2_000:
            ratios.append(20 * np.log10(effects.rms(sound.wave[inside]) / effects.rms(rest)))
    assert len(ratios) > 300 and np.mean(np.array(ratios) < 8) < 0.12 and min(ratios) > 2


def test_a_second_voice_is_quieter_than_the_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compose_module, "_choose_effects", lambda rng, strength: {"voice"})
    monkeypatch.setattr(compose_module, "_MICROPHONE", 0.0)
    asked: list[int] = []

    def others() -> Wave:
        asked.append(1)
        return speech_like(3, 5_000)

    for sound in sounds(40, busy=False, others=others):
        inside = slice(round(sound.start * SAMPLE_RATE), round(sound.end * SAMPLE_RATE))
        rest = np.delete(sound.wave, np.r_[inside])
        if len(rest) > 8_000:
            assert effects.rms(rest) < 0.75 * effects.rms(sound.wave[inside])
    assert len(asked) >= 40


@pytest.mark.slow
def test_a_sound_comes_from_its_seed_and_fits_in_four_seconds() -> None:
    first, second = sounds(30), sounds(30)
    for sound, other in zip(first, second, strict=True):
        assert (sound.wave == other.wave).all() and (sound.start, sound.end) == (other.start, other.end)
        assert 0 <= sound.start < sound.end <= len(sound.wave) / SAMPLE_RATE <= 4
        assert np.isfinite(sound.wave).all() and 0.02 < np.abs(sound.wave).max() <= 1.0001


def test_without_strength_a_word_is_left_as_it_is() -> None:
    clip = Voices().clip("tone", "cat")
    sound = compose_sound(np.random.default_rng(3), "cat", lambda text: clip, busy=False, strength=0.0)
    start = round(sound.start * SAMPLE_RATE)
    spoken = sound.wave[start : start + len(clip)]
    assert (
        np.corrcoef(spoken, clip)[0, 1] > 0.9999
        and np.abs(np.delete(sound.wave, np.r_[start : start + len(clip)])).max() < 1e-6
    )
