"""Training of the kinds of fusion that are compared: the same trios as the frozen encoders of `trio` see them, the
same losses, the same number of questions.

``python -m mmviz.training.fit.fusions RUNS`` puts what was trained into the assets.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mmviz.assets_path import assets_dir
from mmviz.models.bundled import BundledTrio
from mmviz.models.cards import COMPARED, REDUCED
from mmviz.models.fusion_model import FROZEN, build_network
from mmviz.models.fusion_networks import init_as_identity
from mmviz.models.trio import FRAMES, PATCHES, Trio, TrioInput
from mmviz.training.fit.data import Batch, Encoder
from mmviz.training.fit.feature_cache import batches, encode, open_or_encode
from mmviz.training.fit.losses import TokenLabels, fusion_losses
from mmviz.training.fit.train import Plan, Progress, Session, learn, plan, scenes_seen
from mmviz.training.world.examples import World
from mmviz.training.world.sprites import concepts
from mmviz.training.world.tokenizer import build_tokenizer

SCENES, SCENES_A_STEP, RATE = 12_000, 4, 1e-3
"""The budget of every kind: scenes, with four questions each; scenes a step; the highest learning rate."""
_POOL_SEED = 7_000
_LABELLED = (2, 3, 3)
ABOUT = {
    REDUCED: "One list of all tokens: every token asks every token, as in trio, with four layers instead of six. For "
    "comparison with crossmodal, bottleneck and late.",
    "crossmodal": "Six pairs in which one modality asks another (MulT, Tsai et al. 2019), then each asks itself. On "
    "the encoders of trio, trained on the budget of the compared kinds.",
    "bottleneck": "Each modality asks itself and four tokens that all three share (MBT, Nagrani et al. 2021). On the "
    "encoders of trio, trained on the budget of the compared kinds.",
    "late": "Each modality asks itself alone; what they found is joined at the end. No attention across modalities. On "
    "the encoders of trio, trained on the budget of the compared kinds.",
}
MAP_REFS = {REDUCED: "rollout", "crossmodal": "1:mean", "bottleneck": "3:mean", "late": "3:mean"}
"""Where the page begins to look."""


class Fusing(nn.Module):
    """A kind of fusion and its readers of token labels; what `trio` sees, hears and reads with is taken and frozen."""

    def __init__(self, kind: str):
        super().__init__()
        self.model, front = build_network(kind, BundledTrio("cpu").module)
        init_as_identity(self.model)
        self.labelled_layers = _LABELLED if isinstance(self.model, Trio) else self.model.fusion.labelled_layers
        for name in FROZEN:
            front.get_submodule(name).requires_grad_(False)
        self.front = [front]  # in a list: its parameters are the model's already
        self.labels = TokenLabels(front.config.width)

    def losses(self, batch: Batch, rows: Tensor, fuse: bool) -> dict[str, Tensor]:
        """Named losses of a batch of `mmviz.training.fit.feature_cache`; ``rows`` and ``fuse`` are of no use here."""
        (front,), model = self.front, self.model
        repeats = len(batch["text"]) // len(batch["frames"])
        patches, sounds = (batch[name].float().repeat_interleave(repeats, 0) for name in ("patches", "sounds"))
        questions = TrioInput(
            image=patches, mel=sounds, frames=batch["frames"].repeat_interleave(repeats), text=batch["text"],
            text_lengths=batch["text_lengths"], has_image=batch["has_image"], has_audio=batch["has_audio"],
            has_text=batch["has_text"],
        )  # fmt: skip
        x, real = front.sequence(questions, patches, sounds)
        sizes = [batch["text"].shape[1], PATCHES**2, FRAMES]
        output = model.fuse(x, real) if isinstance(model, Trio) else model.fuse(x, real, sizes)
        return fusion_losses(self.labels, output, batch, self.labelled_layers)


def budget(scenes: int = SCENES) -> Plan:
    """The stage that every kind is trained by."""
    whole = plan("whole", scenes, rate=RATE)
    return replace(whole, recipe=replace(whole.recipe, scenes=SCENES_A_STEP))


def train_kind(
    kind: str, world: World, run: Path, seed: int, device: str, scenes: int = SCENES,
    progress: Progress = lambda done, of, losses: None, encoding: Callable[[int, int], None] = lambda done, of: None,
) -> None:  # fmt: skip
    """Train one kind in the folder ``run``, whose training is resumed (see `mmviz.training.fit.train.train`).

    The trios, as the encoders see them, are kept beside ``run`` for the other kinds; ``encoding`` hears how many of
    them are made.
    """
    stage = budget(scenes)
    model = BundledTrio("cpu").module
    assert isinstance(model, Trio)
    encoder = Encoder(build_tokenizer(concepts()), concepts())

    def make() -> Batch:
        return encode(world, encoder, model, stage.recipe, scenes, _POOL_SEED, encoding)

    pool = open_or_encode(run.parent / f"encoded-{scenes}.safetensors", make)
    session = Session(stage, run, seed, device, None, lambda: Fusing(kind))
    learn(session, batches(pool, SCENES_A_STEP, session.steps * SCENES_A_STEP), torch.zeros(0), progress)


def ship(runs: Path, folder: Path) -> None:
    """Write ``KIND.safetensors`` (half precision, without what is `trio`'s) and ``card.json`` into ``folder``, of the
    kinds that ``runs`` holds. Figures measured before are not kept."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "card.json"
    card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"kinds": {}}
    card.pop("measured", None)
    for kind in COMPARED:
        weights = runs / kind / "weights.safetensors"
        if not weights.exists():
            continue
        kept = {
            name.removeprefix("model."): tensor
            for name, tensor in load_file(weights).items()
            if name.startswith("model.") and not any(f".{part}." in name for part in FROZEN)
        }
        save_file(kept, folder / f"{kind}.safetensors")
        card["kinds"][kind] = {
            "about": ABOUT[kind], "map_ref": MAP_REFS[kind], "scenes": scenes_seen(weights),
            "parameters": sum(tensor.numel() for tensor in kept.values()),
        }  # fmt: skip
    path.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def note_measured(measured: dict[str, Any]) -> None:
    """Add what ``mmviz evaluate --fusions`` measured to the card in the assets."""
    path = assets_dir() / "fusions" / "card.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**card, "measured": measured}, indent=1) + "\n", encoding="utf-8")


def main(arguments: Sequence[str]) -> None:
    """``python -m mmviz.training.fit.fusions RUNS``."""
    ship(Path(arguments[0]), assets_dir() / "fusions")


if __name__ == "__main__":
    main(sys.argv[1:])
