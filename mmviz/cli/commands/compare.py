"""``mmviz compare``: two runs under one method, and how they differ: two models, two inputs, or a control."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mmviz.cli.change_options import read_option
from mmviz.cli.experiment_command import Measured, Printed, add_experiment, run_experiment
from mmviz.cli.options import backend_from
from mmviz.cli.progress_line import reported_run
from mmviz.i18n.command_help import help_text
from mmviz.i18n.errors_and_notices import sentence
from mmviz.io.change_text import CONTROLS, read_cuts, read_removals, with_control
from mmviz.types import MmvizError

if TYPE_CHECKING:
    from mmviz.app.selection_amounts import SelectionView
    from mmviz.backends import Stop
    from mmviz.explain import Run
    from mmviz.report.result_table import ExperimentTable
    from mmviz.types import Change, MapRef, Sample

OTHERS = (
    "other", "other_image", "other_text", "other_audio", "other_control", "other_cut", "other_drop"
)  # fmt: skip
"""The options for B, of which one is needed. The last two change the run of A, whose written answer they keep."""
MOST_PRINTED = 12
"""Tokens that are printed, those that differ most; the files hold all."""


def add(commands: Any) -> None:
    """Adds the command to the parser of ``mmviz``."""
    parser = add_experiment(commands, "compare", _run)
    parser.add_argument("--other", metavar="MODEL", help=help_text("compare --other"))
    parser.add_argument("--other-image", metavar="FILE", help=help_text("compare --other-image"))
    parser.add_argument("--other-text", metavar="TEXT", help=help_text("compare --other-text"))
    parser.add_argument("--other-audio", metavar="FILE", help=help_text("compare --other-audio"))
    parser.add_argument("--other-control", choices=list(CONTROLS), help=help_text("compare --other-control"))
    parser.add_argument("--other-cut", metavar="ROUTES", help=help_text("compare --other-cut"))
    parser.add_argument("--other-drop", metavar="MODALITIES", help=help_text("compare --other-drop"))
    parser.add_argument("--method", metavar="REF", help=help_text("compare --method"))
    parser.add_argument("--direction", choices=("from", "to"), default="from", help=help_text("compare --direction"))
    parser.add_argument("--token", type=int, metavar="N", help=help_text("compare --token"))


def _run(options: argparse.Namespace) -> int:
    if all(getattr(options, other) is None for other in OTHERS):
        raise MmvizError("compare-none")
    _further_changes(options)  # refuses what cannot be read before the work
    return run_experiment(
        options,
        lambda run, stop: _measure(options, run, stop),
        relevance=bool(options.method) and options.method.endswith("relevance"),
        of_answer=False,
        shows_run=True,
    )


def _measure(options: argparse.Namespace, run: Run, stop: Stop) -> Measured | None:
    from mmviz.analysis.comparison import pair_tokens
    from mmviz.app.selection import Selection, answer_selection, token_count
    from mmviz.app.selection_amounts import SelectionView
    from mmviz.report.comparison_table import comparison_table

    started = time.monotonic()
    other = _other_run(options, run, stop)
    if other is None:
        return None
    print(sentence("measure-done", done=2, of=2, seconds=time.monotonic() - started), file=sys.stderr)
    map_ref = _method(options.method, run, other)
    count = token_count(run, map_ref, options.direction)
    if options.token is not None and not 0 <= options.token < count:
        raise MmvizError("compare-token-range", token=options.token, most=count - 1)
    tokens = answer_selection(run, map_ref, options.direction) if options.token is None else (options.token,)
    selection = Selection(tokens, (), options.direction, map_ref, "spotlight", "view")
    a, b = SelectionView(run, selection), SelectionView(other, selection)
    partner = pair_tokens(a.selectable_tokens, b.selectable_tokens).partner(tokens[0])
    if partner is None:
        raise MmvizError("compare-token-alone", token=a.name)
    b = SelectionView(other, replace(selection, tokens=(partner,)))
    table = comparison_table(a, b, (run.rerun_request(), other.rerun_request()), options.command_line)
    return Measured(table, [_by_modality(a, b), _largest(a, table)])


def _other_run(options: argparse.Namespace, run: Run, stop: Stop) -> Run | None:
    """Returns B; None after a stop."""
    from mmviz.backends.backend_for_run import chosen_backend
    from mmviz.explain import Run
    from mmviz.types import AblateHead, CutRoute, UniformAttention

    backend = run.backend
    request = run.rerun_request()
    if any(getattr(options, other) is not None for other in OTHERS[:-2]):
        request = replace(request, answer=(), answer_part=())  # B writes an answer of its own
    changes = request.changes
    if options.other:
        chosen = argparse.Namespace(**{**vars(options), "model": options.other})
        backend = chosen_backend(backend_from(chosen), options.other)
        request = replace(request, model=options.other, pairs=())
        # its heads and routes are not those of A
        changes = tuple(change for change in changes if not isinstance(change, AblateHead | CutRoute))
    sample = _other_sample(options, run.sample)
    if sample is not None:
        request = replace(request, sample=sample)
    if options.other_control:
        changes = with_control(changes, options.other_control)
    request = replace(request, changes=(*changes, *_further_changes(options)))
    if UniformAttention() in request.changes:  # it has no gradient
        request = replace(request, relevance=False, depends_on=False)
    assert backend is not None
    with reported_run():
        records = backend.run([request], stop=stop)
    return Run(request.sample, records[0], backend, request) if records else None


def _further_changes(options: argparse.Namespace) -> tuple[Change, ...]:
    """Returns what is changed in B alone, beside the control. Raises ``MmvizError`` (``option-changes``)."""
    cuts = read_option("--other-cut", options.other_cut, read_cuts)
    return (*cuts, *read_option("--other-drop", options.other_drop, read_removals))


def _other_sample(options: argparse.Namespace, sample: Sample) -> Sample | None:
    """Returns the inputs of B; None where they are those of A. Raises ``InputError`` for inputs that cannot be used."""
    from mmviz.inputs import make_sample

    given = {"image": options.other_image, "text": options.other_text, "audio": options.other_audio}
    if all(value is None for value in given.values()):
        return None
    kept = {name: getattr(sample, name) for name, value in given.items() if value is None}
    new = {name: value for name, value in given.items() if value}
    if not new and all(value is None for value in kept.values()):
        return make_sample()  # refuses a run without any input
    changed = make_sample(**new) if new else replace(sample, image=None, text=None, audio=None, notices=())
    return replace(changed, **kept)


def _method(text: str | None, run: Run, other: Run) -> MapRef:
    """Returns the method that both runs have. Raises ``MmvizError`` (``map-unknown``)."""
    from mmviz.analysis.available_maps import has_map, map_refs, parse_map_ref

    shared = [ref for ref in map_refs(run.record) if has_map(other.record, ref)]
    if text is None and run.map_ref in shared:
        return run.map_ref
    try:
        ref = parse_map_ref(run.record, text) if text else shared[-1] if shared else None
    except LookupError:
        ref = None
    if ref not in shared or ref is None:
        raise MmvizError("map-unknown", map_ref=text, known=", ".join(map(str, shared)))
    return ref


def _by_modality(a: SelectionView, b: SelectionView) -> Printed:
    from mmviz.figures.colour_scale import short
    from mmviz.figures.signed_colours import signed
    from mmviz.i18n.page import say
    from mmviz.report.comparison_table import modality_amounts
    from mmviz.types import MODALITIES

    sides = modality_amounts(a), modality_amounts(b)
    rows = [["", "A", "B", "A − B"]]
    for modality in MODALITIES:
        cells = [float(side[modality][0]) if modality in side else None for side in sides]
        if cells == [None, None]:
            continue
        minus = "–" if None in cells else signed(cells[0] - cells[1])  # type: ignore[operator]
        rows.append([say(f"name-{modality}"), *("–" if cell is None else short(cell) for cell in cells), minus])
    return Printed(rows, say("compare-modalities-title"))


def _largest(a: SelectionView, table: ExperimentTable) -> Printed:
    """Returns the tokens that both have, those that differ most first."""
    from mmviz.figures.colour_scale import short
    from mmviz.figures.signed_colours import signed
    from mmviz.i18n.page import say

    paired = sorted(
        (row for row in table.rows if row["a_minus_b"] is not None), key=lambda row: -abs(row["a_minus_b"])
    )  # fmt: skip
    rows = [[say("compare-column-token"), "A", "B", "A − B"]]
    for row in paired[:MOST_PRINTED]:
        same = row["label"] == row["label_b"]
        label = row["label"] if same else say("compare-both", a=row["label"], b=row["label_b"])
        rows.append([label, short(row["a"]), short(row["b"]), signed(row["a_minus_b"])])
    words = {"method": a.method_text, "token": a.name, "shown": len(rows) - 1, "of": len(paired)}
    return Printed(rows, say(f"compare-title-{a.selection.direction}", **words))
