"""``mmviz report``: a run and what is measured of it, as one HTML document and one PDF."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from mmviz.cli.change_options import add_change_options
from mmviz.cli.experiment_command import make_run
from mmviz.cli.options import (
    add_input_options,
    add_model_options,
    add_prompt_options,
    check_ending,
    check_file,
    stop_on_interrupt,
)
from mmviz.cli.progress_line import ProgressLine
from mmviz.i18n.command_help import help_text
from mmviz.i18n.errors_and_notices import sentence
from mmviz.io.write_file import write_file
from mmviz.types import MmvizError


def add(commands: Any) -> None:
    """Adds the command to the parser of ``mmviz``."""
    parser = commands.add_parser("report", help=help_text("report"), description=help_text("report-description"))
    add_input_options(parser)
    add_model_options(parser)
    add_prompt_options(parser)
    add_change_options(parser)
    parser.add_argument("--words", metavar="N,N", help=help_text("--words"))
    parser.add_argument("--out", metavar="FILE", help=help_text("report --out"))
    parser.add_argument("--pdf", metavar="FILE", help=help_text("report --pdf"))
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from mmviz.report.run_report import measure_report
    from mmviz.report.run_report_html import report_html

    if options.out is None and options.pdf is None:
        raise MmvizError("report-out")
    for option, endings in (("out", (".html", ".htm")), ("pdf", (".pdf",))):
        path = getattr(options, option)
        if path in ("", "-"):
            raise MmvizError("option-file", option=f"--{option}")
        if path is not None:
            check_ending(path, endings, "report-ending")
            check_file(path)
    with stop_on_interrupt() as stop:
        run = make_run(options, stop)
        report = measure_report(
            run, options.command_line, lambda variants: ProgressLine(run.record, variants), stop
        )  # fmt: skip
    if stop():
        print(file=sys.stderr)
    if options.out:
        write_file(options.out, report_html(report))
    if options.pdf:
        from mmviz.report.run_report_pdf import report_pdf

        write_file(options.pdf, report_pdf(report, run))
    names = " and ".join(str(Path(path)) for path in (options.out, options.pdf) if path)
    print(sentence("report-written", names=names))
    return 0
