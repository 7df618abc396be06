"""``mmviz train``: the bundled model anew, or one of the small ones that show how attention is learned."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from mmviz.cli.options import bar, stopping
from mmviz.i18n.messages import sentence
from mmviz.types import MmvizError

KINDS = ("trio-reduced", "crossmodal", "bottleneck", "late")
"""Those of `mmviz.models.cards.COMPARED`, which the command line, before it knows what is wanted, does not load."""
MODELS = ("trio", *KINDS, "conv-attention")
_OF_TRIO = ("stage", "scenes", "rate", "weights", "device")


def add(commands: Any) -> None:
    """Add the command to those of ``mmviz``."""
    train = commands.add_parser("train", help="train the bundled model (resumes what the folder holds), or a small one")
    train.add_argument(
        "--model", choices=MODELS, default="trio",
        help="trio-reduced, crossmodal, bottleneck, late: ways to fuse, on one budget; conv-attention: about a minute, "
        "for the lesson",
    )  # fmt: skip
    train.add_argument("--out", type=Path, metavar="FOLDER", help="default: runs/MODEL")
    train.add_argument("--stage", choices=("encoders", "whole", "all"), default="all")
    train.add_argument("--scenes", type=int, nargs=2, default=(46_208, 92_000), metavar=("ENCODERS", "WHOLE"))
    train.add_argument(
        "--rate", type=float, help="highest learning rate (default: that of the stage); lower, to train on gently"
    )
    train.add_argument("--weights", type=Path, metavar="FILE", help="start from these weights (safetensors)")
    train.add_argument("--seed", type=int, default=1)
    train.add_argument("--device", default="auto")
    usual = {name: train.get_default(name) for name in _OF_TRIO}
    train.set_defaults(run=lambda options: _train(options, usual))


def _train(options: argparse.Namespace, usual: dict[str, Any]) -> int:
    options.out = options.out or Path("runs") / options.model
    if options.model == "trio":
        return _trio(options)
    is_kind = options.model in KINDS
    given = [name for name in _OF_TRIO if getattr(options, name) != usual[name] and not (is_kind and name == "device")]
    if given:
        raise MmvizError("train-option", option=given[0], model=options.model)
    return _kind(options) if is_kind else _conv_attention(options)


def _trio(options: argparse.Namespace) -> int:
    from mmviz.backends.local import best_device
    from mmviz.training.fit.train import plan, train
    from mmviz.training.world.examples import World
    from mmviz.training.world.speech import default_cache, open_or_build
    from mmviz.training.world.sprites import concepts, styles

    device = best_device() if options.device == "auto" else options.device
    stages = ("encoders", "whole") if options.stage == "all" else (options.stage,)
    start: Path | None = options.weights
    world = World(styles(), open_or_build(default_cache(), "train", concepts(), _print_progress))
    for stage, scenes in zip(("encoders", "whole"), options.scenes, strict=True):
        if stage not in stages:
            continue
        print(sentence("training", stage=stage, folder=options.out / stage, device=device))
        with bar(scenes) as shown:

            def show(done: int, of: int, losses: dict[str, float], shown: Any = shown) -> None:
                shown.n = done
                shown.set_postfix(losses)

            train(plan(stage, scenes, rate=options.rate), world, options.out / stage, options.seed, device, start, show)
        start = options.out / stage / "weights.safetensors"
    return 0


def _kind(options: argparse.Namespace) -> int:
    from mmviz.backends.local import best_device
    from mmviz.training.fit.fusions import SCENES, train_kind
    from mmviz.training.world.examples import World
    from mmviz.training.world.speech import default_cache, open_or_build
    from mmviz.training.world.sprites import concepts, styles

    device = best_device() if options.device == "auto" else options.device
    world = World(styles(), open_or_build(default_cache(), "train", concepts(), _print_progress))
    print(sentence("training", stage=options.model, folder=options.out, device=device))
    with bar(2 * SCENES) as shown:

        def show(done: int, of: int, losses: dict[str, float]) -> None:
            shown.n = done + of  # as many scenes were made before
            shown.set_postfix(losses)

        def make(done: int, of: int) -> None:
            shown.n = done
            shown.refresh()

        train_kind(options.model, world, options.out, options.seed, device, progress=show, encoding=make)
    return 0


def _conv_attention(options: argparse.Namespace) -> int:
    from mmviz.training.fit.conv_attention import Fitted, Recipe, fit, save

    recipe = Recipe(seed=options.seed)
    print(sentence("training-small", model=options.model, folder=options.out))
    with stopping() as stop, bar(recipe.epochs * recipe.pictures) as shown:

        def show(done: int, of: int) -> None:
            shown.update(done - shown.n)

        def tell(so_far: Fitted) -> None:
            if so_far.stretches:
                last = so_far.stretches[-1]
                shown.set_postfix(epoch=int(last.epoch), loss=round(last.loss, 3), accuracy=round(last.accuracy, 3))

        fitted = fit(recipe, show, stop, tell)
    save(fitted, options.out)
    if not fitted.is_whole:
        print(sentence("training-stopped", done=fitted.pictures, of=recipe.epochs * recipe.pictures))
    before, after = fitted.moments[0], fitted.moments[-1]
    learned = fitted.stretches[-1].accuracy if fitted.stretches else before.accuracy
    print(sentence("training-accuracy", learned=learned, held_out=after.accuracy))
    print(sentence("training-attention", before=before.on_drawing, after=after.on_drawing, area=fitted.area))
    return 0


def _print_progress(done: int, of: int) -> None:
    print(f"\rSpeaking the words: {done} of {of}", end="" if done < of else "\n", file=sys.stderr, flush=True)
