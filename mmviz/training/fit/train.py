"""Training of `trio`: encoders first on token labels, then everything together on questions."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mmviz.models.question_templates import FAMILIES
from mmviz.models.trio import Trio, TrioConfig
from mmviz.training.fit.data import Batch, Encoder, Recipe, Stream, loader, model_input
from mmviz.training.fit.losses import TokenLabels, encoder_losses, fusion_losses
from mmviz.training.world.examples import World
from mmviz.training.world.sprites import concepts
from mmviz.training.world.tokenizer import answers, build_tokenizer
from mmviz.types import MmvizError

AVERAGE_DECAY = 0.998
SNAPSHOTS_FROM, SNAPSHOT_RATIO = 64, 1.7
"""Weights are kept at log-spaced numbers of scenes of a stage: 64, 109, 185, ..."""


@dataclass(frozen=True)
class Plan:
    """One stage of training. ``scenes`` in all; ``rate`` the highest learning rate; ``fuse``: train the fusion too."""

    recipe: Recipe
    scenes: int
    rate: float
    fuse: bool


def plan(stage: str, scenes: int, drop: float = 0.15, rate: float | None = None) -> Plan:
    """The stages as the card names them: ``encoders`` then ``whole``; ``rate`` None: the stage's own."""
    if stage == "encoders":
        return Plan(Recipe(scenes=32, questions=1, drop=0.0, many_words=0.0), scenes, rate or 2e-3, fuse=False)
    weights = {"rel": 2.0, "relheard": 2.0, "count": 1.5, "caption": 1.5, "name": 1.5, "mask": 2.0}
    mix = tuple(weights.get(family, 1.0) for family in FAMILIES)
    return Plan(
        Recipe(scenes=16, questions=4, drop=drop, many_words=0.15, weights=mix), scenes, rate or 1e-3, fuse=True
    )


class Trained(nn.Module):
    """The model and its readers of token labels, trained as one."""

    def __init__(self) -> None:
        super().__init__()
        words = concepts()
        pieces = build_tokenizer(words).get_vocab()
        self.config = TrioConfig(len(pieces), tuple(pieces[answer] for answer in answers(words)))
        self.model = Trio(self.config)
        self.labels = TokenLabels(self.config.width)

    def losses(self, batch: Batch, rows: Tensor, fuse: bool) -> dict[str, Tensor]:
        """Named losses of a batch."""
        image, mel, questions = model_input(batch)
        patches, frames = self.model.encode_image(image), self.model.encode_audio(mel)
        found = encoder_losses(self.model, self.labels, rows, patches, frames, batch)
        if fuse:
            repeats = len(questions.text) // len(image)
            x, real = self.model.sequence(
                questions, patches.repeat_interleave(repeats, 0), frames.repeat_interleave(repeats, 0)
            )
            output = self.model.fuse(x, real)
            found.update(fusion_losses(self.labels, output, batch))
        return found


def learning_rate(plan: Plan, scenes: int) -> float:
    """Linear warm-up over 3 %, level, then a straight line to 2 % of the rate over the last 40 %."""
    share = scenes / plan.scenes
    return plan.rate * min(1.0, share / 0.03, max(0.02, (1 - share) / 0.4))


def quick_precision(device: str) -> torch.dtype:
    """bfloat16 on a GPU, and on a CPU that is quicker with it; float32 on one that only imitates it."""
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
"""Hears scenes done, scenes in all, and the mean losses since it last heard."""


