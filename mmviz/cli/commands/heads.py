"""``mmviz heads``: what each attention head does for an answer, measured by ablating it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mmviz.cli.experiment_command import (
    Measured,
    Printed,
    add_experiment,
    run_experiment,
)
from mmviz.cli.map_options import add_stack_options, chosen_layers, layer_numbers
from mmviz.cli.progress_line import ProgressLine
from mmviz.i18n.command_help import help_text
from mmviz.i18n.minus_sign import signed_text
from mmviz.types import MmvizError

if TYPE_CHECKING:
    from mmviz.backends import Stop
    from mmviz.explain import Run

MOST_PRINTED = 20
"""Heads that are printed, those that the answer needs most; the files hold all."""


def add(commands: Any) -> None:
    """Adds the command to the parser of ``mmviz``."""
    parser = add_experiment(commands, "heads", _run)
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--edges", metavar="REF", help=help_text("heads --edges"))
    instead.add_argument("--redundant", action="store_true", help=help_text("heads --redundant"))
    add_stack_options(parser, "heads")


def _run(options: argparse.Namespace) -> int:
    layer_numbers(options.layers)
    instead = "--edges" if options.edges else "--redundant" if options.redundant else None
    for option in ("stack", "layers"):
        if instead and getattr(options, option) is not None:
            raise MmvizError("option-excludes", option=f"--{option}", other=instead)
    measure = _measure_edges if options.edges else _compare_heads if options.redundant else _measure
    return run_experiment(
        options, lambda run, stop: measure(options, run, stop), of_answer=not options.redundant
    )  # fmt: skip


def _measure_edges(options: argparse.Namespace, run: Run, stop: Stop) -> Measured | None:
    from mmviz.analysis.available_maps import parse_map_ref
    from mmviz.analysis.head_profiles import all_heads
    from mmviz.experiments.head_edges import measure_head_edges, most_variants
    from mmviz.i18n.page import say
    from mmviz.report.edge_table import edge_names, edge_table
    from mmviz.report.heads_table import head_name

    record = run.record
    try:
        ref = parse_map_ref(record, options.edges)
    except LookupError:
        ref = None
    if ref is None or ref.head is None:
        known = ", ".join(str(record.map_ref(*head)) for head in all_heads(record))
        raise MmvizError("map-unknown", map_ref=options.edges, known=known)
    assert run.backend is not None
    number, request = record.map_number(ref), run.rerun_request()
    progress = ProgressLine(record, most_variants(record, number))
    edges = measure_head_edges(run.backend, request, record, number, ref.head, progress, stop)
    if not edges.queries and not edges.is_complete:
        return None
    rows = [[say(f"edges-column-{column}") for column in ("query", "keys", "weight", "effect", "together")]]
    for edge in edges.together:
        numbers = (f"{edge.weight:.2f}", signed_text(edge.effect), signed_text(edge.together or 0.0))
        rows.append([*edge_names(record, edges, edge), *numbers])
    printed = [Printed(rows, say("edges-title", head=head_name(record, number, ref.head)))] if rows[1:] else []
    return Measured(edge_table(edges, request, record, options.command_line), printed)


def _compare_heads(options: argparse.Namespace, run: Run, stop: Stop) -> Measured:
    from mmviz.analysis.head_profiles import all_heads
    from mmviz.analysis.similarity import MAX_COMPARED, redundant_heads
    from mmviz.i18n.page import say
    from mmviz.report.heads_table import head_name, redundant_table

    record = run.record
    if record.is_long:
        raise MmvizError("methods-run-long")
    pairs = None if len(all_heads(record)) > MAX_COMPARED else redundant_heads(record)
    rows = [[say(f"redundant-column-{column}") for column in ("head", "other", "distance")]]
    rows += [
        [head_name(record, *first), head_name(record, *second), f"{distance:.3f}"]
        for first, second, distance in (pairs or ())[:MOST_PRINTED]
    ]
    table = redundant_table(run.rerun_request(), record, pairs, options.command_line)
    return Measured(table, [Printed(rows)] if pairs else [])


def _measure(options: argparse.Namespace, run: Run, stop: Stop) -> Measured | None:
    from mmviz.analysis.head_profiles import all_heads, head_profiles
    from mmviz.experiments.head_ablation import measure_head_ablation
    from mmviz.report.heads_table import heads_table

    request, record = run.rerun_request(), run.record
    chosen = chosen_layers(options, record)
    heads = [
        (number, head) for number, head in all_heads(record)
        if chosen is None or (record.maps[number].stack == chosen[0] and record.maps[number].layer in chosen[1])
    ]  # fmt: skip
    planned = len(heads)
    assert run.backend is not None
    effects = measure_head_ablation(run.backend, request, record, ProgressLine(record, planned), stop, heads)
    if not effects:
        return None
    profiles = None if record.is_long else head_profiles(record)
    table = heads_table(request, record, effects, profiles, options.command_line, planned)
    done = (len(effects), planned) if len(effects) < planned else None
    return Measured(table, [_printed(run, effects)], done)


def _printed(run: Run, effects: Any) -> Printed:
    from mmviz.i18n.page import say
    from mmviz.report.heads_table import answer_probability, layer_name

    columns = ("layer", "head", "effect", "probability", "answer", "labels")
    rows = [[say(f"heads-column-{column}") for column in columns]]
    for effect in sorted(effects, key=lambda effect: effect.effect)[:MOST_PRINTED]:
        rows.append([
            layer_name(run.record, effect.map), str(effect.head + 1), signed_text(effect.effect),
            f"{answer_probability(run.record, effect):.1%}", f"{effect.answer} {effect.probability:.1%}",
            say("heads-no-effect") if effect.is_dead else "",
        ])  # fmt: skip
    title = say("heads-title")
    if len(effects) > MOST_PRINTED:
        title = say("heads-printed", title=title, shown=MOST_PRINTED, of=len(effects))
    return Printed(rows, title)
