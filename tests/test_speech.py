"""Speech synthesis and the clip bank."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mmviz.training.world.speech_bank import (
    HELD_OUT_VOICES,
    SAMPLE_RATE,
    TRAIN_VOICES,
    SpeechBank,
    synthesise,
)

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")


def test_held_out_voices_are_disjoint_from_training() -> None:
    accents = {voice.accent for voice in TRAIN_VOICES}
    variants = {voice.variant for voice in TRAIN_VOICES}
    assert "en-029" not in accents
    assert not {"f4", "m7"} & variants
    names = [voice.name for voice in (*TRAIN_VOICES, *HELD_OUT_VOICES)]
    assert len(names) == len(set(names))


@needs_espeak
def test_synthesise_gives_speech_at_16_khz() -> None:
    for voice in HELD_OUT_VOICES:
        clip = synthesise("elephant", voice)
        assert clip.dtype == np.float32 and clip.ndim == 1
        assert 0.3 < clip.size / SAMPLE_RATE < 1.5
        assert np.abs(clip).max() == pytest.approx(0.5, abs=1e-3)
        assert np.sqrt(np.mean(clip**2)) > 0.02


@needs_espeak
def test_variants_sound_different() -> None:
    """A variant that espeak-ng ignored would give the plain accent again."""
    chosen = {voice.variant: voice for voice in TRAIN_VOICES if voice.accent == "en-gb"}
    lengths_and_sums = set()
    for voice in chosen.values():
        same = type(voice)(voice.name, voice.accent, voice.variant, 150, 50)
        clip = synthesise("kettle", same)
        lengths_and_sums.add((clip.size, round(float(np.abs(clip).sum()), 3)))
    assert len(lengths_and_sums) == len(chosen)


@needs_espeak
def test_bank_round_trip(tmp_path: Path) -> None:
    voices, words = TRAIN_VOICES[:2], ("cat", "house")
    calls: list[tuple[int, int]] = []
    SpeechBank.build(tmp_path / "bank", voices, words, lambda *progress: calls.append(progress))
    bank = SpeechBank.open(tmp_path / "bank")
    assert bank.voices == [voice.name for voice in voices]
    assert calls[-1] == (4, 4)
    for voice in voices:
        for word in words:
            expected = synthesise(word, voice)
            assert np.abs(bank.clip(voice.name, word) - expected).max() < 1e-4
    assert [p.name for p in tmp_path.iterdir()] == ["bank"]
