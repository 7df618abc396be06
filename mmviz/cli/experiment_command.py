"""What the commands of experiments share: options, the run, progress with an estimate, files, and a printed table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from mmviz.cli.change_options import add_change_options, changes_of
from mmviz.cli.options import (
    add_input_options,
    add_model_options,
    add_prompt_options,
    backend_from,
    check_outputs,
    prompt_settings,
    stop_on_interrupt,
    word_numbers,
)
from mmviz.cli.progress_line import reported_run
from mmviz.experiments.removals import Baseline
from mmviz.i18n.command_help import help_text
from mmviz.i18n.errors_and_notices import sentence
from mmviz.io.write_file import write_file
from mmviz.types import MmvizError
from mmviz.types.best_answer import best_answer

if TYPE_CHECKING:
    from mmviz.backends import Stop
    from mmviz.explain import Run
    from mmviz.report.result_table import ExperimentTable


@dataclass(frozen=True)
class Printed:
    """A table as text."""

    rows: Sequence[Sequence[str]]
    """The rows, of equally many cells; the first is the header."""
    title: str = ""
    """What stands above it."""


@dataclass(frozen=True)
class Measured:
    """What an experiment measured."""

    table: ExperimentTable
    """All of it: what ``--json`` and ``--csv`` write. Its fact ``verdict`` is printed."""
    printed: Sequence[Printed]
    """What is printed of it."""
    done: tuple[int, int] | None = None
    """Where it was stopped: how much is measured, and of how much; None where it is whole."""
    further_files: Sequence[tuple[str | None, ExperimentTable]] = ()
    """The path of a further CSV file and what it holds; None where it is not requested."""


def add_experiment(commands: Any, name: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    """Adds the command of an experiment with the options that all of them have, and returns its parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=help_text(name), description=help_text(f"{name}-description")
    )
    add_input_options(parser)
    add_model_options(parser)
    add_prompt_options(parser)
    add_change_options(parser)
    parser.add_argument("--words", metavar="N,N", help=help_text("--words"))
    parser.add_argument("--json", metavar="FILE", help=help_text("--json"))
    parser.add_argument("--csv", metavar="FILE", help=help_text("--csv"))
    parser.set_defaults(run=run)
    return parser


def add_baseline(parser: argparse.ArgumentParser, command: str) -> None:
    """Adds the option for what stands in the place of what ``command`` removes."""
    parser.add_argument(
        "--baseline", choices=get_args(Baseline), default="learned", help=help_text(f"{command} --baseline")
    )


def run_experiment(
    options: argparse.Namespace, measure: Callable[[Run, Stop], Measured | None], further: Sequence[str] = (),
    relevance: bool = False, of_answer: bool = True, shows_run: bool = False,
) -> int:  # fmt: skip
    """Makes the run that the options ask for, measures it, writes the files, prints the table, and returns 0.

    ``measure`` returns None where it was stopped without a result. ``further`` names further options for CSV files;
    ``relevance`` is as in `mmviz.types.Request`; ``of_answer``: it measures an answer, not attention alone;
    ``shows_run``: the progress of the run itself is printed, for an experiment that is little more than it.
    Raises ``KeyboardInterrupt`` after a stop without a result; ``MmvizError`` for a model without the answer that it
    measures (``answer-none``), and for a file that cannot be written, after the table is printed.
    """
    check_outputs(options, ("json", "csv", *further))
    with stop_on_interrupt() as stop:
        with reported_run() if shows_run else nullcontext():
            run = make_run(options, stop, relevance)
        if of_answer:
            best_answer(run.record)
        measured = measure(run, stop)
    if stop():
        print(file=sys.stderr)  # ends the line of progress
    if measured is None:
        raise KeyboardInterrupt
    table = measured.table
    try:
        if options.json and options.json != "-":
            write_file(options.json, table.to_json().encode())
        for path, rows in ((options.csv, table), *measured.further_files):
            if path:
                write_file(path, rows.to_csv().encode())
    finally:  # what was measured is printed even where a file cannot be written
        if measured.done:
            print(sentence("measure-stopped", done=measured.done[0], of=measured.done[1]), file=sys.stderr)
        print(table.to_json() if options.json == "-" else _to_text(measured), end="")
    return 0


def make_run(options: argparse.Namespace, stop: Stop, relevance: bool = False) -> Run:
    """Returns `run_of_inputs`, about the words that the options name."""
    words = word_numbers(options.words)
    run = run_of_inputs(options, stop, relevance)
    return run.about_words(words) if words else run


def run_of_inputs(options: argparse.Namespace, stop: Stop, relevance: bool = False) -> Run:
    """Returns the run of the inputs and the model that the options name, with their changes.

    Raises ``KeyboardInterrupt`` where it was stopped, ``MmvizError`` (``option-changes``).
    """
    from mmviz.explain import run_sample
    from mmviz.inputs import make_sample

    sample = make_sample(image=options.image, text=options.text, audio=options.audio, video=options.video)
    try:
        return run_sample(
            sample, model=options.model, backend=backend_from(options), changes=changes_of(options),
            relevance=relevance, options=prompt_settings(options), stop=stop,
        )  # fmt: skip
    except MmvizError as error:
        if error.code == "run-stopped":
            raise KeyboardInterrupt from None
        raise


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns the rows of a table as lines whose columns stand below each other; invisible characters are shown."""
    from mmviz.i18n.unicode_display import one_line

    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]


def _to_text(measured: Measured) -> str:
    """Returns notices, the answer, the tables, the verdict, and the command that makes the table again."""
    from mmviz.i18n.unicode_display import one_line
    from mmviz.report.answer_title import named_answers

    facts = measured.table.facts
    lines = [one_line(notice) for notice in facts["notices"]]
    if facts["not_sure"]:
        answers = named_answers((each["label"], each["probability"]) for each in facts["not_sure"])
        lines.append(sentence("measure-answer-unsure", answers=one_line(answers)))
    elif facts["answer"] is not None:
        words = {"answer": one_line(facts["answer"]), "probability": facts["probability"]}
        lines.append(sentence("measure-answer", **words))
    for printed in measured.printed:
        lines += ["", *([one_line(printed.title)] if printed.title else []), *_aligned(printed.rows)]
    lines += ["", *map(one_line, facts["verdict"])]
    return "\n".join([*lines, "", sentence("measure-again", command=measured.table.command)]) + "\n"
