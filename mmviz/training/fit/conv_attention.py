"""Teaching `mmviz.models.conv_attention` ten words from drawings, within a minute, and keeping what it attends to.

The recipe: Adam, categorical cross-entropy on the word alone, 10 epochs of batches of 32. No loss is put on attention.
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
from mmviz.models.conv_attention import GRID, SIDE, ConvAttention
from mmviz.training.world.scenes import Sprites, compose
from mmviz.training.world.sprites import load_sprites

WORDS = ("apple", "banana", "bicycle", "cactus", "cat", "frog", "guitar", "house", "key", "umbrella")
STYLES = ("noto", "fluent-emoji-flat", "twemoji", "emojione")
STRENGTH = 0.3
"""How much drawings and pictures vary, see `mmviz.training.world.scenes.compose`."""
_CELL = 48  # pixels of a drawing before it is put into a picture
_REPORT = 25  # batches
_HELD_OUT = 4  # a stream in which the few that are followed are right about as often as all are
_TURN = threading.Lock()
"""Held for a batch: visitors who train at the same time take turns, or their threads would crowd each other out."""


@dataclass(frozen=True)
class Recipe:
    """``pictures`` to learn from in each of the ``epochs``, ``held_out`` ones to judge by, of which ``shown``,
    the first of as many words, are followed; ``rate``: Adam's learning rate."""

    pictures: int = 4000
    held_out: int = 400
    shown: int = 4
    epochs: int = 10
    batch: int = 32
    rate: float = 1.5e-3
    seed: int = 1


@dataclass(frozen=True, eq=False)
class Pictures:
    """``pixels`` uint8 ``[picture, 40, 40, 3]``; ``touched`` bool ``[picture, 10, 10]``: positions that the drawing
    reaches into; ``labels`` ``[picture]``, each a place in `WORDS`."""

    pixels: NDArray[np.uint8]
    touched: NDArray[np.bool_]
    labels: NDArray[np.int64]

    def __getitem__(self, which: slice | NDArray[np.int64]) -> Pictures:
        return Pictures(self.pixels[which], self.touched[which], self.labels[which])

    @staticmethod
    def of(parts: Sequence[Pictures]) -> Pictures:
        """All the pictures of ``parts``."""
        columns = ([getattr(part, name) for part in parts] for name in ("pixels", "touched", "labels"))
        return Pictures(*(np.concatenate(column) for column in columns))


@dataclass(frozen=True)
class Stretch:
    """Means over the batches up to ``epoch`` (a fraction in the midst of one), as they were learned from."""

    epoch: float
    loss: float
    accuracy: float


@dataclass(frozen=True, eq=False)
class Moment:
    """What the model does with held-out pictures after ``epoch`` epochs (a fraction where it was stopped).

    ``loss``, ``accuracy``, ``on_drawing`` (the answer token's attention on positions that the drawing reaches into):
    means over all of them. Of those shown: ``attention`` of the answer token ``[picture, 10, 10]``, which with what it
    gives itself (``own`` ``[picture]``) adds up to 1, and ``probabilities`` ``[picture, word]``.
    """

    epoch: float
    loss: float
    accuracy: float
    on_drawing: float
    attention: NDArray[np.float32]
    own: NDArray[np.float32]
    probabilities: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Fitted:
    """What has been learned so far. ``area``: the share of positions that a drawing reaches into, mean over the
    held-out pictures; ``moments``: before training, and after each epoch; ``pictures``: how many were learned from, in
    how many ``seconds``; ``weights``: as they are now."""

    recipe: Recipe
    shown: Pictures
    area: float
    pictures: int
    seconds: float
    stretches: tuple[Stretch, ...]
    moments: tuple[Moment, ...]
    weights: Mapping[str, Tensor]
    words: tuple[str, ...] = WORDS

    @property
    def is_whole(self) -> bool:
        """Whether all epochs were learned, rather than stopped."""
        return self.pictures == self.recipe.epochs * self.recipe.pictures


