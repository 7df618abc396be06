"""Training of the compared fusion kinds: the same features, losses and number of questions for each.

``python -m mmviz.training.fit.train_fusions RUNS`` exports the trained weights into the assets.
"""

from __future__ import annotations

import json
import lzma
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from mmviz.assets_path import assets_dir
from mmviz.models.cards import COMPARED, REDUCED, kind_file
from mmviz.models.encoders.picture_encoder import PATCHES
from mmviz.models.fusion_model import FROZEN, build_network
from mmviz.models.fusion_networks import init_as_identity
from mmviz.models.int8_weights import packed
from mmviz.models.trio_model import BundledTrio
from mmviz.models.trio_network import FRAMES, Trio
from mmviz.training.fit.checkpoints import trained_scenes
from mmviz.training.fit.data import Batch
from mmviz.training.fit.losses import TokenLabels, fusion_losses
from mmviz.training.fit.quick_layers import FRAMES_KEPT, PATCHES_KEPT, kept_tokens
from mmviz.training.fit.train_trio import (
    Progress,
    Stage,
    TrainingSession,
    make_stage,
    question_input,
    run_on_features,
)

SCENES, SCENES_PER_STEP, RATE = 7_500, 4, 1e-3
"""The budget of every kind: scenes, with four questions each; scenes per step; the highest learning rate."""
_WHOLE_SHARE = 0.35
"""Share of the steps that are given all patches and frames, without which the kinds miscount on all of them."""
_LABELLED_LAYERS = (2, 3, 3)
ABOUT = {
    REDUCED: "One sequence of all tokens: every token attends to every token, as in trio, with four layers instead of "
    "six. For comparison with crossmodal, bottleneck and late.",
    "crossmodal": "Six cross-attention pairs of modalities (MulT, Tsai et al. 2019), then self-attention in each. On "
    "the encoders of trio, trained with the budget of the compared kinds.",
    "bottleneck": "Each modality attends to itself and to four tokens that all three share (MBT, Nagrani et al. 2021). "
    "On the encoders of trio, trained with the budget of the compared kinds.",
    "late": "Each modality attends to itself alone; the results are joined at the end. No attention across modalities. "
    "On the encoders of trio, trained with the budget of the compared kinds.",
}
MAP_REFS = {
    REDUCED: "rollout", "crossmodal": "fusion.pairs.text_image.attention/1:mean",
    "bottleneck": "fusion.blocks.image.attention/3:mean", "late": "fusion.blocks.image.attention/3:mean",
}  # fmt: skip
"""The map that the page shows first."""


class TrainedFusion(nn.Module):
    """A fusion kind with its linear readers of token labels. What it takes from `trio` is shared and frozen."""

    def __init__(self, kind: str):
        super().__init__()
        self.model, trio = build_network(kind, BundledTrio("cpu").module)
        init_as_identity(self.model)
        self.labelled_layers = _LABELLED_LAYERS if isinstance(self.model, Trio) else self.model.fusion.labelled_layers
        for name in FROZEN:
            trio.get_submodule(name).requires_grad_(False)
        self.trio = [trio]  # in a list, so that its parameters are not registered twice
        self.labels = TokenLabels(trio.config.width)

    def train(self, mode: bool = True) -> TrainedFusion:
        """Sets training mode, in which what is frozen stays in evaluation mode: no dropout in its projections."""
        super().train(mode)
        for name in FROZEN:
            self.trio[0].get_submodule(name).eval()
        return self

    def losses(self, batch: Batch, rows: Tensor, fuse: bool) -> dict[str, Tensor]:
        """Returns the losses of a batch of features by name; ``fuse`` is unused."""
        (trio,), model = self.trio, self.model
        repeats = len(batch["text"]) // len(batch["frames"])
        with torch.no_grad():
            tokens = trio.project_image(batch["patch_features"].float(), batch["patch_words"].float())
            frames = trio.project_audio(batch["frame_features"].float())
        patches, frames = (part.repeat_interleave(repeats, 0) for part in (tokens, frames))
        x, valid_mask = trio.sequence(question_input(batch), patches, frames)
        kept = (PATCHES**2, FRAMES) if torch.rand(()) < _WHOLE_SHARE else (PATCHES_KEPT, FRAMES_KEPT)
        x, valid_mask, batch = kept_tokens(x, valid_mask, batch, *kept, len(rows) - 1)
        sizes = [batch["text"].shape[1], *kept]
        output = model.fuse(x, valid_mask) if isinstance(model, Trio) else model.fuse(x, valid_mask, sizes)
        return fusion_losses(self.labels, output, batch, self.labelled_layers)


def budget(scenes: int = SCENES) -> Stage:
    """Returns the stage that trains every kind."""
    whole = make_stage("tokens", scenes, rate=RATE)
    return replace(whole, recipe=replace(whole.recipe, scenes=SCENES_PER_STEP))


def train_kind(
    kind: str, pictures: list[Path], sounds: list[Path], run: Path, seed: int, device: str, scenes: int = SCENES,
    start: Path | None = None, progress: Progress = lambda done, of, losses: None,
) -> None:  # fmt: skip
    """Trains one kind in the folder ``run``, or resumes it (see `mmviz.training.fit.train_trio.train`), on chunks of
    features. ``start``: weights to start from (None: random)."""
    stage = budget(scenes)
    session = TrainingSession(stage, run, seed, device, start, lambda: TrainedFusion(kind))
    run_on_features(session, pictures, sounds, seed, progress)


def export(runs: Path, folder: Path) -> None:
    """Writes ``KIND.safetensors.xz``, without the frozen modules, and ``card.json`` into ``folder``.

    Large matrices are int8, see `mmviz.models.int8_weights`. Exports the kinds that ``runs`` holds. Figures measured
    before are dropped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "card.json"
    card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"kinds": {}}
    card.pop("measured", None)
    for kind in COMPARED:
        weights = runs / kind / "weights.safetensors"
        if not weights.exists():
            continue
        trained = {
            name.removeprefix("model."): tensor
            for name, tensor in load_file(weights).items()
            if name.startswith("model.") and not any(f".{part}." in name for part in FROZEN)
        }
        (folder / kind_file(kind).name).write_bytes(lzma.compress(save(packed(trained))))
        card["kinds"][kind] = {
            "about": ABOUT[kind], "map_ref": MAP_REFS[kind], "scenes": trained_scenes(weights),
            "parameters": sum(tensor.numel() for tensor in trained.values()),
        }  # fmt: skip
    path.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def add_measured(measured: dict[str, Any]) -> None:
    """Adds the figures of ``mmviz evaluate --fusions`` to the card in the assets."""
    path = assets_dir() / "fusions" / "card.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**card, "measured": measured}, indent=1) + "\n", encoding="utf-8")


def main(arguments: Sequence[str]) -> None:
    """Runs ``python -m mmviz.training.fit.train_fusions RUNS``."""
    export(Path(arguments[0]), assets_dir() / "fusions")


if __name__ == "__main__":
    main(sys.argv[1:])
