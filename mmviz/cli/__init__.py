"""The command line, ``mmviz COMMAND``: one file for each command in `mmviz.cli.commands`."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence

from mmviz.cli.commands import (
    app,
    audit,
    average,
    compare,
    doctor,
    effect,
    evaluate,
    explain,
    heads,
    lens,
    methods,
    models,
    present,
    report,
    routes,
    serve,
    story,
    train,
)
from mmviz.cli.standard_streams import CLOSED_PIPE, ClosedPipe, checked_output, prepare_streams
from mmviz.i18n.command_help import help_text
from mmviz.i18n.errors_and_notices import sentence
from mmviz.types import MmvizError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code.

    An ``MmvizError`` is printed as one line on stderr, with exit code 2. Ctrl-C gives exit code 130, and a pipe that is
    closed before everything was printed `CLOSED_PIPE`.
    """
    prepare_streams()
    try:
        with checked_output():
            return _exit_code(arguments)
    except ClosedPipe:
        return CLOSED_PIPE
    except MmvizError as error:  # standard output cannot be written
        print(f"mmviz: {error}", file=sys.stderr)
        return 2


def _exit_code(arguments: Sequence[str] | None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    options.command_line = shlex.join(["mmviz", *arguments])  # what a table names as the way to make it again
    try:
        exit_code: int = options.run(options)
    except MmvizError as error:
        print(f"mmviz: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"mmviz: {sentence('command-stopped')}", file=sys.stderr)
        return 130
    return exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mmviz",
        description=help_text("mmviz"),
        epilog=help_text("mmviz-epilog"),
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (
        app, explain, present, report, effect, heads, routes, story, methods, compare, lens, audit, average, serve,
        train, evaluate, doctor, models,
    ):  # fmt: skip
        command.add(commands)
    return parser