def fit(
    recipe: Recipe | None = None, progress: Progress = lambda done, of: None, stop: Stop = lambda: False,
    seen: Callable[[Fitted], None] = lambda so_far: None,
) -> Fitted:  # fmt: skip
    """Train from nothing; deterministic up to rounding. ``recipe``: None for the usual one.

    ``progress`` hears pictures learned from, of all; ``seen`` what has been learned so far, every few batches; ``stop``
    is asked before each batch, and what was learned by then is returned.
    """
    recipe = recipe or Recipe()
    rng = np.random.default_rng([recipe.seed, 0])
    held_out = draw(np.random.default_rng([recipe.seed, _HELD_OUT]), recipe.held_out)
    followed = np.sort(np.unique(held_out.labels, return_index=True)[1])[: recipe.shown]
    model = _fresh(recipe.seed)
    adam = torch.optim.Adam(model.parameters(), lr=recipe.rate)
    so_far = Fitted(
        recipe, held_out[followed], float(held_out.touched.mean()), 0, 0.0, (),
        (judge(model, held_out, followed, 0),), model.state_dict(),
    )  # fmt: skip
    parts: list[Pictures] = []
    of = recipe.epochs * recipe.pictures
    begin = time.monotonic()
    sums, since = np.zeros(2), 0
    seen(so_far)
    while so_far.pictures < of and not stop():
        epoch, at = divmod(so_far.pictures, recipe.pictures)
        size = min(recipe.batch, recipe.pictures - at)
        if epoch == 0:  # drawn as they are first learned from
            batch = draw(rng, size)
            parts.append(batch)
        else:
            if at == 0:
                learned = Pictures.of(parts)[rng.permutation(recipe.pictures)]
            batch = learned[at : at + size]
        sums += size * np.array(step(model, adam, batch))
        since += size
        done = so_far.pictures + size
        so_far = replace(so_far, pictures=done, seconds=time.monotonic() - begin)
        is_end = done % recipe.pictures == 0
        if is_end or done // recipe.batch % _REPORT == 0:
            stretch = Stretch(done / recipe.pictures, *map(float, sums / since))
            so_far = replace(so_far, stretches=(*so_far.stretches, stretch))
            sums, since = np.zeros(2), 0
        if is_end:
            so_far = _judged(so_far, model, held_out, followed)
        if since == 0:
            seen(so_far)
        progress(done, of)
    if so_far.pictures % recipe.pictures:
        so_far = _judged(so_far, model, held_out, followed)
    return so_far


def draw(rng: np.random.Generator, count: int) -> Pictures:
    """Pictures of one drawing each, of any of the words, on a ground."""
    drawings = _drawings()
    labels = rng.integers(len(WORDS), size=count)
    scenes = [compose(rng, [WORDS[label]], drawings, SIDE, STRENGTH) for label in labels]
    pixel = SIDE // GRID
    touched = [scene.cover.reshape(GRID, pixel, GRID, pixel).any(axis=(1, 3)) for scene in scenes]
    return Pictures(np.stack([scene.pixels for scene in scenes]), np.stack(touched), labels)


def step(model: ConvAttention, adam: torch.optim.Adam, batch: Pictures) -> tuple[float, float]:
    """Learn from one batch: its loss and its accuracy before it was learned from."""
    labels = torch.from_numpy(batch.labels)
    with _TURN:
        logits, _ = model(tensor(batch.pixels))
        loss = functional.cross_entropy(logits, labels)
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
    return float(loss.detach()), float((logits.argmax(dim=1) == labels).float().mean())


def judge(model: ConvAttention, held_out: Pictures, followed: NDArray[np.int64], epoch: float) -> Moment:
    """The model on held-out pictures, some of which are ``followed``."""
    with _TURN, torch.inference_mode():
        logits, weights = model(tensor(held_out.pixels))
        labels = torch.from_numpy(held_out.labels)
        asked = weights[:, 0].numpy()  # what the answer token asks for
        spread = asked[:, 1:].reshape(held_out.touched.shape)
        return Moment(
            epoch,
            float(functional.cross_entropy(logits, labels)),
            float((logits.argmax(dim=1) == labels).float().mean()),
            float((spread * held_out.touched).sum(axis=(1, 2)).mean()),
            spread[followed], asked[followed, 0], logits[followed].softmax(dim=1).numpy(),
        )  # fmt: skip


def tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """Pictures uint8 ``[picture, side, side, 3]`` as the model takes them: ``[picture, 3, side, side]``, -1 .. 1."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def save(fitted: Fitted, folder: Path) -> None:
    """Write ``weights.safetensors``, and ``log.jsonl`` with the curves: a line a stretch, and one a moment."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(fitted.weights), folder / "weights.safetensors", {"words": ",".join(WORDS)})
    lines = [
        {"epoch": one.epoch, "pictures": "learned", "loss": one.loss, "accuracy": one.accuracy}
        for one in fitted.stretches
    ] + [
        {"epoch": one.epoch, "pictures": "held out", "loss": one.loss, "accuracy": one.accuracy}
        | {"attention on the drawing": one.on_drawing}
        for one in fitted.moments
    ]
    log = sorted(lines, key=lambda line: float(str(line["epoch"])))
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log), encoding="utf-8")


def _judged(so_far: Fitted, model: ConvAttention, held_out: Pictures, followed: NDArray[np.int64]) -> Fitted:
    moment = judge(model, held_out, followed, so_far.pictures / so_far.recipe.pictures)
    return replace(so_far, moments=(*so_far.moments, moment))


def _fresh(seed: int) -> ConvAttention:
    """An untrained model; the generator that all of torch shares is left as it was."""
    with _TURN, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ConvAttention(len(WORDS))


@lru_cache(maxsize=1)
def _drawings() -> Sprites:
    """The drawings of `WORDS` in all `STYLES`, `_CELL` pixels a side."""
    found: dict[str, list[NDArray[np.uint8]]] = {word: [] for word in WORDS}
    for style in STYLES:
        drawings = load_sprites(style)
        for word in found.keys() & drawings.keys():
            small = Image.fromarray(drawings[word]).convert("RGBa").resize((_CELL, _CELL), Image.Resampling.BOX)
            found[word].append(np.asarray(small.convert("RGBA")))
    return found
