"""``mmviz audit``: how often a model lets each modality decide, ignores or overrules it, over a set of trios."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from mmviz.cli.options import add_where, backend_of, stopping, write
from mmviz.experiments.removal import Baseline
from mmviz.i18n.messages import sentence
from mmviz.types import MmvizError

if TYPE_CHECKING:
    from mmviz.backends import Backend
    from mmviz.report.audit_report import Audit

SHOWN = 10
"""So many names of trios that are left out for one reason are printed."""


def add(commands: Any) -> None:
    """Add the command to those of ``mmviz``."""
    audit = commands.add_parser("audit", help="tell how often a model uses picture, text and sound, over many trios")
    audit.add_argument("folder", nargs="?", metavar="FOLDER", help="trios of your own (default: those of the gallery)")
    add_where(audit)
    audit.add_argument("--baseline", choices=get_args(Baseline), default="learned",
                       help="what taking away means: the model's own way, or something without content")  # fmt: skip
    audit.add_argument("--json", metavar="FILE", help="write everything (- for standard output)")
    audit.add_argument("--csv", metavar="FILE", help="write a row a trio")
    audit.set_defaults(run=_audit)


def _audit(options: argparse.Namespace) -> int:
    """Exit code 0 where at least one trio could be judged, else 2."""
    from mmviz.experiments.audit import evaluate_examples
    from mmviz.inputs.examples import load_examples, load_gallery
    from mmviz.report.audit_report import Audit, to_csv, to_json

    for path in (options.json, options.csv):
        _check_place(path)
    examples = load_examples(options.folder) if options.folder else load_gallery()
    backend, is_trained = _ready(backend_of(options), options.model)
    with stopping() as stop:
        assessments, skipped = evaluate_examples(
            backend, options.model, examples, options.baseline, _print_progress, stop
        )
    done = len(assessments) + len(skipped)
    if done < len(examples):
        print(file=sys.stderr)
    if not done:
        raise KeyboardInterrupt
    audit = Audit(options.model, options.baseline, len(examples), assessments, skipped, is_trained)
    try:
        if options.json and options.json != "-":
            write(options.json, to_json(audit).encode())
        if options.csv:
            write(options.csv, to_csv(audit).encode())
    finally:  # a file that cannot be written costs nobody the table, nor does a pipe that closes early cost the files
        print(to_json(audit) if options.json == "-" else tell(audit) + "\n", end="")
    return 0 if assessments else 2


def _check_place(path: str | None) -> None:
    """Refuse a place that cannot be written to before the work is done, not after it."""
    if path not in (None, "-") and not Path(path).absolute().parent.is_dir():
        raise MmvizError("file-unwritable", name=Path(path).name, why="there is no such folder")


def _ready(backend: Backend | None, model: str) -> tuple[Backend, bool]:
    """The backend, which has the model (else every single trio would be refused), and whether that is trained."""
    if backend is None:
        from mmviz.backends.local import LocalBackend

        backend = LocalBackend()
    known = {card.id: card.trained for card in backend.models()}
    if model not in known:
        raise MmvizError("model-unknown", model=model, known=", ".join(known))
    return backend, known[model]


def _print_progress(done: int, of: int) -> None:
    print(
        f"\r{sentence('audit-progress', done=done, of=of)}", end="" if done < of else "\n", file=sys.stderr, flush=True
    )


def tell(audit: Audit) -> str:
    """The table in words: how many, the rows, what strikes, what the words mean, and who is left out."""
    from mmviz.i18n.audit import audit_words
    from mmviz.report.audit_report import COLUMNS, meanings, reasons, sentences, summary, table

    heads = ["", *map(audit_words, COLUMNS)]
    lines = [[audit_words(f"the-{name}").removeprefix("the "), *(words for words, _ in cells)]
             for name, cells in table(audit)]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
    told = [summary(audit)]
    if audit.assessments:
        told.append("")
        told += ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
                 for line in (heads, *lines)]  # fmt: skip
        told += ["", *sentences(audit), ""]
        told += [f"{audit_words(column)}: {words}" for column, words in meanings().items()]
    if audit.skipped:
        told += ["", audit_words("left-out", count=len(audit.skipped), of=audit.examples)]
    for why, names in reasons(audit).items():
        more = [audit_words("left-out-more", count=len(names) - SHOWN)] if len(names) > SHOWN else []
        told.append(f"{', '.join([*names[:SHOWN], *more])}: {why}")
    return "\n".join(told)
