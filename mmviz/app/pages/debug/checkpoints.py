"""Two models on the same examples: below the means of the section Audit, what the other one does differently."""

from __future__ import annotations

import html
import shlex
from collections.abc import Sequence
from typing import Any

import streamlit as st

from mmviz.app import resources
from mmviz.app.components import page_elements
from mmviz.app.components.example_set_picker import ExampleSource
from mmviz.app.components.model_picker import model_labels
from mmviz.app.components.table_downloads import downloads
from mmviz.app.experiment_runner import ExperimentRunner
from mmviz.backends import Progress, Stop
from mmviz.experiments.checkpoint_comparison import CheckpointComparison, compare_checkpoints
from mmviz.experiments.example_averages import By
from mmviz.experiments.example_measurements import ExampleMeasurement, measure_examples
from mmviz.i18n.errors_and_notices import sentence
from mmviz.inputs.examples import Example
from mmviz.report.average_tables import COMPARED_TABLES, comparison_tables
from mmviz.report.average_text import changes_table, comparison_summary
from mmviz.report.result_table import ExperimentTable
from mmviz.report.run_facts import option_texts
from mmviz.types import MmvizError

Outcome = tuple[list[ExampleMeasurement], list[tuple[str, MmvizError]]]


def checkpoints_part(
    runner: ExperimentRunner, source: ExampleSource, before: Sequence[ExampleMeasurement], by: By, command: str
) -> None:
    """Draws the choice of another model among those that the operator allows, and what it does differently.

    Nothing where there is no other. ``before``: what was measured of the run's model, grouped ``by``; ``command``: the
    one that makes its means.
    """
    config = runner.state.config
    others = [model for model in config.models if config.with_model(model).model != runner.request.model]
    if not others:
        return
    labels = model_labels(config.models)
    page_elements.heading(sentence("checkpoints-title"), sentence("checkpoints-note"))
    other: str = st.selectbox(
        sentence("checkpoints-other"), others, format_func=lambda model: labels[model], key="checkpoints-other",
        width=340,
    )  # fmt: skip
    names = {measurement.name for measurement in before}
    examples = [example for example in source.examples if example.id in names]
    name = ("checkpoints", other, *source.key)
    if (runner.run.record.id, *name) not in runner.state.experiments and not st.button(
        sentence("checkpoints-start", count=len(examples)), key="checkpoints-start"
    ):
        return
    outcome = runner.measure(name, lambda progress, stop: _measure(runner, other, examples, progress, stop))
    if outcome is None:
        return
    after, skipped = outcome
    models = runner.request.model, config.with_model(other).model
    comparison = compare_checkpoints(before, after, models, by)
    if not comparison.answers:
        page_elements.note(sentence("checkpoints-none"), "remark")
    else:
        here = labels.get(models[0], models[0])
        page_elements.note(" ".join(comparison_summary(comparison, here, labels[other])), "remark")
    for notice in comparison.left_out:
        page_elements.note(str(notice))
    facts = {
        "model": models[0], "other": models[1],
        "options": option_texts(runner.request.options),
        "examples": len(source.examples), "measured": len(after),
        "stopped": len(after) + len(skipped) < len(examples),
        "skipped": [{"name": name, "reason": str(error)} for name, error in skipped],
    }  # fmt: skip
    if comparison.answers:
        _tables(comparison, facts, f"{command} {shlex.join(['--other', models[1]])}")


def _measure(
    runner: ExperimentRunner, other: str, examples: Sequence[Example], progress: Progress, stop: Stop
) -> Outcome:
    """Returns what is measured of the other model, which is loaded first where no visitor has used it."""
    config = runner.state.config.with_model(other)
    backend = resources.warm_backend(config).backend()
    return measure_examples(backend, config.model, examples, True, progress, stop, options=runner.request.options)


def _tables(comparison: CheckpointComparison, facts: dict[str, Any], command: str) -> None:
    """Draws a choice of one of the tables of changes, the largest ones, and the downloads of all."""
    name: str = st.segmented_control(
        sentence("average-download"), COMPARED_TABLES, default=COMPARED_TABLES[0], required=True,
        key="checkpoints-table", format_func=lambda name: sentence(f"average-download-{name}"),
        persist_state="session",
    )  # fmt: skip
    table = comparison_tables(comparison, facts, f"{command} --table {name}")[name]
    rows = changes_table(comparison, name)
    if rows:
        st.html(changes_html(rows, sentence(f"checkpoints-{name}-title")))
        _largest_note(comparison, name, len(rows) - 1, table)
    else:
        page_elements.note(sentence("checkpoints-unchanged"))
    downloads(f"checkpoints-{name}", table.to_csv(), table.to_json(), table.command)


def _largest_note(comparison: CheckpointComparison, name: str, shown: int, table: ExperimentTable) -> None:
    """Says how many changes there are where only the largest are drawn."""
    is_changed = [answer.is_changed for answer in comparison.answers]
    count = sum(is_changed) if name == "answers" else len(table.rows)
    if shown < count:
        page_elements.note(sentence("checkpoints-largest", shown=shown, of=count))


def changes_html(rows: Sequence[Sequence[str]], title: str) -> str:
    """Returns a table whose first row is the header, and whose first column names the rows."""
    header, *lines = ([html.escape(cell) for cell in row] for row in rows)
    heads = "".join(f"<th scope='col'>{cell}</th>" for cell in header)
    body = "".join(
        f"<tr><th scope='row'>{row[0]}</th>{''.join(f'<td>{cell}</td>' for cell in row[1:])}</tr>" for row in lines
    )
    return f"<table class='facts'><caption>{html.escape(title)}</caption><tr>{heads}</tr>{body}</table>"
