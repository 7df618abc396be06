"""``mmviz effect``: what an answer depends on, measured by leaving out each set of modalities."""

from __future__ import annotations

import argparse
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

if TYPE_CHECKING:
    from mmviz.backends import Stop
    from mmviz.experiments.modality_shapley import Effect
    from mmviz.explain import Run


def add(commands: Any) -> None:
    """Adds the command to the parser of ``mmviz``."""
    parser = add_experiment(commands, "effect", _run)
    add_baseline(parser, "effect")
    parser.add_argument("--subsets-csv", metavar="FILE", help=help_text("effect --subsets-csv"))
    parser.add_argument("--interactions-csv", metavar="FILE", help=help_text("effect --interactions-csv"))


def _run(options: argparse.Namespace) -> int:
    return run_experiment(options, lambda run, stop: _measure(options, run, stop), ["subsets_csv", "interactions_csv"])


def _measure(options: argparse.Namespace, run: Run, stop: Stop) -> Measured | None:
    from mmviz.analysis.attributions import known_modality_shares
    from mmviz.experiments.modality_shapley import measure_modality_effect
    from mmviz.experiments.removals import present_modalities
    from mmviz.report.effect_table import effect_rows, effect_table, interactions_table, subsets_table

    request, baseline = run.rerun_request(), options.baseline
    progress = ProgressLine(run.record, 2 ** len(present_modalities(run.sample)))
    assert run.backend is not None
    effect = measure_modality_effect(run.backend, request, baseline, progress, stop)
    if effect is None:
        return None
    attention = known_modality_shares(run.record, run.map_ref)
    table = effect_table(request, run.record, effect, attention, run.map_ref, baseline, options.command_line)
    subsets = subsets_table(request, run.record, effect, baseline, options.command_line)
    interactions = interactions_table(request, run.record, effect, baseline, options.command_line)
    printed = [Printed(effect_rows(effect, attention)), _subsets(effect)]
    further_files = [(options.subsets_csv, subsets), (options.interactions_csv, interactions)]
    return Measured(table, printed, further_files=further_files)


def _subsets(effect: Effect) -> Printed:
    from mmviz.i18n.page import say
    from mmviz.report.effect_table import measured_subsets
    from mmviz.types import INPUT_MODALITIES

    present = [modality for modality in INPUT_MODALITIES if modality in effect.everything]
    value = say("subsets-value", answer=effect.answer)
    rows = [[*(say(f"name-{modality}") for modality in present), say("subsets-answer"), value]]
    for subset in measured_subsets(effect):
        answer, probability = effect.answers[subset]
        marks = ["●" if modality in subset else "–" for modality in present]
        rows.append([*marks, f"{answer} {probability:.1%}", f"{effect.values[subset]:.2f}"])
    return Printed(rows, say("subsets-caption"))
