"""Training of `trio`: encoders first on token labels, then everything together on questions."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mmviz.models.trio import Trio, TrioConfig
from mmviz.training.art import concepts, styles
from mmviz.training.data import Batch, Encoder, Recipe, Stream, loader, model_input
from mmviz.training.losses import TokenLabels, encoder_losses, fusion_losses
from mmviz.training.questions import FAMILIES
from mmviz.training.speech import default_cache, open_or_build
from mmviz.training.trios import World
from mmviz.training.words import answers, build_tokenizer

AVERAGE_DECAY = 0.998
SNAPSHOTS_FROM, SNAPSHOT_RATIO = 64, 1.7
"""Weights are kept at log-spaced numbers of scenes: 64, 109, 185, ..."""


@dataclass(frozen=True)
class Plan:
    """One stage of training. ``scenes`` in all; ``rate`` the highest learning rate; ``fuse``: train the fusion too."""

    recipe: Recipe
    scenes: int
    rate: float
    fuse: bool


def plan(stage: str, scenes: int, drop: float = 0.15) -> Plan:
    """The stages as the card names them: ``encoders`` then ``whole``."""
    if stage == "encoders":
        return Plan(Recipe(scenes=32, questions=1, drop=0.0, many_words=0.0), scenes, 2e-3, fuse=False)
    weights = {"rel": 2.0, "relheard": 2.0, "count": 1.5, "caption": 1.5, "name": 1.5, "mask": 2.0}
    mix = tuple(weights.get(family, 1.0) for family in FAMILIES)
    return Plan(Recipe(scenes=16, questions=4, drop=drop, many_words=0.15, weights=mix), scenes, 1e-3, fuse=True)


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


def train(
    stage: Plan, run: Path, seed: int, device: str, start: Path | None = None,
    progress: Callable[[int, int, dict[str, float]], None] = lambda done, of, losses: None,
    checkpoint_seconds: float = 300.0,
) -> None:  # fmt: skip
    """Train one stage in the folder ``run``.

    ``progress`` hears scenes done, scenes in all and the mean losses of the last 50 steps.
    A checkpoint in ``run`` is resumed; otherwise weights come from ``start`` (safetensors) or from chance.
    Writes ``checkpoint.pt`` (everything needed to resume), ``weights.safetensors`` (average of the weights along the
    way), ``log.jsonl`` and ``snapshots/``.
    """
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    trained = Trained().to(device)
    if start:
        load_weights(trained, start)
    trained.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = AveragedModel(trained, multi_avg_fn=get_ema_multi_avg_fn(AVERAGE_DECAY), use_buffers=True)  # type: ignore[no-untyped-call]
    optimizer = torch.optim.AdamW(trained.parameters(), lr=stage.rate, betas=(0.9, 0.98), weight_decay=0.02)
    scenes, before, steps = 0, 0, 0
    checkpoint = run / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        trained.load_state_dict(state["trained"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        scenes, before, steps = state["scenes"], state["before"], state["steps"]
    elif start:
        before = (
            json.loads(start.with_suffix(".json").read_text())["scenes"] if start.with_suffix(".json").exists() else 0
        )
    words = concepts()
    encoder = Encoder(build_tokenizer(words), words)
    rows = torch.tensor(encoder.rows, device=device)
    world = World(styles(), open_or_build(default_cache(), "train", words, None))
    batches: Iterator[Batch] = loader(
        Stream(world, encoder, stage.recipe, seed * 1000 + steps), 2 if not stage.fuse else 1
    )
    started = saved = time.monotonic()
    begin = scenes
    sums: dict[str, float] = {}
    kept = _snapshots_until(before + scenes)
    trained.train()
    while scenes < stage.scenes:
        batch = {name: tensor.to(device) for name, tensor in next(batches).items()}
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(stage, scenes)
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            losses = trained.losses(batch, rows, stage.fuse)
        total = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        optimizer.step()
        average.update_parameters(trained)
        scenes, steps = scenes + len(batch["image"]), steps + 1
        for name, loss in losses.items():
            sums[name] = sums.get(name, 0.0) + float(loss.detach())
        if _snapshots_until(before + scenes) > kept:
            kept = _snapshots_until(before + scenes)
            save_weights(trained, run / "snapshots" / f"{before + scenes:08d}.safetensors", before + scenes)
        if steps % 50 == 0:
            means = {name: round(value / 50, 4) for name, value in sums.items()}
            line = {"scenes": before + scenes, "scenes/s": round((scenes - begin) / (time.monotonic() - started), 1)}
            with (run / "log.jsonl").open("a") as log:
                log.write(json.dumps(line | means) + "\n")
            progress(scenes, stage.scenes, means)
            sums = {}
        if time.monotonic() - saved > checkpoint_seconds or scenes >= stage.scenes:
            saved = time.monotonic()
            state = {
                "trained": trained.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict(),
                "scenes": scenes, "before": before, "steps": steps,
            }  # fmt: skip
            torch.save(state, run / "checkpoint.tmp")
            (run / "checkpoint.tmp").replace(checkpoint)
            save_weights(average.module, run / "weights.safetensors", before + scenes)


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


def load_weights(trained: Trained, path: Path) -> Sequence[str]:
    """Load what fits by name; returns the names that the file lacks (they stay as they were)."""
    result = trained.load_state_dict(load_file(path), strict=False)
    if result.unexpected_keys:
        raise ValueError(f"{path.name} holds weights of another model: {result.unexpected_keys[0]}")
    return list(result.missing_keys)
