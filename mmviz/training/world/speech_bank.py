"""Synthetic speech for training: short clips of words and carrier phrases.

A clip is one word or one carrier phrase ("look, a") spoken by one voice, mono samples at 16 kHz. A bank is a folder
with two files a voice, the samples and where each text is in them. It is built voice by voice: what is there is not
spoken again, and new words join the voices that are there.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mmviz.inputs.mel import SAMPLE_RATE
from mmviz.training.world.cache_folder import default_cache as default_cache
from mmviz.training.world.synthesisers import Audio, is_installed, synthesise_all
from mmviz.training.world.voices import VOICES, Engine, Split, Voice
from mmviz.types import MmvizError

MIN_SECONDS, MAX_SECONDS = 0.06, 2.5  # plausible clip lengths
CARRIERS = ("the", "look, a", "I can see a", "a", "this is a", "here is the")
SHARES: Mapping[Engine, float] = {"kokoro": 0.4, "piper": 0.1, "espeak-ng": 0.42, "festival": 0.08}
"""How often each engine is heard, however many voices it has: natural speech half of the time."""

Progress = Callable[[int, int], None]

_FORMAT = 2  # raise when clips would come out differently


class _SpokenVoice:
    """The clips of one voice: ``NAME.npy`` (int16 ``[sample]``, all clips end to end) and ``NAME.json``, with the voice
    and where each text is in them ([start, length], in samples)."""

    def __init__(self, folder: Path, voice: Voice):
        self.voice = voice
        name = re.sub(r"[^\w+-]", "_", voice.name)
        self._samples_file, self._index_file = folder / f"{name}.npy", folder / f"{name}.json"
        self._content = {"format": _FORMAT, "voice": asdict(voice)}
        self.index: dict[str, tuple[int, int]] = {}
        self.is_usable = True
        """Whether no text came out silent or of an implausible length."""
        self._samples: npt.NDArray[np.int16] | None = None
        try:
            content = json.loads(self._index_file.read_text(encoding="utf-8"))
            if {key: content[key] for key in self._content} == self._content and self._samples_file.is_file():
                self.index = {text: (start, length) for text, (start, length) in content["clips"].items()}
                self.is_usable = content["is_usable"]
        except (OSError, ValueError, KeyError):
            pass  # absent or damaged: it is spoken anew

    def clip(self, text: str) -> npt.NDArray[np.int16]:
        """Returns one clip: ``[sample]``. The samples stay on disk until they are read."""
        if self._samples is None:
            self._samples = np.load(self._samples_file, mmap_mode="r")
        start, length = self.index[text]
        return self._samples[start : start + length]

    def add(self, texts: Sequence[str]) -> None:
        """Speaks ``texts`` and appends them. A process that is killed meanwhile leaves what was there before."""
        spoken = synthesise_all(texts, self.voice)
        self.is_usable = all(MIN_SECONDS <= clip.size / SAMPLE_RATE <= MAX_SECONDS for clip in spoken)
        before = [np.load(self._samples_file)] if self.index else []
        end = sum(len(samples) for samples in before)
        for text, clip in zip(texts, spoken, strict=True):
            self.index[text] = (end, clip.size)
            end += clip.size
        self._samples = None
        self._samples_file.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._samples_file.with_suffix(f".tmp-{os.getpid()}")
        with temporary.open("wb") as file:
            np.save(file, np.concatenate([*before, *(np.round(clip * 32_767).astype(np.int16) for clip in spoken)]))
        temporary.replace(self._samples_file)
        temporary.write_text(
            json.dumps({**self._content, "is_usable": self.is_usable, "clips": self.index}), encoding="utf-8"
        )
        temporary.replace(self._index_file)


class SpeechBank:
    """All clips of some voices."""

    def __init__(self, spoken: Sequence[_SpokenVoice], texts: Sequence[str], missing: Sequence[Engine] = ()):
        self._spoken = {clips.voice.name: clips for clips in spoken}
        self.texts = list(texts)
        self.missing_engines = tuple(missing)
        """Engines of wanted voices that are neither installed here nor in the bank."""
        content = [_FORMAT, [asdict(clips.voice) for clips in spoken], self.texts]
        self.fingerprint = hashlib.sha256(json.dumps(content).encode()).hexdigest()
        self._by_engine: dict[Engine, list[str]] = {}
        for clips in spoken:
            self._by_engine.setdefault(clips.voice.engine, []).append(clips.voice.name)
        shares = np.array([SHARES[engine] for engine in self._by_engine])
        self._shares = shares / shares.sum()

    @property
    def voices(self) -> list[str]:
        """Names of the voices; each has a clip of every text."""
        return list(self._spoken)

    @property
    def engines(self) -> dict[Engine, list[str]]:
        """Names of the voices by engine."""
        return {engine: list(names) for engine, names in self._by_engine.items()}

    def choose_voice(self, rng: np.random.Generator) -> str:
        """Returns the name of a random voice: an engine in the proportions of `SHARES`, then any of its voices."""
        names = list(self._by_engine.values())[int(rng.choice(len(self._by_engine), p=self._shares))]
        return names[int(rng.integers(len(names)))]

    def clip(self, voice_name: str, text: str) -> Audio:
        """Returns one clip: float32 ``[sample]`` at 16 kHz with a peak of 0.5."""
        return np.asarray(self._spoken[voice_name].clip(text) / np.float32(32_767), dtype=np.float32)

    def seconds(self, voice_name: str, text: str) -> float:
        """Returns the length of one clip in seconds."""
        return self._spoken[voice_name].index[text][1] / SAMPLE_RATE

    @classmethod
    def open(cls, path: Path, voices: Sequence[Voice], texts: Sequence[str]) -> SpeechBank:
        """Opens what is there of a bank: those of ``voices`` that speak all ``texts``.

        Raises ``MmvizError`` (``speech-silent``) where there is none.
        """
        spoken = [_SpokenVoice(path, voice) for voice in voices]
        there = [clips for clips in spoken if clips.is_usable and clips.index.keys() >= set(texts)]
        if not there:
            raise MmvizError("speech-silent")
        engines = {clips.voice.engine for clips in there}
        wanted = dict.fromkeys(voice.engine for voice in voices)
        missing = [engine for engine in wanted if engine not in engines and not is_installed(engine)]
        return cls(there, texts, missing)

    @classmethod
    def build(
        cls,
        path: Path,
        voices: Sequence[Voice],
        texts: Sequence[str],
        progress: Progress | None = None,
    ) -> SpeechBank:
        """Speaks in the folder ``path`` what it lacks of every text by every voice whose engine is installed.

        A voice with any clip that is silent, or of an implausible length, is left out entirely. ``progress`` is called
        with (clips done, clips in total) after each voice. Raises ``MmvizError``: ``speech-missing`` where none can
        be spoken, ``speech-silent`` where none is usable.
        """
        spoken = [_SpokenVoice(path, voice) for voice in voices]
        lacking = {clips.voice.name: [text for text in texts if text not in clips.index] for clips in spoken}
        installed = {engine: is_installed(engine) for engine in {voice.engine for voice in voices}}
        if not any(installed.values()) and all(lacking.values()):
            raise MmvizError("speech-missing")
        for number, clips in enumerate(spoken, start=1):
            if clips.is_usable and lacking[clips.voice.name] and installed[clips.voice.engine]:
                clips.add(lacking[clips.voice.name])
            if progress is not None:
                progress(number * len(texts), len(spoken) * len(texts))
        return cls.open(path, voices, texts)


def open_or_build(cache: Path, split: Split, words: Sequence[str], progress: Progress | None = None) -> SpeechBank:
    """Returns the bank of a split with the words and carrier phrases; what it lacks is spoken first.

    Raises as `SpeechBank.build`.
    """
    texts = list(dict.fromkeys([*words, *CARRIERS]))
    return SpeechBank.build(cache / f"speech-{split}", VOICES[split], texts, progress)


def open_bank(cache: Path, split: Split, words: Sequence[str]) -> SpeechBank:
    """Returns what is there of the bank of a split, while it is built, too. Raises as `SpeechBank.open`."""
    texts = list(dict.fromkeys([*words, *CARRIERS]))
    return SpeechBank.open(cache / f"speech-{split}", VOICES[split], texts)
