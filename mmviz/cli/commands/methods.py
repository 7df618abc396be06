"""``mmviz methods``: whether the tokens that each method marks matter for an answer, measured by removing them."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mmviz.cli.experiment_command import (
    Measured,
    Printed,
    add_baseline,
    add_experiment,
    run_experiment,
)
from mmviz.cli.progress_line import ProgressLine
from mmviz.i18n.command_help import help_text
from mmviz.types import MmvizError

if TYPE_CHECKING:
    from mmviz.backends import Stop
    from mmviz.explain import Run
    from mmviz.types import AttentionRecord, MapRef


def add(commands: Any) -> None:
    """Adds the command to the parser of ``mmviz``."""
    parser = add_experiment(commands, "methods", _run)
    add_baseline(parser, "methods")
    parser.add_argument("--head", metavar="REF", help=help_text("methods --head"))


def _run(options: argparse.Namespace) -> int:
    return run_experiment(options, lambda run, stop: _measure(options, run, stop))


def _measure(options: argparse.Namespace, run: Run, stop: Stop) -> Measured | None:
    from mmviz.analysis.attributions import attributions
    from mmviz.experiments.faithfulness import measure_faithfulness, variant_count
    from mmviz.i18n.page import say
    from mmviz.report.methods_table import methods_rows, methods_table

    request, backend = run.rerun_request(), run.backend
    if run.record.is_long:
        raise MmvizError("methods-run-long")
    assert backend is not None
    recording = replace(request, relevance=True, norms=True, integrated=True, towers=False)
    records = backend.run([recording], stop=stop)
    if not records:
        return None
    record = records[0]
    amounts = attributions(record, _head(record, options.head))
    progress = ProgressLine(run.record, variant_count(len(amounts)))
    curves = measure_faithfulness(backend, request, record, amounts, options.baseline, progress, stop)
    if curves is None:
        return None
    table = methods_table(request, record, curves, options.baseline, options.command_line)
    done = (len(curves), len(amounts)) if len(curves) < len(amounts) else None
    return Measured(table, [Printed(methods_rows(curves), say("methods-title"))], done)


def _head(record: AttentionRecord, text: str | None) -> MapRef | None:
    """Returns the head that ``--head`` names. Raises ``MmvizError`` (``map-unknown``)."""
    from mmviz.analysis.available_maps import last_map, parse_map_ref
    from mmviz.analysis.head_profiles import all_heads

    if text is None:
        return None
    keys = record.maps[last_map(record)].keys
    heads = [record.map_ref(*head) for head in all_heads(record) if record.maps[head[0]].keys == keys]
    try:
        ref = parse_map_ref(record, text)
    except LookupError:
        ref = None
    if ref not in heads:
        raise MmvizError("map-unknown", map_ref=text, known=", ".join(map(str, heads)))
    return ref
