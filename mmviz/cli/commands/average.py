"""``mmviz average``: mean attention and mean effects of routes over a folder, and two checkpoints compared on it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from mmviz.cli.options import (
    add_model_options,
    add_prompt_options,
    backend_from,
    backend_with,
    check_outputs,
    prompt_settings,
    stop_on_interrupt,
)
from mmviz.cli.progress_line import examples_progress
from mmviz.experiments.example_averages import By, average
from mmviz.i18n.command_help import help_text
from mmviz.i18n.errors_and_notices import sentence
from mmviz.io.write_file import write_file
from mmviz.report.average_tables import COMPARED_TABLES, TABLES, average_tables, comparison_tables, to_json
from mmviz.report.run_facts import option_texts
from mmviz.types import MmvizError

if TYPE_CHECKING:
    from mmviz.backends import Backend
    from mmviz.experiments.example_measurements import ExampleMeasurement
    from mmviz.report.result_table import ExperimentTable


def add(commands: Any) -> None:
    """Adds the command to the parser of ``mmviz``."""
    parser = commands.add_parser("average", help=help_text("average"), description=help_text("average-description"))
    parser.add_argument("folder", nargs="?", metavar="FOLDER_OR_CSV", help=help_text("FOLDER_OR_CSV"))
    add_model_options(parser)
    add_prompt_options(parser)
    parser.add_argument("--other", metavar="MODEL", help=help_text("average --other"))
    parser.add_argument("--by", choices=get_args(By), help=help_text("average --by"))
    parser.add_argument("--table", choices=TABLES, default="routes", help=help_text("average --table"))
    parser.add_argument("--json", metavar="FILE", help=help_text("average --json"))
    parser.add_argument("--csv", metavar="FILE", help=help_text("average --csv"))
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Returns exit code 0 where at least one example was measured (in both models, if there are two), else 2."""
    from mmviz.inputs.examples import load_examples, load_gallery

    _check(options)
    settings = tuple(prompt_settings(options).items())
    examples = load_examples(options.folder) if options.folder else load_gallery()
    models = [options.model, *([options.other] if options.other else [])]
    backends = [backend_with(backend_from(options, model), model) for model in models]
    measured, skipped, done = _measured(options, settings, examples, models, [backend for backend, _ in backends])
    if not done:
        raise KeyboardInterrupt
    facts = {
        "model": options.model, **({"other": options.other} if options.other else {}),
        "trained": all(trained for _, trained in backends),
        "options": option_texts(settings), "examples": len(examples),
        "measured": count_in_all(measured), "stopped": done < len(models) * len(examples),
        "skipped": [{"name": name, "reason": str(error)} for name, error in skipped.items()],
    }  # fmt: skip
    tables, lines = _result(options, measured, facts)
    try:
        if options.json and options.json != "-":
            write_file(options.json, to_json(tables).encode())
        if options.csv:
            write_file(options.csv, tables[options.table].to_csv().encode())
    finally:  # the result is printed even where a file cannot be written
        text = "\n".join([*_summary(facts), *lines, *_skipped_lines(skipped)]) + "\n"
        print(to_json(tables) if options.json == "-" else text, end="")
    return 0 if facts["measured"] else 2


def count_in_all(measured: Sequence[Sequence[ExampleMeasurement]]) -> int:
    """Returns how many examples were measured in each of the models."""
    return len(set.intersection(*({member.name for member in members} for members in measured)))


def _check(options: argparse.Namespace) -> None:
    """Refuses what cannot be done before anything runs. Raises ``MmvizError``."""
    if options.other == options.model:
        raise MmvizError("average-same-model", model=options.model)
    if options.other and options.table not in COMPARED_TABLES:
        raise MmvizError("average-table", table=options.table, known=", ".join(COMPARED_TABLES))
    check_outputs(options, ("json", "csv"))


def _measured(
    options: argparse.Namespace,
    settings: Sequence[tuple[str, str | int]],
    examples: Sequence[Any],
    models: Sequence[str],
    backends: Sequence[Backend],
) -> tuple[list[list[ExampleMeasurement]], dict[str, MmvizError], int]:
    """Returns the measurements of each model, the examples that were skipped, and how many runs are done."""
    from mmviz.experiments.example_measurements import measure_examples

    with_routes = bool(options.json) or options.table == "routes"
    by_layer = bool(options.json or options.csv or options.other)  # what is printed of one model has all layers alone
    measured: list[list[ExampleMeasurement]] = []
    skipped: dict[str, MmvizError] = {}
    done = 0
    report = examples_progress(len(models) * len(examples))
    with stop_on_interrupt() as stop:
        for model, backend in zip(models, backends, strict=True):
            before = done
            own, errors = measure_examples(
                backend, model, examples, with_routes, lambda count, _: report(before + count), stop,  # noqa: B023
                settings, by_layer,
            )  # fmt: skip
            measured.append(own)
            skipped |= {name: error for name, error in errors if name not in skipped}
            done += len(own) + len(errors)
    if done < len(models) * len(examples):
        print(file=sys.stderr)
    return measured, skipped, done


def _result(
    options: argparse.Namespace, measured: Sequence[Sequence[ExampleMeasurement]], facts: Mapping[str, Any]
) -> tuple[dict[str, ExperimentTable], list[str]]:
    """Returns the tables, and the result as lines of text."""
    from mmviz.experiments.checkpoint_comparison import compare_checkpoints
    from mmviz.report.average_text import averages_lines, comparison_lines

    if not options.other:
        averages = average(measured[0], options.by or "question")
        return average_tables(averages, measured[0], facts, options.command_line), averages_lines(averages)
    models = (options.model, options.other)
    comparison = compare_checkpoints(measured[0], measured[1], models, options.by or "all")
    return comparison_tables(comparison, facts, options.command_line), comparison_lines(comparison, *models)


def _summary(facts: Mapping[str, Any]) -> list[str]:
    code = "average-summary-stopped" if facts["stopped"] else "average-summary"
    models = ", ".join(facts[name] for name in ("model", "other") if name in facts)
    lines = [sentence(code, model=models, measured=facts["measured"], of=facts["examples"])]
    return lines if facts["trained"] else [*lines, sentence("average-untrained")]


def _skipped_lines(skipped: Mapping[str, MmvizError]) -> list[str]:
    from mmviz.i18n.unicode_display import one_line

    lines = [f"{name}: {one_line(str(error))}" for name, error in skipped.items()]
    return ["", sentence("average-left-out"), *lines] if lines else []
