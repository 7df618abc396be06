"""The command line: ``mmviz app | explain | audit | serve | train | evaluate | doctor | models``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmviz.cli import audit, launch
from mmviz.cli import train as command
from mmviz.cli.options import MODEL, add_where, backend_of, bar, own, write
from mmviz.types import MmvizError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit code 0, or 2 with one line on stderr for input that cannot be used."""
    options = _parser().parse_args(arguments)
    try:
        result: int = options.run(options)
    except MmvizError as refusal:
        print(f"mmviz: {refusal}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mmviz: stopped.", file=sys.stderr)
        return 130
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mmviz", description="See how image, text and audio attend to each other.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    launch.add(commands)

    explain = commands.add_parser("explain", help="run a model on a picture, a text and a sound")
    explain.add_argument("--image", metavar="FILE", help="PNG, JPEG, WebP or GIF")
    explain.add_argument("--text", metavar="TEXT", help="the question")
    explain.add_argument("--audio", metavar="FILE", help="WAV, FLAC, OGG, MP3, M4A, AAC or WebM")
    add_where(explain)
    explain.add_argument("--json", metavar="FILE", help="write the summary (- for standard output)")
    explain.add_argument("--npz", metavar="FILE", help="write the whole run")
    explain.add_argument("--png", metavar="FILE", help="write one picture to show")
    explain.add_argument("--html", metavar="FILE", help="write the linked viewer with this run, one file to open")
    explain.set_defaults(run=_explain)
    audit.add(commands)
    command.add(commands)

    evaluate = commands.add_parser("evaluate", help="print the tables of the bundled model, measured afresh")
    evaluate.add_argument("--count", type=int, default=200, help="trios a family")
    evaluate.add_argument("--way", help="way of looking (default: the one the card names)")
    evaluate.add_argument("--choose", action="store_true", help="rank the ways of looking on seeds of their own")
    evaluate.add_argument("--fusions", action="store_true", help="compare the ways to fuse instead")
    evaluate.add_argument("--json", type=Path, metavar="FILE", help="write the figures as well")
    evaluate.add_argument("--card", action="store_true", help="note the figures in the model's card")
    evaluate.set_defaults(run=_evaluate)

    doctor = commands.add_parser("doctor", help="tell device, versions and by which route attention is heard")
    doctor.add_argument("--model", default="trio", help=MODEL)
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")
    doctor.set_defaults(run=_doctor)

    models = commands.add_parser("models", help="list the models")
    models.set_defaults(run=_models)
    return parser


def _explain(options: argparse.Namespace) -> int:
    from mmviz.explain import explain

    run = explain(
        image=options.image, text=options.text, audio=options.audio, model=options.model,
        backend=backend_of(options),
    )  # fmt: skip
    summary = run.summary()
    if options.json == "-":
        print(json.dumps(summary, indent=1))
    else:
        _print_answer(summary)
    if options.json and options.json != "-":
        write(options.json, json.dumps(summary, indent=1).encode())
    if options.npz:
        write(options.npz, run.to_bytes())
    if options.png:
        write(options.png, run.png())
    if options.html:
        write(options.html, run.to_html().encode())
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from mmviz.cli.doctor import examine, is_well, tell

    found = examine(options.model, own(options.model))
    print(json.dumps(found, indent=1) if options.json else tell(found))
    return 0 if is_well(found) else 1


def _print_answer(summary: dict[str, Any]) -> None:
    for notice in summary["notices"]:
        print(notice)
    best = list(summary["probabilities"].items())[:5]
    print("answer: " + (" | ".join(f"{label} {probability:.2f}" for label, probability in best) or "none"))
    print(f"computed on {summary['made_by']['device_name']}, looking at {summary['attention']['method']}")


def _compare(options: argparse.Namespace) -> int:
    from mmviz.backends.local import LocalBackend
    from mmviz.training.evaluate.compare_fusions import compare, table, trials

    with bar(trials(options.count)) as shown:

        def tick(what: str) -> None:
            shown.set_description(what)
            shown.update()

        result = compare(LocalBackend(), options.count, tick)
    print(table(result))
    if options.json:
        write(str(options.json), json.dumps(result, indent=1).encode())
    if options.card:
        from mmviz.training.fit.fusions import note_measured

        note_measured(result)
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    if options.fusions:
        return _compare(options)
    from mmviz.backends.local import LocalBackend
    from mmviz.training.evaluate.tables import markdown, measure, rank_ways, trials

    backend = LocalBackend()
    (card,) = (card for card in backend.models() if card.id == "trio")
    with bar(trials(options.count, options.choose)) as shown:

        def tick(what: str) -> None:
            shown.set_description(what)
            shown.update()

        if options.choose:
            for map_ref, image, audio in rank_ways(backend, "trio", options.count, tick):
                shown.write(f"{map_ref:12} picture {image:.2f}  sound {audio:.2f}")
            return 0
        result = measure(backend, "trio", options.map_ref or card.details["map_ref"], options.count, tick)
    print(markdown(result))
    if options.json:
        write(str(options.json), json.dumps(result, indent=1).encode())
    if options.card:
        from mmviz.assets_path import assets_dir
        from mmviz.training.release.export import note_measured

        note_measured(assets_dir() / "trio", result)
    return 0


def _models(options: argparse.Namespace) -> int:
    from mmviz.backends.local import LocalBackend

    for card in LocalBackend().models():
        print(f"{card.id:8} {card.about} (weights {card.weights_digest[:12]})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
