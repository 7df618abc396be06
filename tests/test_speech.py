"""Voices, synthesisers and the bank of clips."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmviz.inputs.mel import SAMPLE_RATE
from mmviz.training.world import espeak, neural_voices, speech_bank, synthesisers
from mmviz.training.world.speech_bank import SHARES, SpeechBank, open_bank, open_or_build
from mmviz.training.world.synthesisers import Audio, install_command, is_installed, synthesise, synthesise_all
from mmviz.training.world.voices import HELD_OUT_VOICES, TRAIN_VOICES, Engine, Voice
from mmviz.types import MmvizError

ESPEAK_HELD_OUT = HELD_OUT_VOICES[:3]
BY_NAME = {voice.name: voice for voice in (*TRAIN_VOICES, *HELD_OUT_VOICES)}
RESERVED = {"kal", "awb", "rms", "slt", "kal16", "ap", "cmu"}
"""Voices for acceptance, as flite, Festival and others name them."""


def needs(engine: Engine) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not is_installed(engine), reason=f"{engine} is not installed")


class Synthesiser:
    """Says each text as a tone of a length of its own, and keeps what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def __call__(self, texts: Sequence[str], voice: Voice) -> list[Audio]:
        self.asked.append((voice.name, tuple(texts)))
        return [tone(text, voice.name) for text in texts]


def tone(text: str, voice: str) -> Audio:
    pitch = hashlib.sha256(f"{text} {voice}".encode()).digest()[0] / 256 + 0.05
    return (0.5 * np.sin(np.arange(2_000 + 10 * len(text)) * pitch)).astype(np.float32)


@pytest.fixture
def synthesiser(monkeypatch: pytest.MonkeyPatch) -> Synthesiser:
    fake = Synthesiser()
    monkeypatch.setattr(speech_bank, "synthesise_all", fake)
    monkeypatch.setattr(speech_bank, "is_installed", lambda engine: True)
    return fake


def test_held_out_voices_are_disjoint_from_training() -> None:
    espeak_voices = [voice for voice in TRAIN_VOICES if voice.engine == "espeak-ng"]
    assert "en-029" not in {voice.accent for voice in espeak_voices}
    assert not {"f4", "m7"} & {voice.speaker for voice in espeak_voices}
    others = {(voice.engine, voice.speaker) for voice in TRAIN_VOICES if voice.engine != "espeak-ng"}
    assert not others & {(voice.engine, voice.speaker) for voice in HELD_OUT_VOICES}
    assert {voice.engine for voice in HELD_OUT_VOICES} == {"espeak-ng", "kokoro"}
    names = [voice.name.lower() for voice in (*TRAIN_VOICES, *HELD_OUT_VOICES)]
    assert len(names) == len(set(names)), "files of a bank differ by more than case"


def test_no_reserved_voice_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    scripts: list[str] = []
    monkeypatch.setattr(synthesisers.subprocess, "run", lambda command, input, **_: scripts.append(input.decode()))
    for voice in (*TRAIN_VOICES, *HELD_OUT_VOICES):
        assert not RESERVED & set(re.split(r"[^a-z0-9]+", f"{voice.name} {voice.speaker}".lower()))
        if voice.engine == "festival":
            synthesisers._festival(["cat"], voice)
    assert scripts and all(re.findall(r"\(voice_\w+\)", script) == ["(voice_ked_diphone)"] for script in scripts)
    assert all(script.startswith("(voice_ked_diphone)") for script in scripts), "never its default voice"


@needs("espeak-ng")
def test_synthesise_gives_speech_at_16_khz() -> None:
    for voice in ESPEAK_HELD_OUT:
        check_word(synthesise("elephant", voice))


@needs("festival")
def test_festival_speaks_with_kurts_voice_alone() -> None:
    words = [voice for voice in TRAIN_VOICES if voice.engine == "festival"]
    lengths = {}
    for voice in words:
        word, carrier = synthesise_all(["elephant", "look, a"], voice)
        check_word(word)
        lengths[voice.name] = word.size
        assert 0.15 < carrier.size / SAMPLE_RATE < 0.7
    assert lengths["festival-ked+low"] > lengths["festival-ked"] > lengths["festival-ked+high"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["piper-joe", "kokoro-af_heart", "kokoro-bm_fable"])