class Session:
    """One stage under way in the folder ``run``: model, running average of its weights, optimizer, and how far it is.

    A checkpoint in ``run`` is resumed; otherwise weights come from ``start`` (safetensors) or from chance. ``make``
    makes what learns: it has a ``model`` and ``losses(batch, rows, fuse)``.
    """

    def __init__(
        self, stage: Plan, run: Path, seed: int, device: str, start: Path | None,
        make: Callable[[], Any] = Trained,
    ):  # fmt: skip
        run.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(seed)
        self.stage, self.run, self.device = stage, run, device
        self.trained = make().to(device)
        self.scenes, self.before, self.steps = 0, 0, 0
        if start:
            load_weights(self.trained, start)
            self.before = scenes_seen(start)
        self.trained.model.to(memory_format=torch.channels_last)
        decay = get_ema_multi_avg_fn(AVERAGE_DECAY)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(self.trained, multi_avg_fn=decay, use_buffers=True)
        self.optimizer = torch.optim.AdamW(
            self.trained.parameters(), lr=stage.rate, betas=(0.9, 0.98), weight_decay=0.02
        )
        self.precision = quick_precision(device)
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
        """Learn from one batch; its losses by name. A snapshot is kept when one is due."""
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
        due = _snapshots_until(self.scenes)
        self.scenes, self.steps = self.scenes + len(batch["frames"]), self.steps + 1
        if _snapshots_until(self.scenes) > due:
            seen = self.before + self.scenes
            save_weights(self.trained, self.run / "snapshots" / f"{seen:08d}.safetensors", seen)
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def save(self) -> None:
        """Write ``checkpoint.pt`` and the averaged ``weights.safetensors``."""
        state: dict[str, Any] = {"scenes": self.scenes, "before": self.before, "steps": self.steps}
        state |= {name: part.state_dict() for name, part in self._parts().items()}
        torch.save(state, self.run / "checkpoint.tmp")
        (self.run / "checkpoint.tmp").replace(self.checkpoint)
        save_weights(self.average.module, self.run / "weights.safetensors", self.before + self.scenes)


def train(
    stage: Plan, world: World, run: Path, seed: int, device: str, start: Path | None = None,
    progress: Progress = lambda done, of, losses: None, report_every: int = 50, checkpoint_seconds: float = 300.0,
) -> None:  # fmt: skip
    """Train one stage in the folder ``run``; what it holds is resumed (see `Session`).

    Writes ``checkpoint.pt`` (everything needed to resume), ``weights.safetensors`` (average of the weights along the
    way), ``log.jsonl`` (mean losses every ``report_every`` steps) and ``snapshots/``.
    """
    session = Session(stage, run, seed, device, start)
    encoder = Encoder(build_tokenizer(concepts()), concepts())
    rows = torch.tensor(encoder.rows, device=device)
    batches = loader(Stream(world, encoder, stage.recipe, seed * 1000 + session.steps), 1 if stage.fuse else 2)
    learn(session, batches, rows, progress, report_every, checkpoint_seconds)


def learn(
    session: Session, batches: Iterator[Batch], rows: Tensor, progress: Progress = lambda done, of, losses: None,
    report_every: int = 50, checkpoint_seconds: float = 300.0,
) -> None:  # fmt: skip
    """Go on with a session to its end; see `train` for what is written."""
    stage, run = session.stage, session.run
    begin, started = session.scenes, time.monotonic()
    saved = started
    sums: Counter[str] = Counter()

    def report(steps: int) -> None:
        means = {name: round(value / steps, 4) for name, value in sums.items()}
        rate = (session.scenes - begin) / (time.monotonic() - started)
        with (run / "log.jsonl").open("a") as log:
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
    finally:  # also when it is stopped by hand
        session.save()


def _snapshots_until(scenes: int) -> int:
    kept, at = 0, float(SNAPSHOTS_FROM)
    while at <= scenes:
        kept, at = kept + 1, at * SNAPSHOT_RATIO
    return kept


def save_weights(trained: nn.Module, path: Path, scenes: int) -> None:
    """Half-precision safetensors, and beside them a small JSON with the number of scenes seen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {
        name: tensor.contiguous().half() if tensor.is_floating_point() else tensor
        for name, tensor in trained.state_dict().items()
    }
    save_file(state, path)
    path.with_suffix(".json").write_text(json.dumps({"scenes": scenes}))


def scenes_seen(weights: Path) -> int:
    """Scenes that a file of weights was trained on, as noted beside it; 0 where nothing is noted."""
    beside = weights.with_suffix(".json")
    return int(json.loads(beside.read_text())["scenes"]) if beside.exists() else 0


def load_weights(trained: nn.Module, path: Path) -> Sequence[str]:
    """Load what fits by name; returns the names that the file lacks (they stay as they were)."""
    try:
        result = trained.load_state_dict(load_file(path), strict=False)
    except (OSError, SafetensorError, RuntimeError) as problem:
        raise MmvizError("weights-unreadable", name=path.name) from problem
    if result.unexpected_keys:
        raise MmvizError("weights-unreadable", name=path.name)
    return list(result.missing_keys)
