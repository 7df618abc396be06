"""``mmviz routes``: which route between modalities carries an answer, measured by cutting it."""

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
from mmviz.cli.options import check_number
from mmviz.cli.progress_line import ProgressLine
from mmviz.i18n.command_help import help_text
from mmviz.i18n.minus_sign import signed_text

if TYPE_CHECKING:
    from mmviz.backends import Stop
    from mmviz.experiments.route_cut import RouteTable
    from mmviz.explain import Run

WINDOWS = 6
"""Windows of layers by default, those of the page."""


def add(commands: Any) -> None:
    """Adds the command to the parser of ``mmviz``."""
    parser = add_experiment(commands, "routes", _run)
    parser.add_argument(
        "--windows", type=int, default=WINDOWS, metavar="N", help=help_text("routes --windows", windows=WINDOWS)
    )
    add_stack_options(parser, "routes")


def _run(options: argparse.Namespace) -> int:
    check_number("--windows", options.windows, 1)
    layer_numbers(options.layers)
    return run_experiment(options, lambda run, stop: _measure(options, run, stop))


def _measure(options: argparse.Namespace, run: Run, stop: Stop) -> Measured | None:
    from mmviz.experiments.route_cut import measure_routes, route_cells, route_windows
    from mmviz.report.routes_table import routes_table

    request, record = run.rerun_request(), run.record
    cells = route_cells(record, route_windows(record, options.windows, chosen_layers(options, record)))
    assert run.backend is not None
    measured = measure_routes(run.backend, request, record, cells, ProgressLine(record, len(cells)), stop)
    if not measured.effects and cells:
        return None
    table = routes_table(request, record, measured, options.command_line)
    done = (len(measured.effects), measured.planned) if len(measured.effects) < measured.planned else None
    return Measured(table, [_printed(run, measured)], done)


def _printed(run: Run, measured: RouteTable) -> Printed:
    from mmviz.i18n.page import say
    from mmviz.report.routes_table import route_words, window_words

    columns = ("route", "layers", "attention", "uniform", "effect", "answer", "note")
    rows = [[say(f"routes-column-{column}") for column in columns]]
    for effect in measured.effects:
        share = effect.cell.attention
        rows.append([
            route_words(effect.cell), window_words(run.record, effect.cell.window), f"{share.share:.2f}",
            f"{share.uniform:.2f}", signed_text(effect.effect), f"{effect.answer} {effect.probability:.1%}",
            say(f"routes-note-{effect.disagreement}") if effect.disagreement else "",
        ])  # fmt: skip
    return Printed(rows, say("routes-title"))
