"""Pictures and sounds out of the world of `trio`, to fit its out-of-distribution detectors, as features on disk.

What the detectors are measured on comes from other sources, see `mmviz.training.fit.measure_ood_detection`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file

from mmviz.inputs.whisper_mel import whisper_log_mel
from mmviz.models.encoders.frozen_encoders import FrozenEncoders
from mmviz.models.encoders.picture_encoder import SIDE, normalised
from mmviz.models.trio_network import FRAMES, HOPS_PER_FRAME, sounding_frames
from mmviz.models.trio_projectors import pooled_frames
from mmviz.training.fit.feature_store import Chunk
from mmviz.training.world.compose_sound import Wave, compose_sound
from mmviz.training.world.grounds import ground, load_photographs
from mmviz.training.world.ood_detector_audio import noise_sound
from mmviz.training.world.ood_detector_images import noise_image
from mmviz.training.world.scenes import compose
from mmviz.training.world.speech_bank import SpeechBank
from mmviz.training.world.sprites import fit
from mmviz.training.world.synthesisers import synthesise
from mmviz.training.world.unknown_words import FIT_WORDS
from mmviz.training.world.voices import TRAIN_VOICES, Engine

Pixels = NDArray[np.uint8]
SEED = 60_000
SCENES, GROUNDS, PARTS, NOISE_IMAGES, NOISE_SOUNDS = 1_000, 350, 8, 300, 600
SPOKEN: dict[Engine, int] = {"espeak-ng": 700, "piper": 40, "kokoro": 40, "festival": 40}
"""Unknown words spoken by each engine."""
_CELL = 160


def picture_features(encoders: FrozenEncoders, pictures: Iterable[Pixels]) -> Chunk:
    """Returns features float16 ``[n, 144, 768]`` of pictures ``[height, width, 3]``, as `trio` reads them."""
    rows = []
    with torch.no_grad():
        for pixels in pictures:
            resized = Image.fromarray(np.ascontiguousarray(pixels)).resize((SIDE, SIDE), Image.Resampling.BOX)
            image = normalised(torch.from_numpy(np.array(resized))).permute(2, 0, 1)
            rows.append(encoders.picture(image[None]).half())
    return {"features": torch.cat(rows)}


def sound_features(encoders: FrozenEncoders, waves: Iterable[Wave]) -> Chunk:
    """Returns features float16 ``[n, 50, 384]`` and ``frames`` ``[n]`` of waves ``[sample]`` at 16 kHz."""
    rows, frames = [], []
    with torch.no_grad():
        for wave in waves:
            mel = torch.from_numpy(whisper_log_mel(np.asarray(wave, np.float32), FRAMES * HOPS_PER_FRAME))
            rows.append(pooled_frames(encoders.sound(mel[None])).half())
            frames.append(sounding_frames(len(wave)))
    return {"features": torch.cat(rows), "frames": torch.tensor(frames, dtype=torch.int16)}


def kept(folder: Path, name: str, make: Callable[[], Chunk]) -> Chunk:
    """Returns features that are on disk, or computes them and writes them there: they depend on no trained weights."""
    path = folder / f"{name}.safetensors"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        save_file(make(), path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)
        print(f"computed {path}", flush=True)
    return load_file(path)


def picture_groups(things: Path) -> dict[str, Callable[[], Iterator[Pixels]]]:
    """Returns the pictures by kind; ``things``: folder of drawings cut out of their ground, of no known word."""
    return {"things": lambda: _scenes(things), "grounds": _grounds, "noise": _noise}


def _scenes(folder: Path) -> Iterator[Pixels]:
    """Scenes as those of the world, of things that no word names."""
    rng, photographs = np.random.default_rng([SEED, 0]), list(load_photographs().values())
    files = sorted(path for path in folder.iterdir() if path.suffix in (".webp", ".png"))
    drawings = {file.stem: [np.asarray(fit(Image.open(file).convert("RGBA"), _CELL))] for file in files}
    for _ in range(SCENES):
        names = [str(name) for name in rng.choice(list(drawings), int(rng.integers(1, 6)), replace=False)]
        yield compose(rng, names, drawings, photographs=photographs).pixels


def _grounds() -> Iterator[Pixels]:
    """Grounds of the world without a thing, and parts of their photographs."""
    rng, photographs = np.random.default_rng([SEED, 1]), list(load_photographs().values())
    for _ in range(GROUNDS):
        yield ground(rng, SIDE, photographs).astype(np.uint8)
    for photograph in photographs:
        for _ in range(PARTS):
            yield square_part(rng, photograph, 0.35)


def square_part(rng: np.random.Generator, photograph: Pixels, least: float) -> Pixels:
    """Returns a square of at least a share ``least`` of the shorter side."""
    side = int(min(photograph.shape[:2]) * rng.uniform(least, 1))
    y, x = (int(rng.integers(length - side + 1)) for length in photograph.shape[:2])
    return photograph[y : y + side, x : x + side]


def _noise() -> Iterator[Pixels]:
    rng = np.random.default_rng([SEED, 2])
    return (noise_image(rng) for _ in range(NOISE_IMAGES))


def sound_groups(bank: SpeechBank) -> dict[str, Callable[[], Iterator[Wave]]]:
    """Returns the sounds by kind; ``bank``: the voices that the world is trained on."""
    return {"words": lambda: _words(bank), "sounds": _sounds}


def _words(bank: SpeechBank) -> Iterator[Wave]:
    """Unknown words in the voices, phrases, rooms and noise of the world."""
    rng = np.random.default_rng([SEED, 3])
    for engine, count in SPOKEN.items():
        voices = [voice for voice in TRAIN_VOICES if voice.engine == engine and voice.name in bank.voices]
        for _ in range(count if voices else 0):
            voice, word = voices[int(rng.integers(len(voices)))], str(rng.choice(FIT_WORDS))
            yield spoken(rng, word, synthesise(word, voice), lambda text, name=voice.name: bank.clip(name, text))  # type: ignore[misc]


def spoken(rng: np.random.Generator, word: str, clip: Wave, carriers: Callable[[str], Wave]) -> Wave:
    """Returns a sound of the world with a word that is no word of it."""
    return compose_sound(rng, word, lambda text: clip if text == word else carriers(text)).wave


def _sounds() -> Iterator[Wave]:
    rng = np.random.default_rng([SEED, 4])
    return (noise_sound(rng) for _ in range(NOISE_SOUNDS))
