"""Synthetic speech for training: short clips of words and carrier phrases from espeak-ng.

A clip is one word or one carrier phrase ("look, a") spoken by one voice, mono samples at 16 kHz. A bank holds all clips
of a set of voices in one memory-mapped file.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import soxr

from mmviz.inputs.mel import SAMPLE_RATE
from mmviz.types import MmvizError

PEAK = 0.5  # largest magnitude in a clip, full scale being 1
MIN_SECONDS, MAX_SECONDS = 0.06, 2.5  # plausible clip lengths
CARRIERS = ("the", "look, a", "I can see a", "a", "this is a", "here is the")

Split = Literal["train", "held_out"]
Progress = Callable[[int, int], None]
Audio = npt.NDArray[np.float32]

_FORMAT = 1  # raise when clips would come out differently
_SOURCE_RATE = 22_050  # Hz, of espeak-ng
_WORKERS = 2


@dataclass(frozen=True)
class Voice:
    """One speaker."""

    name: str
    accent: str
    variant: str
    """Variant of espeak-ng, "" for none."""
    rate: int
    """Words per minute."""
    pitch: int
    """0 to 99."""


_TRAIN_ACCENTS = (
    "en-gb", "en-us", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-rp", "en-gb-x-gbcwmd",
    "en-us-nyc",
)  # fmt: skip
# Left out of the variants that espeak-ng 1.51 ships: whispers, croaks, echoes and robots that
# blur the words (whisper, whisperf, croak, Demonic, UniRobot, anikaRobot, announcer, robosoft*,
# RicishayMax*), an extreme formant (Tweaky), mere copies (fast, caleb, klatt6), near copies
# (steph2, steph3), one that changes the language (Storm), and the held-out f4 and m7.
_FEMALE = (
    "Alicia", "Andrea", "Annie", "anika", "aunty", "belinda", "f1", "f2", "f3", "f5", "grandma",
    "linda", "shelby", "steph", "zac",
)  # fmt: skip
_OTHER = (
    "", "Alex", "Andy", "AnxiousAndy", "Denis", "Diogo", "Gene", "Gene2", "Henrique", "Hugo",
    "Jacky", "Lee", "Marco", "Mario", "Michael", "Mike", "Mr serious", "Nguyen", "adam", "antonio",
    "benjamin", "boris", "david", "ed", "edward", "edward2", "grandpa", "gustave", "iven", "iven2",
    "iven3", "iven4", "john", "kaukovalta", "klatt", "klatt2", "klatt3", "klatt4", "klatt5", "m1",
    "m2", "m3", "m4", "m5", "m6", "m8", "marcelo", "max", "michel", "miguel", "norbert", "pablo",
    "paul", "pedro", "quincy", "rob", "robert", "sandro", "travis", "victor",
)  # fmt: skip


def _voice(accent: str, variant: str, rate: int, pitch: int) -> Voice:
    return Voice(f"{accent}+{variant}" if variant else accent, accent, variant, rate, pitch)


def _train_voices(seed: int) -> tuple[Voice, ...]:
    """Returns every variant with two accents, the fewer female ones with three; rates and pitches are spread evenly
    over their ranges and assigned at random."""
    rng = random.Random(seed)
    pairs: list[tuple[str, str]] = []
    for number, variant in enumerate((*_FEMALE, *_OTHER)):
        wanted = 3 if variant in _FEMALE else 2
        rest = [a for a in _TRAIN_ACCENTS if a != _TRAIN_ACCENTS[number % len(_TRAIN_ACCENTS)]]
        accents = [_TRAIN_ACCENTS[number % len(_TRAIN_ACCENTS)], *rng.sample(rest, wanted - 1)]
        pairs += [(accent, variant) for accent in accents]
    last = len(pairs) - 1
    rates = [round(110 + 100 * i / last) for i in range(len(pairs))]
    pitches = [round(20 + 65 * i / last) for i in range(len(pairs))]
    rng.shuffle(rates)
    rng.shuffle(pitches)
    return tuple(_voice(*p, r, q) for p, r, q in zip(pairs, rates, pitches, strict=True))


TRAIN_VOICES: tuple[Voice, ...] = _train_voices(seed=7)
HELD_OUT_VOICES: tuple[Voice, ...] = (
    _voice("en-029", "", 160, 50),
    _voice("en-gb", "f4", 150, 55),
    _voice("en-us", "m7", 170, 45),
)


def _espeak_text(text: str) -> str:
    """Returns the text for espeak-ng, which would read a final "a" as the name of the letter."""
    return re.sub(r"\ba$", "[[%@]]", text)


def synthesise(text: str, voice: Voice) -> Audio:
    """Returns ``text`` spoken: float32 ``[sample]`` at 16 kHz, trimmed, with a peak of 0.5.

    Empty where espeak-ng does not know the voice or returns silence. Raises ``MmvizError`` (``speech-missing``).
    """
    # With "en-gb+f4" espeak-ng 1.51 silently drops the variant; "en" is the same accent.
    accent = "en" if voice.accent == "en-gb" else voice.accent
    name = f"{accent}+{voice.variant}" if voice.variant else accent
    command = ["espeak-ng", "--stdout", "-v", name, "-s", str(voice.rate), "-p", str(voice.pitch)]
    try:
        done = subprocess.run([*command, "--", _espeak_text(text)], capture_output=True, check=False)
    except FileNotFoundError as error:
        raise MmvizError("speech-missing") from error
    start = done.stdout.find(b"data", 12) + 8  # the length there is not filled in for a pipe
    body = done.stdout[start:] if start >= 20 else b""
    pcm = np.frombuffer(body[: len(body) // 2 * 2], dtype="<i2").astype(np.float32) / 32_768
    if pcm.size == 0 or float(np.abs(pcm).max()) < 0.005:
        return np.zeros(0, dtype=np.float32)
    return _trim(np.asarray(soxr.resample(pcm, _SOURCE_RATE, SAMPLE_RATE), dtype=np.float32))


def _trim(audio: Audio, relative: float = 0.01) -> Audio:
    """Trims silence off both ends of ``[sample]``, keeping 10 ms, and sets the peak to 0.5."""
    level = np.abs(audio)
    peak = float(level.max())
    loud = np.flatnonzero(level > relative * peak)
    margin = SAMPLE_RATE // 100
    trimmed = audio[max(0, int(loud[0]) - margin) : int(loud[-1]) + 1 + margin]
    return np.asarray(trimmed * (PEAK / peak), dtype=np.float32)


def default_cache() -> Path:
    """Returns the folder for built banks: $MMVIZ_CACHE, or ~/.cache/mmviz."""
    return Path(os.environ.get("MMVIZ_CACHE") or Path.home() / ".cache" / "mmviz")


def _fingerprint(voices: Iterable[Voice], texts: Iterable[str]) -> str:
    content = [_FORMAT, [asdict(voice) for voice in voices], list(texts)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


class SpeechBank:
    """All clips of some voices, in a folder with ``clips.npy`` (int16 ``[sample]``, all clips end to end) and
    ``index.json`` (voice -> text -> [start, length], in samples)."""

    def __init__(self, clips: npt.NDArray[np.int16], index: dict[str, Any]) -> None:
        self._clips = clips
        self._index: dict[str, dict[str, list[int]]] = index["clips"]
        self.fingerprint: str = index["fingerprint"]
        self.texts: list[str] = index["texts"]

    @property
    def voices(self) -> list[str]:
        """Names of the voices; each has a clip of every text."""
        return list(self._index)

    def clip(self, voice_name: str, text: str) -> Audio:
        """Returns one clip: float32 ``[sample]`` at 16 kHz with a peak of 0.5."""
        start, length = self._index[voice_name][text]
        return np.asarray(self._clips[start : start + length] / np.float32(32_767), dtype=np.float32)

    def seconds(self, voice_name: str, text: str) -> float:
        """Returns the length of one clip in seconds."""
        return self._index[voice_name][text][1] / SAMPLE_RATE

    @classmethod
    def open(cls, path: Path) -> SpeechBank:
        """Opens a built bank. The samples stay on disk until they are read."""
        index = json.loads((path / "index.json").read_text(encoding="utf-8"))
        return cls(np.load(path / "clips.npy", mmap_mode="r"), index)

    @classmethod
    def build(
        cls,
        path: Path,
        voices: Sequence[Voice],
        texts: Sequence[str],
        progress: Progress | None = None,
    ) -> SpeechBank:
        """Speaks every text with every voice into the folder ``path``, which is replaced.

        A voice with any clip that is silent, or of an implausible length, is left out entirely. ``progress`` is called
        with (clips done, clips in total) after each voice. Raises ``MmvizError`` (``speech-silent``).
        """
        index: dict[str, dict[str, list[int]]] = {}
        parts: list[npt.NDArray[np.int16]] = []
        end = 0
        with ThreadPoolExecutor(_WORKERS) as pool:
            for number, voice in enumerate(voices, start=1):
                spoken = list(pool.map(synthesise, texts, [voice] * len(texts)))
                lengths = [clip.size / SAMPLE_RATE for clip in spoken]
                if all(MIN_SECONDS <= length <= MAX_SECONDS for length in lengths):
                    entry = index.setdefault(voice.name, {})
                    for text, clip in zip(texts, spoken, strict=True):
                        entry[text] = [end, clip.size]
                        end += clip.size
                        parts.append(np.round(clip * 32_767).astype(np.int16))
                if progress is not None:
                    progress(number * len(texts), len(voices) * len(texts))
        if not index:
            raise MmvizError("speech-silent")
        temporary = path.with_name(f"{path.name}.tmp-{os.getpid()}")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        np.save(temporary / "clips.npy", np.concatenate(parts))
        content = {
            "fingerprint": _fingerprint(voices, texts),
            "sample_rate": SAMPLE_RATE,
            "texts": list(texts),
            "clips": index,
        }
        (temporary / "index.json").write_text(json.dumps(content), encoding="utf-8")
        shutil.rmtree(path, ignore_errors=True)
        temporary.rename(path)
        return cls.open(path)


def open_or_build(cache: Path, split: Split, words: Sequence[str], progress: Progress | None = None) -> SpeechBank:
    """Returns the bank of a split with the words and carrier phrases, built if missing or stale."""
    voices = TRAIN_VOICES if split == "train" else HELD_OUT_VOICES
    texts = list(dict.fromkeys([*words, *CARRIERS]))
    path = cache / f"speech-{split}"
    try:
        bank = SpeechBank.open(path)
    except (OSError, ValueError, KeyError):
        bank = None
    if bank is not None and bank.fingerprint == _fingerprint(voices, texts):
        return bank
    return SpeechBank.build(path, voices, texts, progress)
