"""What the frozen encoders give for pictures and sounds of the world, computed once and kept on disk.

Pictures and sounds are kept apart and are paired by the questions (`mmviz.training.fit.question_batches`). A folder
holds chunks, each written whole, so that building stops and resumes at any of them; chunk ``n`` depends on (seed, n)
alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mmviz.assets_path import assets_dir
from mmviz.inputs.whisper_mel import whisper_log_mel
from mmviz.models.encoders.frozen_encoders import FrozenEncoders, class_words, load_encoders
from mmviz.models.encoders.picture_encoder import LAST, normalised
from mmviz.models.trio_network import FRAMES, HOPS_PER_FRAME, sounding_frames
from mmviz.models.trio_projectors import pooled_frames
from mmviz.training.fit.simulated_photograph_features import as_photographs, class_directions, classes_by_word
from mmviz.training.world.examples import MAX_THINGS, World
from mmviz.training.world.ground_truth_labels import patch_things

FeatureKind = Literal["pictures", "sounds"]
Chunk = dict[str, Tensor]
"""Pictures: ``features`` float16 ``[n, 144, 768]``, ``words`` float16 ``[n, 144, word]`` (`FrozenEncoders.words`),
``patch_things`` int8 ``[n, 144]``, ``thing_words`` int16 ``[n, 5]`` (-1: none), ``boxes`` float32 ``[n, 5, 4]``.
Sounds: ``features`` float16 ``[n, 50, 384]``, ``frames`` int16 ``[n]``, ``word`` int16 ``[n]``, ``interval`` float32
``[n, 2]`` in seconds."""
PER_CHUNK = {"pictures": 100, "sounds": 100}
_FORMAT = 2


def store_folder(cache: Path, kind: FeatureKind, world: World, seed: int) -> Path:
    """Returns the folder for these features: its name tells encoders, world and seed apart."""
    about = json.loads((assets_dir() / "encoders" / "encoders.json").read_text("utf-8"))
    content = [_FORMAT, about["sha256"], world.words, seed]
    content += [world.bank.fingerprint] if kind == "sounds" else [sorted(world.art), class_words()]
    return cache / "features" / f"{kind}-{hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]}"


def build(
    folder: Path, kind: FeatureKind, world: World, count: int, seed: int, workers: int = 2,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[Path]:  # fmt: skip
    """Computes the chunks of ``count`` pictures or sounds that ``folder`` lacks, and returns the paths of all.

    ``progress`` is called with (done, of) in pictures or sounds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    size = PER_CHUNK[kind]
    paths = [folder / f"{number:05d}.safetensors" for number in range(-(-count // size))]
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    done = len(paths) - len(missing)
    progress(done * size, len(paths) * size)
    if not missing:
        return paths
    with ProcessPoolExecutor(workers, get_context("fork"), _begin, (world, kind, seed)) as pool:
        for number, chunk in zip(missing, pool.map(_chunk, missing), strict=True):
            part = paths[number].with_suffix(".part")
            save_file(chunk, part)
            part.replace(paths[number])
            done += 1
            progress(done * size, len(paths) * size)
    return paths


def open_chunks(paths: list[Path]) -> list[Chunk]:
    """Returns the chunks, whose numbers stay on disk until they are read."""
    return [load_file(path) for path in paths]


_task: tuple[World, FeatureKind, int] | None = None


def _begin(world: World, kind: FeatureKind, seed: int) -> None:
    global _task  # of a worker process
    torch.set_num_threads(1)
    _task = (world, kind, seed)


def _chunk(number: int) -> Chunk:
    assert _task is not None
    world, kind, seed = _task
    rng = np.random.default_rng([seed, number])
    with torch.inference_mode():
        return (picture_chunk if kind == "pictures" else sound_chunk)(world, rng, PER_CHUNK[kind])


@lru_cache(maxsize=1)
def _encoders() -> FrozenEncoders:
    return load_encoders()


def picture_chunk(world: World, rng: np.random.Generator, count: int) -> Chunk:
    """Returns the features of ``count`` scenes of one to five things; see `Chunk`."""
    encoders = _encoders()
    index = {word: k for k, word in enumerate(world.questions.words)}
    (moves,) = rng.spawn(1)
    scenes = [world.scene(rng) for _ in range(count)]
    features = torch.cat([
        encoders.picture(normalised(torch.tensor(scene.pixels)).permute(2, 0, 1)[None]) for scene in scenes
    ])  # fmt: skip
    shown = np.stack([patch_things(scene) for scene in scenes])
    words, boxes = np.full((count, MAX_THINGS), -1, np.int16), np.zeros((count, MAX_THINGS, 4), np.float32)
    by_word = classes_by_word(class_words())
    directions = class_directions(encoders.classifier, features[..., :LAST].flatten(0, 1))
    for k, scene in enumerate(scenes):
        words[k, : len(scene.things)] = [index[thing.word] for thing in scene.things]
        boxes[k, : len(scene.things)] = [thing.box for thing in scene.things]
        classes = [by_word.get(thing.word, []) for thing in scene.things]
        features[k] = as_photographs(moves, features[k], torch.from_numpy(shown[k]), classes, directions)
    probabilities = torch.cat([encoders.words(row[None]) for row in features])
    return {
        "features": features.half(), "words": probabilities.half(), "patch_things": torch.from_numpy(shown).char(),
        "thing_words": torch.from_numpy(words), "boxes": torch.from_numpy(boxes),
    }  # fmt: skip


def sound_chunk(world: World, rng: np.random.Generator, count: int) -> Chunk:
    """Returns the features of ``count`` sounds, each with a word drawn evenly; see `Chunk`."""
    encoders = _encoders()
    words = [str(word) for word in rng.choice(world.questions.words, count)]
    sounds = [world.sound(rng, word) for word in words]
    mels = [torch.from_numpy(whisper_log_mel(sound.wave, FRAMES * HOPS_PER_FRAME)) for sound in sounds]
    features = torch.cat([pooled_frames(encoders.sound(mel[None])) for mel in mels])
    index = {word: k for k, word in enumerate(world.questions.words)}
    return {
        "features": features.half(),
        "frames": torch.tensor([sounding_frames(len(sound.wave)) for sound in sounds], dtype=torch.int16),
        "word": torch.tensor([index[word] for word in words], dtype=torch.int16),
        "interval": torch.tensor([(sound.start, sound.end) for sound in sounds], dtype=torch.float32),
    }


def rows(chunks: list[Chunk]) -> Iterator[tuple[Chunk, int]]:
    """Yields each picture or sound as its chunk and the row in it."""
    for chunk in chunks:
        for row in range(len(chunk["features"])):
            yield chunk, row


def split_paths(folder: Path) -> tuple[list[Path], list[Path]]:
    """Returns the chunks to fit to, and the last tenth."""
    paths = sorted(folder.glob("*.safetensors"))
    held_out = max(1, len(paths) // 10)
    return paths[:-held_out], paths[-held_out:]
