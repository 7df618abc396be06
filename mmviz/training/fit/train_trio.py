"""Training of `trio` on the features of its frozen encoders: the projections on token labels, then all on questions."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mmviz.models.encoders.frozen_encoders import FrozenEncoders
from mmviz.models.encoders.picture_encoder import PATCHES
from mmviz.models.question_templates import FAMILIES
from mmviz.models.trio_network import FRAMES, Trio, TrioInput, trio_config
from mmviz.training.fit.checkpoints import load_weights, save_weights, trained_scenes
from mmviz.training.fit.data import Batch, ExampleEncoder, Recipe, loader
from mmviz.training.fit.feature_store import open_chunks
from mmviz.training.fit.losses import TokenLabels, encoder_losses, fusion_losses
from mmviz.training.fit.question_batches import PairStream
from mmviz.training.fit.quick_layers import FRAMES_KEPT, PATCHES_KEPT, kept_tokens, quicken
from mmviz.training.world.sprites import concepts
from mmviz.training.world.tokenizer import answers, build_tokenizer

AVERAGE_DECAY = 0.998
PHOTOGRAPHS = 0.5
"""Share of the pictures that the classifier sees as photographs."""
COMPILED_FROM = 2_000
"""Pairs of a stage from which compiling the layers is worth its time."""
SNAPSHOTS_FROM, SNAPSHOT_RATIO = 64, 1.7
"""Snapshots are kept at log-spaced numbers of pairs of a stage: 64, 109, 185, ..."""


@dataclass(frozen=True)
class Stage:
    """One stage of training."""

    recipe: Recipe
    """What the batches hold."""
    scenes: int
    """Scenes in total."""
    rate: float
    """The highest learning rate."""
    fuse: bool
    """Whether the fusion is trained too, or the projections alone."""


def make_stage(name: str, scenes: int, drop: float = 0.15, rate: float | None = None) -> Stage:
    """Returns a stage by the name that the card gives it; ``rate`` None: its default.

    ``projections``, see `TrainingSession` for weights that are there; ``whole``: all but the encoders, with half of
    the patches and two thirds of the frames; ``tokens``: the same with all of them, which ends the training.
    """
    if name == "projections":
        return Stage(
            Recipe(scenes=64, questions=0, drop=0.0, many_words=0.0, photographs=PHOTOGRAPHS),
            scenes,
            rate or 2e-3,
            fuse=False,
        )
    weights = {"rel": 2.0, "relheard": 2.0, "count": 1.5, "caption": 1.5, "name": 1.5, "mask": 2.0}
    mix = tuple(weights.get(family, 1.0) for family in FAMILIES)
    recipe = Recipe(scenes=16, questions=4, drop=drop, many_words=0.15, weights=mix, photographs=PHOTOGRAPHS)
    if name == "whole":
        return Stage(replace(recipe, patches=PATCHES_KEPT, frames=FRAMES_KEPT), scenes, rate or 1e-3, fuse=True)
    return Stage(recipe, scenes, rate or 2e-4, fuse=True)


def new_trio(encoders: FrozenEncoders | None = None) -> Trio:
    """Returns a `trio` with random weights, on ``encoders`` or on their features alone."""
    words = concepts()
    vocabulary = build_tokenizer(words).get_vocab()
    return Trio(trio_config(vocabulary, answers(words)), encoders=encoders)


class TrainedTrio(nn.Module):
    """The model, without its frozen encoders, and its linear readers of token labels, trained together.

    ``patches``, ``frames``: how many of a picture and of a sound the fusion is given, see `kept_tokens`.
    """

    def __init__(self, patches: int = PATCHES**2, frames: int = FRAMES) -> None:
        super().__init__()
        self.patches, self.frames = patches, frames
        self.model = new_trio()
        self.labels = TokenLabels(self.model.config.width)

    def losses(self, batch: Batch, rows: Tensor, fuse: bool) -> dict[str, Tensor]:
        """Returns the losses of a batch by name."""
        patches = self.model.project_image(batch["patch_features"].float(), batch["patch_words"].float())
        frames = self.model.project_audio(batch["frame_features"].float())
        losses = encoder_losses(self.model, self.labels, rows, patches, frames, batch)
        if fuse:
            repeats = len(batch["text"]) // len(patches)
            x, valid_mask = self.model.sequence(
                question_input(batch), patches.repeat_interleave(repeats, 0), frames.repeat_interleave(repeats, 0)
            )
            if (self.patches, self.frames) != (PATCHES**2, FRAMES):
                x, valid_mask, batch = kept_tokens(x, valid_mask, batch, self.patches, self.frames, len(rows) - 1)
            losses.update(fusion_losses(self.labels, self.model.fuse(x, valid_mask), batch))
        return losses


def question_input(batch: Batch) -> TrioInput:
    """Returns the questions of a batch as `Trio.sequence` reads them; image and sound come as tokens beside it."""
    repeats = len(batch["text"]) // len(batch["frames"])
    return TrioInput(
        image=batch["patch_features"], mel=batch["frame_features"],
        frames=batch["frames"].repeat_interleave(repeats), text=batch["text"], text_lengths=batch["text_lengths"],
        has_image=batch["has_image"], has_audio=batch["has_audio"], has_text=batch["has_text"],
    )  # fmt: skip


def learning_rate(stage: Stage, scenes: int) -> float:
    """Returns the rate: linear warm-up over 3 %, constant, then linear decay to 2 % over the last 40 %."""
    share = scenes / stage.scenes
    return stage.rate * min(1.0, share / 0.03, max(0.02, (1 - share) / 0.4))


def fastest_dtype(device: str) -> torch.dtype:
    """Returns bfloat16 on a GPU and on a CPU that is faster with it, float32 on one that emulates it."""
    if device != "cpu":
        return torch.bfloat16

    def seconds(dtype: torch.dtype) -> float:
        square = torch.ones(768, 768, dtype=dtype)
        square @ square
        begin = time.perf_counter()
        for _ in range(4):
            square @ square
        return time.perf_counter() - begin

    return min((torch.float32, torch.bfloat16), key=seconds)


Progress = Callable[[int, int, dict[str, float]], None]
"""Called with scenes done, scenes in total, and the mean losses since the last call."""


def keep_all_but_projections(model: Trio) -> None:
    """Freezes all of a trained model but its projections, which are trained further into the space that it has."""
    model.requires_grad_(False)
    for projection in (model.image_projection, model.audio_projection):
        projection.requires_grad_(True)


class TrainingSession:
    """One stage in progress in the folder ``run``: model, running average of its weights, optimizer and progress.

    Resumes a checkpoint in ``run``; otherwise weights come from ``start`` (safetensors) or are random; the stage that
    trains the projections leaves the rest of such weights as it is. ``make`` makes the module to train, which has a
    ``model`` and ``losses(batch, rows, fuse)``.
    """

    def __init__(
        self, stage: Stage, run: Path, seed: int, device: str, start: Path | None,
        make: Callable[[], Any] = TrainedTrio,
    ):  # fmt: skip
        run.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(seed)
        self.stage, self.run, self.device = stage, run, device
        self.trained = make().to(device)
        self.scenes, self.before, self.steps = 0, 0, 0
        if start:
            load_weights(self.trained, start)
            self.before = trained_scenes(start)
            if not stage.fuse:
                keep_all_but_projections(self.trained.model)
        decay = get_ema_multi_avg_fn(AVERAGE_DECAY)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(self.trained, multi_avg_fn=decay, use_buffers=True)
        self.optimizer = torch.optim.AdamW(
            self.trained.parameters(), lr=stage.rate, betas=(0.9, 0.98), weight_decay=0.02
        )
        self.precision = fastest_dtype(device)
        self.checkpoint = run / "checkpoint.pt"
        if self.checkpoint.exists():
            state = torch.load(self.checkpoint, weights_only=True)
            for name, part in self._parts().items():
                part.load_state_dict(state[name])
            self.scenes, self.before, self.steps = state["scenes"], state["before"], state["steps"]
        self.trained.train()

    def _parts(self) -> dict[str, Any]:
        return {"trained": self.trained, "average": self.average, "optimizer": self.optimizer}

    def step(self, batch: Batch, rows: Tensor) -> dict[str, float]:
        """Trains on one batch and returns its losses by name. Keeps a snapshot when it is due."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.stage, self.scenes)
        batch = {name: tensor.to(self.device) for name, tensor in batch.items()}
        with torch.autocast(torch.device(self.device).type, self.precision, self.precision is not torch.float32):
            losses = self.trained.losses(batch, rows, self.stage.fuse)
        total = torch.stack(list(losses.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.trained.parameters(), 1.0)
        self.optimizer.step()
        self.average.update_parameters(self.trained)
        snapshots = _snapshots_until(self.scenes)
        self.scenes, self.steps = self.scenes + len(batch["frames"]), self.steps + 1
        if _snapshots_until(self.scenes) > snapshots:
            scenes = self.before + self.scenes
            save_weights(self.trained, self.run / "snapshots" / f"{scenes:08d}.safetensors", scenes)
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def save(self) -> None:
        """Writes ``checkpoint.pt`` and the averaged ``weights.safetensors``."""
        state: dict[str, Any] = {"scenes": self.scenes, "before": self.before, "steps": self.steps}
        state |= {name: part.state_dict() for name, part in self._parts().items()}
        torch.save(state, self.run / "checkpoint.tmp")
        (self.run / "checkpoint.tmp").replace(self.checkpoint)
        save_weights(self.average.module, self.run / "weights.safetensors", self.before + self.scenes)


def train(
    stage: Stage, pictures: list[Path], sounds: list[Path], run: Path, seed: int, device: str,
    start: Path | None = None, progress: Progress = lambda done, of, losses: None, report_every: int = 50,
    checkpoint_seconds: float = 300.0,
) -> None:  # fmt: skip
    """Trains one stage in the folder ``run``, or resumes it (see `TrainingSession`), on chunks of features.

    Writes ``checkpoint.pt`` (everything needed to resume), ``weights.safetensors`` (running average of the weights),
    ``log.jsonl`` (mean losses every ``report_every`` steps) and ``snapshots/``.
    """
    session = TrainingSession(
        stage, run, seed, device, start, lambda: TrainedTrio(stage.recipe.patches, stage.recipe.frames)
    )
    run_on_features(session, pictures, sounds, seed, progress, report_every, checkpoint_seconds)


def run_on_features(
    session: TrainingSession, pictures: list[Path], sounds: list[Path], seed: int,
    progress: Progress = lambda done, of, losses: None, report_every: int = 50, checkpoint_seconds: float = 300.0,
) -> None:  # fmt: skip
    """Trains a session to its end on chunks of features, paired in an order that ``seed`` decides."""
    stage = session.stage
    quicken(session.trained, compiled=stage.fuse and stage.scenes >= COMPILED_FROM)
    encoder = ExampleEncoder(build_tokenizer(concepts()), concepts())
    rows = torch.tensor(encoder.rows, device=session.device)
    stream = PairStream(open_chunks(pictures), open_chunks(sounds), encoder, stage.recipe, seed * 1000 + session.steps)
    run_session(session, loader(stream), rows, progress, report_every, checkpoint_seconds)


def run_session(
    session: TrainingSession, batches: Iterator[Batch], rows: Tensor,
    progress: Progress = lambda done, of, losses: None, report_every: int = 50, checkpoint_seconds: float = 300.0,
) -> None:  # fmt: skip
    """Trains a session to its end; see `train` for the files that it writes."""
    stage, run = session.stage, session.run
    begin, started = session.scenes, time.monotonic()
    saved = started
    sums: Counter[str] = Counter()

    def report(steps: int) -> None:
        means = {name: round(value / steps, 4) for name, value in sums.items()}
        rate = (session.scenes - begin) / (time.monotonic() - started)
        with (run / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps({"scenes": session.before + session.scenes, "scenes/s": round(rate, 1)} | means))
            log.write("\n")
        progress(session.scenes, stage.scenes, means)
        sums.clear()

    try:
        while session.scenes < stage.scenes:
            sums.update(session.step(next(batches), rows))
            if session.steps % report_every == 0:
                report(report_every)
            if time.monotonic() - saved > checkpoint_seconds:
                saved = time.monotonic()
                session.save()
        if sums:
            report(session.steps % report_every)
    finally:  # also after Ctrl-C
        session.save()


def _snapshots_until(scenes: int) -> int:
    count, due = 0, float(SNAPSHOTS_FROM)
    while due <= scenes:
        count, due = count + 1, due * SNAPSHOT_RATIO
    return count
