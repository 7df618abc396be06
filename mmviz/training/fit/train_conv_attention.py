"""Trains `mmviz.models.conv_attention_model` on ten words from drawings, within a minute, and records its attention.

Adam, categorical cross-entropy on the word alone, 10 epochs of batches of 32. No loss is put on attention.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from mmviz.backends import Progress, Stop
from mmviz.models.conv_attention_model import GRID, SIDE, ConvAttention
from mmviz.training.world.scenes import Sprites, compose
from mmviz.training.world.sprites import load_sprites

WORDS = ("apple", "banana", "bicycle", "cactus", "cat", "frog", "guitar", "house", "key", "umbrella")
STYLES = ("noto", "fluent-emoji-flat", "twemoji", "emojione")
LARGEST = 0.45
"""The longest side of a drawing, in sides of the image."""
STRENGTH = 0.3
"""How much drawings and images vary, see `mmviz.training.world.scenes.compose`."""
_CELL = 48  # pixels of a drawing before it is placed in an image
_REPORT = 25  # batches
_HELD_OUT = 4  # seed of held-out images whose few tracked ones are about as often correct as all
_LOCK = threading.Lock()
"""Held for one batch, so that visitors who train at the same time take turns."""


@dataclass(frozen=True)
class Recipe:
    """Sizes and settings of a training."""

    images: int = 4000
    """Training images, each seen once per epoch."""
    held_out: int = 400
    """Held-out images for evaluation."""
    tracked: int = 4
    """Held-out images, each of another word, whose attention is kept."""
    epochs: int = 10
    """Passes over the training images."""
    batch: int = 32
    """Images in a batch."""
    rate: float = 1.5e-3
    """Learning rate of Adam."""
    seed: int = 1
    """Seed of the images, their order and the first weights."""


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images of one drawing each."""

    pixels: NDArray[np.uint8]
    """``[image, 40, 40, 3]``."""
    covered: NDArray[np.bool_]
    """``[image, 10, 10]``: positions that the drawing reaches into."""
    labels: NDArray[np.int64]
    """``[image]``, indices into `WORDS`."""

    def __getitem__(self, index: slice | NDArray[np.int64]) -> LabelledImages:
        return LabelledImages(self.pixels[index], self.covered[index], self.labels[index])

    @staticmethod
    def concatenate(parts: Sequence[LabelledImages]) -> LabelledImages:
        """Returns all images of ``parts``."""
        columns = ([getattr(part, name) for part in parts] for name in ("pixels", "covered", "labels"))
        return LabelledImages(*(np.concatenate(column) for column in columns))


@dataclass(frozen=True)
class TrainingPoint:
    """Means over the training batches since the point before."""

    epoch: float
    """Epochs so far; a fraction within an epoch."""
    loss: float
    """Cross-entropy of the word, in nats."""
    accuracy: float
    """Share of images whose word is the most probable one, 0 to 1."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The model on held-out images during training."""

    epoch: float
    """Epochs so far; a fraction where training was stopped."""
    loss: float
    """Mean over all held-out images."""
    accuracy: float
    """Mean over all held-out images."""
    on_drawing: float
    """Attention from the answer token to positions that the drawing covers, mean over all held-out images."""
    attention: NDArray[np.float32]
    """Attention from the answer token to the positions of the tracked images, ``[image, 10, 10]``."""
    self_attention: NDArray[np.float32]
    """Attention from the answer token to itself, ``[image]``; with ``attention`` it sums to 1."""
    probabilities: NDArray[np.float32]
    """Of the tracked images, ``[image, word]``."""


@dataclass(frozen=True, eq=False)
class TrainingRun:
    """The state of a training so far."""

    recipe: Recipe
    """The sizes and settings that it is trained by."""
    tracked: LabelledImages
    """The held-out images whose attention is kept."""
    area: float
    """Share of positions that a drawing covers, mean over the held-out images."""
    images: int
    """Training images seen so far, over all epochs."""
    seconds: float
    """Seconds since the training began."""
    points: tuple[TrainingPoint, ...]
    """The training curve."""
    snapshots: tuple[Snapshot, ...]
    """Before training, and after each epoch."""
    weights: Mapping[str, Tensor]
    """``state_dict`` of the model; it shares the memory of the model in training."""
    words: tuple[str, ...] = WORDS
    """The word of each logit."""

    @property
    def is_complete(self) -> bool:
        """Whether all epochs were run."""
        return self.images == self.recipe.epochs * self.recipe.images


