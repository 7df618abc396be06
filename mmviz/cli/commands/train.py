"""``mmviz train``: trains the bundled model, a fusion for comparison, or the small model of a lesson."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from mmviz.cli.options import check_folder, check_number, progress_bar, require_extra, stop_on_interrupt
from mmviz.i18n.command_help import help_text
from mmviz.i18n.errors_and_notices import sentence
from mmviz.types import MmvizError

KINDS = ("trio-reduced", "crossmodal", "bottleneck", "late")
"""The same as `mmviz.models.cards.COMPARED`, written out so that the command line loads quickly."""
MODELS = ("trio", *KINDS, "conv-attention")
_TRIO_OPTIONS = ("stage", "pairs", "rate", "weights", "device", "pictures", "sounds")
_FUSION_OPTIONS = ("weights", "device", "pictures", "sounds")
"""Options for trio, and those of them for the fusions as well."""
STAGES = ("projections", "whole", "tokens")


def add(commands: Any) -> None:
    """Adds the command to the parser of ``mmviz``."""
    parser = commands.add_parser("train", help=help_text("train"), description=help_text("train-description"))
    parser.add_argument("--model", choices=MODELS, default="trio", help=help_text("train --model"))  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=help_text("train --out"))
    parser.add_argument("--stage", choices=(*STAGES, "all"), default="all", help=help_text("train --stage"))
    parser.add_argument(
        "--pairs", type=int, nargs=3, default=(36_000, 60_000, 84_000), metavar=("PROJECTIONS", "WHOLE", "TOKENS"),
        help=help_text("train --pairs"),
    )  # fmt: skip
    parser.add_argument("--pictures", type=int, default=16_000, help=help_text("train --pictures"))
    parser.add_argument("--sounds", type=int, default=24_000, help=help_text("train --sounds"))
    parser.add_argument("--rate", type=float, help=help_text("train --rate"))
    parser.add_argument("--weights", type=Path, metavar="FILE", help=help_text("train --weights"))
    parser.add_argument("--seed", type=int, default=1, help=help_text("train --seed"))
    parser.add_argument("--device", default="auto", help=help_text("train --device"))
    defaults = {name: parser.get_default(name) for name in _TRIO_OPTIONS}
    parser.set_defaults(run=lambda options: _run(options, defaults))


def _check(options: argparse.Namespace) -> None:
    """Checks all values before anything is synthesised, which takes long.

    Raises ``MmvizError``: ``option-number``, ``file-missing``, ``file-unwritable``, ``device-unknown``.
    """
    stages = STAGES if options.stage == "all" else (options.stage,)
    used = [pairs for stage, pairs in zip(STAGES, options.pairs, strict=True) if stage in stages]
    check_number("--pairs", min(used), 1)
    check_number("--pairs", min(options.pairs), 0)
    check_number("--pictures", options.pictures, 1)
    check_number("--sounds", options.sounds, 1)
    check_number("--seed", options.seed, 0)
    if options.rate is not None:
        check_number("--rate", options.rate, sys.float_info.min)
    if options.weights is not None and not options.weights.is_file():
        raise MmvizError("file-missing", name=options.weights.name)
    check_folder(options.out)
    if options.device != "auto":
        from mmviz.training.fit.device_availability import check_device

        check_device(options.device)


def _run(options: argparse.Namespace, defaults: dict[str, Any]) -> int:
    require_extra("mmviz train", "train", "scipy", "tqdm")
    options.out = options.out or Path("runs") / options.model
    _check(options)
    if options.model == "trio":
        return _trio(options)
    is_fusion = options.model in KINDS
    unusable = [
        name
        for name in _TRIO_OPTIONS
        if getattr(options, name) != defaults[name] and not (is_fusion and name in _FUSION_OPTIONS)
    ]
    if unusable:
        raise MmvizError("train-option", option=unusable[0], model=options.model)
    return _fusion(options) if is_fusion else _conv_attention(options)


def _features(options: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    """Returns the chunks of features of pictures and of sounds, computed where they are missing."""
    from mmviz.training.fit.feature_store import FeatureKind, build, store_folder
    from mmviz.training.world.examples import World
    from mmviz.training.world.speech_bank import default_cache
    from mmviz.training.world.sprites import styles

    world = World(styles(), _voices())
    chunks: list[list[Path]] = []
    counts: tuple[tuple[FeatureKind, int], ...] = (("pictures", options.pictures), ("sounds", options.sounds))
    for kind, count in counts:
        folder = store_folder(default_cache(), kind, world, options.seed)
        print(sentence("features", kind=kind, count=count, folder=folder))
        with progress_bar(count) as bar:

            def show_progress(done: int, of: int, bar: Any = bar) -> None:
                bar.n = done
                bar.refresh()

            chunks.append(build(folder, kind, world, count, options.seed, progress=show_progress))
    return chunks[0], chunks[1]


def _trio(options: argparse.Namespace) -> int:
    from mmviz.backends.local.backend import best_device
    from mmviz.training.fit.train_trio import make_stage, train

    device = best_device() if options.device == "auto" else options.device
    stages = STAGES if options.stage == "all" else (options.stage,)
    start: Path | None = options.weights
    pictures, sounds = _features(options)
    for stage, pairs in zip(STAGES, options.pairs, strict=True):
        if stage not in stages:
            continue
        print(sentence("training", stage=stage, folder=options.out / stage, device=device))
        with progress_bar(pairs) as bar:

            def show_progress(done: int, of: int, losses: dict[str, float], bar: Any = bar) -> None:
                bar.n = done
                bar.set_postfix(losses)

            settings = make_stage(stage, pairs, rate=options.rate)
            train(settings, pictures, sounds, options.out / stage, options.seed, device, start, show_progress)
        start = options.out / stage / "weights.safetensors"
    return 0


def _fusion(options: argparse.Namespace) -> int:
    from mmviz.backends.local.backend import best_device
    from mmviz.training.fit.train_fusions import SCENES, train_kind

    device = best_device() if options.device == "auto" else options.device
    pictures, sounds = _features(options)
    print(sentence("training", stage=options.model, folder=options.out, device=device))
    with progress_bar(SCENES) as bar:

        def show_progress(done: int, of: int, losses: dict[str, float]) -> None:
            bar.n = done
            bar.set_postfix(losses)

        train_kind(
            options.model, pictures, sounds, options.out, options.seed, device, start=options.weights,
            progress=show_progress,
        )  # fmt: skip
    return 0


def _conv_attention(options: argparse.Namespace) -> int:
    from mmviz.training.fit.train_conv_attention import Recipe, TrainingRun, fit, save

    recipe = Recipe(seed=options.seed)
    print(sentence("training-small", model=options.model, folder=options.out))
    with stop_on_interrupt() as stop, progress_bar(recipe.epochs * recipe.images) as bar:

        def show_progress(done: int, of: int) -> None:
            bar.update(done - bar.n)

        def show_accuracy(run: TrainingRun) -> None:
            if run.points:
                last = run.points[-1]
                bar.set_postfix(epoch=int(last.epoch), loss=round(last.loss, 3), accuracy=round(last.accuracy, 3))

        fitted = fit(recipe, show_progress, stop, show_accuracy)
    save(fitted, options.out)
    if not fitted.is_complete:
        print(sentence("training-stopped", done=fitted.images, of=recipe.epochs * recipe.images))
    before, after = fitted.snapshots[0], fitted.snapshots[-1]
    learned = fitted.points[-1].accuracy if fitted.points else before.accuracy
    print(sentence("training-accuracy", learned=learned, held_out=after.accuracy))
    print(sentence("training-attention", before=before.on_drawing, after=after.on_drawing, area=fitted.area))
    return 0


def _voices() -> Any:
    """Returns the bank of the training voices, built if it is not there; says which engines are missing."""
    from mmviz.training.world.speech_bank import default_cache, open_or_build
    from mmviz.training.world.sprites import concepts
    from mmviz.training.world.synthesisers import install_command

    bank = open_or_build(default_cache(), "train", concepts(), _print_progress)
    if bank.missing_engines:
        commands = "; ".join(dict.fromkeys(map(install_command, bank.missing_engines)))
        missing = ", ".join(bank.missing_engines)
        print(sentence("speech-engines", voices=len(bank.voices), missing=missing, commands=commands), file=sys.stderr)
    return bank


def _print_progress(done: int, of: int) -> None:
    text = sentence("speech-progress", done=done, of=of)
    print(f"\r{text}", end="" if done < of else "\n", file=sys.stderr, flush=True)