def test_neural_voices_speak(name: str) -> None:
    voice = BY_NAME[name]
    if not is_installed(voice.engine):
        pytest.skip(f"{voice.engine} is not installed")
    word, slow = synthesise_all(["elephant"], voice) + synthesise_all(
        ["elephant"], replace(voice, rate=voice.rate // 2)
    )
    check_word(word)
    assert slow.size > 1.3 * word.size


def check_word(clip: Audio) -> None:
    assert clip.dtype == np.float32 and clip.ndim == 1
    assert 0.3 < clip.size / SAMPLE_RATE < 1.5
    assert np.abs(clip).max() == pytest.approx(0.5, abs=1e-3)
    assert np.sqrt(np.mean(clip**2)) > 0.02


@needs("espeak-ng")
def test_variants_sound_different() -> None:
    """A variant that espeak-ng ignored would give the plain accent again."""
    chosen = {voice.speaker: voice for voice in TRAIN_VOICES if (voice.engine, voice.accent) == ("espeak-ng", "en-gb")}
    voices = [replace(voice, rate=150, pitch=50) for voice in chosen.values()]
    plain = [spectrum(replace(voices[0], speaker="")) for _ in range(4)]
    again = max(np.abs(plain[0] - other).max() for other in plain[1:])
    differences = {
        voice.speaker: min(np.abs(spectrum(voice) - other).max() for other in plain)
        for voice in voices
        if voice.speaker not in ("", "grandpa")  # grandpa trembles, and has the spectrum of the plain accent
    }
    assert len(differences) > 20 and min(differences.values()) > 2 * again


def spectrum(voice: Voice) -> Audio:
    """The spectrum of a word in bands of 100 Hz, ``[80]``, in nepers."""
    power = np.abs(np.fft.rfft(synthesise("kettle", voice), SAMPLE_RATE))[:8_000]
    return np.log(power.reshape(80, 100).mean(1) + 1e-3).astype(np.float32)


@needs("espeak-ng")
def test_a_final_a_is_spoken_weakly() -> None:
    """As in "this is a (cat)": the name of the letter would be a diphthong."""
    assert espeak.phonemes("this is a", "en-us") == "ðɪs ɪz ɐ"
    assert espeak.phonemes("look, a", "en-us") == "lˈʊk, ɐ"
    assert espeak.phonemes("a", "en-us") == "ɐ"
    assert espeak.phonemes("pizza", "en-us").endswith("ə")


@needs("espeak-ng")
@pytest.mark.parametrize(
    ("word", "american", "british"),
    [("boat", "bˈOt", "bˈQt"), ("chair", "ʧˈɛɹ", "ʧˈɛː"), ("bird", "bˈɜɹd", "bˈɜːd"), ("mouse", "mˈWs", "mˈWs")],
)
def test_kokoro_gets_the_phonemes_that_it_learned(word: str, american: str, british: str) -> None:
    assert neural_voices.kokoro_phonemes(word, "en-us") == american
    assert neural_voices.kokoro_phonemes(word, "en-gb") == british


@needs("espeak-ng")
def test_bank_holds_what_the_synthesiser_says(tmp_path: Path) -> None:
    voices, words = TRAIN_VOICES[:2], ("cat", "house")
    calls: list[tuple[int, int]] = []
    SpeechBank.build(tmp_path / "bank", voices, words, lambda *progress: calls.append(progress))
    bank = SpeechBank.open(tmp_path / "bank", voices, words)
    assert bank.voices == [voice.name for voice in voices]
    assert calls[-1] == (4, 4)
    for voice in voices:
        for word in words:
            clip = bank.clip(voice.name, word)
            assert bank.seconds(voice.name, word) == clip.size / SAMPLE_RATE
            assert abs(clip.size - synthesise(word, voice).size) < 800


def test_clips_are_read_back_as_they_were_spoken(tmp_path: Path, synthesiser: Synthesiser) -> None:
    voices = [BY_NAME["piper-joe"], BY_NAME["festival-ked"]]
    bank = SpeechBank.build(tmp_path, voices, ["cat", "elephant"])
    for voice in voices:
        for text in bank.texts:
            assert np.abs(bank.clip(voice.name, text) - tone(text, voice.name)).max() < 1e-4


def test_what_was_spoken_is_not_spoken_again(tmp_path: Path, synthesiser: Synthesiser) -> None:
    voices = TRAIN_VOICES[:3]
    first = SpeechBank.build(tmp_path, voices[:2], ["cat", "dog"])
    assert synthesiser.asked == [(voice.name, ("cat", "dog")) for voice in voices[:2]]
    synthesiser.asked.clear()
    second = SpeechBank.build(tmp_path, voices, ["dog", "cat", "cup"])
    assert synthesiser.asked == [
        (voices[0].name, ("cup",)), (voices[1].name, ("cup",)), (voices[2].name, ("dog", "cat", "cup")),
    ]  # fmt: skip
    for text in second.texts:
        assert np.abs(second.clip(voices[0].name, text) - tone(text, voices[0].name)).max() < 1e-4
    again = SpeechBank.open(tmp_path, voices[:2], ["cat", "dog"])
    assert again.fingerprint == first.fingerprint != second.fingerprint
    assert SpeechBank.open(tmp_path, voices[1:2], ["cat", "dog"]).fingerprint != first.fingerprint
    assert SpeechBank.open(tmp_path, voices, ["cat", "dog"]).voices == second.voices


def test_a_voice_with_other_settings_is_spoken_anew(tmp_path: Path, synthesiser: Synthesiser) -> None:
    voice = TRAIN_VOICES[0]
    SpeechBank.build(tmp_path, [voice], ["cat"])
    SpeechBank.build(tmp_path, [replace(voice, rate=voice.rate + 1)], ["cat"])
    assert len(synthesiser.asked) == 2


def test_a_build_that_is_stopped_loses_one_voice(
    tmp_path: Path, synthesiser: Synthesiser, monkeypatch: pytest.MonkeyPatch
) -> None:
    voices = TRAIN_VOICES[:3]
    SpeechBank.build(tmp_path, voices[:2], ["cat"])
    save = np.save

    def stop(file: object, samples: object) -> None:
        save(file, samples[:100])  # type: ignore[call-overload, index]
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        SpeechBank.build(tmp_path, voices, ["cat", "dog"])
    monkeypatch.undo()
    bank = SpeechBank.open(tmp_path, voices, ["cat"])
    assert bank.voices == [voice.name for voice in voices[:2]]
    assert np.abs(bank.clip(voices[0].name, "cat") - tone("cat", voices[0].name)).max() < 1e-4


def test_a_silent_voice_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    voices = TRAIN_VOICES[:2]
    asked: list[str] = []

    def say(texts: Sequence[str], voice: Voice) -> list[Audio]:
        asked.append(voice.name)
        return [np.zeros(0 if voice is voices[0] and text == "dog" else 4_000, np.float32) + 0.1 for text in texts]

    monkeypatch.setattr(speech_bank, "synthesise_all", say)
    monkeypatch.setattr(speech_bank, "is_installed", lambda engine: True)
    assert SpeechBank.build(tmp_path, voices, ["cat", "dog"]).voices == [voices[1].name]
    assert asked == [voice.name for voice in voices]
    assert SpeechBank.build(tmp_path, voices, ["cat", "dog", "cup"]).voices == [voices[1].name]
    assert asked[2:] == [voices[1].name], "nor is it asked again"
    with pytest.raises(MmvizError, match="says all words"):
        SpeechBank.open(tmp_path, voices[:1], ["cat", "dog"])


def test_a_bank_is_built_with_the_engines_that_are_installed(
    tmp_path: Path, synthesiser: Synthesiser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech_bank, "is_installed", lambda engine: engine == "festival")
    bank = open_or_build(tmp_path, "train", ["cat"])
    assert bank.missing_engines == ("espeak-ng", "piper", "kokoro")
    assert set(bank.voices) == {voice.name for voice in TRAIN_VOICES if voice.engine == "festival"}
    monkeypatch.setattr(speech_bank, "is_installed", lambda engine: engine == "piper")
    bank = open_or_build(tmp_path, "train", ["cat"])
    assert bank.missing_engines == ("espeak-ng", "kokoro"), "what is in the bank is not missing"
    assert open_bank(tmp_path, "train", ["cat"]).voices == bank.voices
    with pytest.raises(MmvizError) as error:
        open_or_build(tmp_path, "held_out", ["cat"])
    assert error.value.code == "speech-missing"


@pytest.mark.parametrize("name", ["festival-ked", "piper-joe", "kokoro-af_heart"])
def test_a_missing_engine_says_what_to_type(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(neural_voices, "find_spec", lambda name: None)
    monkeypatch.setattr(synthesisers.shutil, "which", lambda name: None)
    monkeypatch.setenv("MMVIZ_CACHE", str(tmp_path))
    with pytest.raises(MmvizError) as error:
        synthesise("cat", BY_NAME[name])
    engine = BY_NAME[name].engine
    assert error.value.code == "speech-engine" and str(error.value).endswith(install_command(engine))
    assert engine in str(error.value) and "\n" not in str(error.value)


def test_weights_of_another_content_are_refused(tmp_path: Path) -> None:
    (tmp_path / "part.bin").write_bytes(b"something else")
    with pytest.raises(MmvizError) as error:
        neural_voices._checked("kokoro", tmp_path / "part.bin")
    assert error.value.code == "speech-changed"


def test_voices_are_chosen_by_engine_first(tmp_path: Path, synthesiser: Synthesiser) -> None:
    bank = SpeechBank.build(tmp_path, TRAIN_VOICES, ["cat"])
    rng = np.random.default_rng(1)
    chosen = Counter(bank.choose_voice(rng) for _ in range(20_000))
    assert set(chosen) == set(bank.voices)
    for engine, names in bank.engines.items():
        assert sum(chosen[name] for name in names) / 20_000 == pytest.approx(SHARES[engine], abs=0.015)
    assert sum(SHARES.values()) == pytest.approx(1) and SHARES["kokoro"] + SHARES["piper"] == pytest.approx(0.5)