def fit(
    recipe: Recipe | None = None, progress: Progress = lambda done, of: None, stop: Stop = lambda: False,
    on_update: Callable[[TrainingRun], None] = lambda run: None,
) -> TrainingRun:  # fmt: skip
    """Trains from scratch, deterministically up to rounding. ``recipe``: None for the default.

    ``progress(done, of)`` counts training images; ``on_update`` receives the state so far every few batches; ``stop``
    is called before each batch, and the state so far is returned where it says True.
    """
    recipe = recipe or Recipe()
    rng = np.random.default_rng([recipe.seed, 0])
    held_out = draw_images(np.random.default_rng([recipe.seed, _HELD_OUT]), recipe.held_out)
    tracked = np.sort(np.unique(held_out.labels, return_index=True)[1])[: recipe.tracked]
    model = _new_model(recipe.seed)
    adam = torch.optim.Adam(model.parameters(), lr=recipe.rate)
    run = TrainingRun(
        recipe, held_out[tracked], float(held_out.covered.mean()), 0, 0.0, (),
        (evaluate(model, held_out, tracked, 0),), model.state_dict(),
    )  # fmt: skip
    parts: list[LabelledImages] = []
    total = recipe.epochs * recipe.images
    begin = time.monotonic()
    sums, count = np.zeros(2), 0
    on_update(run)
    while run.images < total and not stop():
        epoch, start = divmod(run.images, recipe.images)
        size = min(recipe.batch, recipe.images - start)
        if epoch == 0:  # drawn when they are first used
            batch = draw_images(rng, size)
            parts.append(batch)
        else:
            if start == 0:
                shuffled = LabelledImages.concatenate(parts)[rng.permutation(recipe.images)]
            batch = shuffled[start : start + size]
        sums += size * np.array(train_step(model, adam, batch))
        count += size
        done = run.images + size
        run = replace(run, images=done, seconds=time.monotonic() - begin)
        is_epoch_end = done % recipe.images == 0
        if is_epoch_end or done // recipe.batch % _REPORT == 0:
            point = TrainingPoint(done / recipe.images, *map(float, sums / count))
            run = replace(run, points=(*run.points, point))
            sums, count = np.zeros(2), 0
        if is_epoch_end:
            run = _with_snapshot(run, model, held_out, tracked)
        if count == 0:
            on_update(run)
        progress(done, total)
    if run.images % recipe.images:
        run = _with_snapshot(run, model, held_out, tracked)
    return run


def draw_images(rng: np.random.Generator, count: int) -> LabelledImages:
    """Returns images of one drawing each, of a random word, on a ground."""
    drawings = _drawings()
    labels = rng.integers(len(WORDS), size=count)
    scenes = [compose(rng, [WORDS[label]], drawings, SIDE, STRENGTH, largest=LARGEST) for label in labels]
    pixel = SIDE // GRID
    covered = [scene.cover.reshape(GRID, pixel, GRID, pixel).any(axis=(1, 3)) for scene in scenes]
    return LabelledImages(np.stack([scene.pixels for scene in scenes]), np.stack(covered), labels)


def train_step(model: ConvAttention, adam: torch.optim.Adam, batch: LabelledImages) -> tuple[float, float]:
    """Trains on one batch and returns its loss and accuracy before the step."""
    labels = torch.from_numpy(batch.labels)
    with _LOCK:
        logits, _ = model(to_tensor(batch.pixels))
        loss = functional.cross_entropy(logits, labels)
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
    return float(loss.detach()), float((logits.argmax(dim=1) == labels).float().mean())


def evaluate(
    model: ConvAttention, held_out: LabelledImages, tracked: NDArray[np.int64], epoch: float
) -> Snapshot:  # fmt: skip
    """Returns the figures of the model on held-out images, and the attention of those that are ``tracked``."""
    with _LOCK, torch.inference_mode():
        logits, weights = model(to_tensor(held_out.pixels))
        labels = torch.from_numpy(held_out.labels)
        answer_row = weights[:, 0].numpy()  # attention from the answer token
        attention = answer_row[:, 1:].reshape(held_out.covered.shape)
        return Snapshot(
            epoch,
            float(functional.cross_entropy(logits, labels)),
            float((logits.argmax(dim=1) == labels).float().mean()),
            float((attention * held_out.covered).sum(axis=(1, 2)).mean()),
            attention[tracked], answer_row[tracked, 0], logits[tracked].softmax(dim=1).numpy(),
        )  # fmt: skip


def to_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """Returns images uint8 ``[image, side, side, 3]`` as the model reads them: ``[image, 3, side, side]``, -1 .. 1."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def save(run: TrainingRun, folder: Path) -> None:
    """Writes ``weights.safetensors``, and ``log.jsonl`` with one line per training point and per snapshot."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(run.weights), folder / "weights.safetensors", {"words": ",".join(WORDS)})
    lines = [
        {"epoch": point.epoch, "images": "training", "loss": point.loss, "accuracy": point.accuracy}
        for point in run.points
    ] + [
        {"epoch": snapshot.epoch, "images": "held out", "loss": snapshot.loss, "accuracy": snapshot.accuracy}
        | {"attention on the drawing": snapshot.on_drawing}
        for snapshot in run.snapshots
    ]
    log = sorted(lines, key=lambda line: float(str(line["epoch"])))
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log), encoding="utf-8")


def _with_snapshot(
    run: TrainingRun, model: ConvAttention, held_out: LabelledImages, tracked: NDArray[np.int64]
) -> TrainingRun:
    snapshot = evaluate(model, held_out, tracked, run.images / run.recipe.images)
    return replace(run, snapshots=(*run.snapshots, snapshot))


def _new_model(seed: int) -> ConvAttention:
    """Returns an untrained model, without changing torch's global random state."""
    with _LOCK, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ConvAttention(len(WORDS))


@lru_cache(maxsize=1)
def _drawings() -> Sprites:
    """Returns the drawings of `WORDS` in all `STYLES`, `_CELL` pixels a side."""
    by_word: dict[str, list[NDArray[np.uint8]]] = {word: [] for word in WORDS}
    for style in STYLES:
        drawings = load_sprites(style)
        for word in by_word.keys() & drawings.keys():
            resized = Image.fromarray(drawings[word]).convert("RGBa").resize((_CELL, _CELL), Image.Resampling.BOX)
            by_word[word].append(np.asarray(resized.convert("RGBA")))
    return by_word
