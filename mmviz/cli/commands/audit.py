"""``mmviz audit``: how often a model lets each modality decide, ignores it or overrules it, over many examples."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mmviz.cli.experiment_command import add_baseline
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
from mmviz.i18n.command_help import help_text
from mmviz.io.write_file import write_file

if TYPE_CHECKING:
    from mmviz.report.audit_report import Audit

MAX_NAMES = 10
"""Names of skipped examples that are printed for each reason."""


def add(commands: Any) -> None:
    """Adds the command to the parser of ``mmviz``."""
    parser = commands.add_parser("audit", help=help_text("audit"), description=help_text("audit-description"))
    parser.add_argument("folder", nargs="?", metavar="FOLDER_OR_CSV", help=help_text("FOLDER_OR_CSV"))
    add_model_options(parser)
    add_prompt_options(parser)
    add_baseline(parser, "audit")
    parser.add_argument("--json", metavar="FILE", help=help_text("audit --json"))
    parser.add_argument("--csv", metavar="FILE", help=help_text("audit --csv"))
    parser.add_argument("--heads-csv", metavar="FILE", help=help_text("audit --heads-csv"))
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Returns exit code 0 where at least one example was evaluated, else 2."""
    from mmviz.experiments.audit import evaluate_examples
    from mmviz.inputs.examples import load_examples, load_gallery
    from mmviz.report import pointing_table
    from mmviz.report.audit_report import Audit, to_csv, to_json

    check_outputs(options, ("json", "csv", "heads_csv"))
    settings = tuple(prompt_settings(options).items())
    examples = load_examples(options.folder) if options.folder else load_gallery()
    backend, is_trained = backend_with(backend_from(options), options.model)
    report = examples_progress(len(examples))
    with stop_on_interrupt() as stop:
        assessments, skipped = evaluate_examples(
            backend, options.model, examples, options.baseline, lambda done, _: report(done), stop, settings
        )
    done = len(assessments) + len(skipped)
    if done < len(examples):
        print(file=sys.stderr)
    if not done:
        raise KeyboardInterrupt
    audit = Audit(options.model, options.baseline, len(examples), assessments, skipped, is_trained, settings)
    try:
        if options.json and options.json != "-":
            write_file(options.json, to_json(audit).encode())
        if options.csv:
            write_file(options.csv, to_csv(audit).encode())
        if options.heads_csv:
            write_file(options.heads_csv, pointing_table.to_csv(assessments).encode())
    finally:  # the table is printed even where a file cannot be written
        print(to_json(audit) if options.json == "-" else to_text(audit) + "\n", end="")
    return 0 if assessments else 2


def to_text(audit: Audit) -> str:
    """Returns the audit as text: counts, table, findings, the meaning of the columns, and the skipped examples."""
    from mmviz.i18n.audit import audit_words
    from mmviz.report.audit_report import COLUMNS, has_places, meanings, reasons, sentences, summary, table

    names = {name: audit_words(f"the-{name}").removeprefix("the ") for name, _ in table(audit)}
    rows = [["", *map(audit_words, COLUMNS)]]
    rows += [[names[name], *(text for text, _ in cells)] for name, cells in table(audit)]
    lines = [summary(audit)]
    if audit.assessments:
        lines.append("")
        lines += _aligned(rows)
        lines += ["", *sentences(audit), ""]
        lines += [f"{audit_words(column)}: {meaning}" for column, meaning in meanings().items()]
    if has_places(audit):
        lines += ["", *pointing_lines(audit)]
    if audit.skipped:
        lines += ["", audit_words("left-out", count=len(audit.skipped), of=audit.examples)]
    for reason, skipped in reasons(audit).items():
        more = [audit_words("left-out-more", count=len(skipped) - MAX_NAMES)] if len(skipped) > MAX_NAMES else []
        lines.append(f"{', '.join([*skipped[:MAX_NAMES], *more])}: {reason}")
    return "\n".join(lines)


def pointing_lines(audit: Audit) -> list[str]:
    """Returns as text which heads point to the places that examples give."""
    from mmviz.i18n.audit import audit_words
    from mmviz.report.pointing_table import COLUMNS, heads_of, sentences, table

    heads = heads_of(audit.assessments)
    names = {name: audit_words(f"the-{name}").removeprefix("the ") for name, _ in table(heads)}
    rows = [["", *map(audit_words, COLUMNS)], *([names[name], *cells] for name, cells in table(heads))]
    return [
        audit_words("pointing"),
        *(_aligned(rows) if names else []),
        *sentences(heads),
        audit_words("pointing-means"),
    ]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns the rows of a table as lines whose columns stand below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
