"""The section Audit: over the gallery or examples of one's own, how often each modality decides or is ignored."""

from __future__ import annotations

import html
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from mmviz.app.components import page_elements
from mmviz.app.components.example_set_picker import ExampleSource, example_source
from mmviz.app.components.page_elements import chip
from mmviz.app.components.table_downloads import downloads
from mmviz.app.experiment_runner import ExperimentRunner, baseline_select
from mmviz.app.operator_config import BUNDLED
from mmviz.app.pages.debug.averages import averages_section
from mmviz.app.pages.debug.pointing import pointing_heads_part
from mmviz.app.reproduce_command import option_words
from mmviz.backends import Progress, Stop
from mmviz.experiments.audit import evaluate_examples
from mmviz.experiments.removals import Baseline
from mmviz.figures.heat_strip import bar
from mmviz.i18n.audit import audit_words
from mmviz.i18n.language import join_list, translated
from mmviz.i18n.page import say
from mmviz.inputs.examples import Example, load_gallery
from mmviz.report.audit_report import (
    COLUMNS,
    Audit,
    meanings,
    reasons,
    rows,
    sentences,
    summary,
    table,
    to_csv,
    to_json,
)
from mmviz.types import INPUT_MODALITIES, Modality

_OF_EXAMPLES = {"audit": 2, "averages": 1, "checkpoints": 2}
"""The experiments on examples, and how many parts their names have before the ids of the files."""
LABELS = ("audit-csv", "audit-json")
"""The codes of the labels of its files."""
FLAGS = ("decides", "ignored", "overruled")


def audit_section(runner: ExperimentRunner) -> None:
    """Draws the choice of examples, the table with its files and command, the findings, the meaning of the columns, the
    heads that point, the examples behind them, and the means by question and answer."""
    source = example_source(runner.state, load_gallery())
    _drop_other_examples(runner, () if source is None else source.key)
    if source is None:
        return
    left, right = st.columns([1.5, 1], gap="large")
    with left:
        baseline = baseline_select("audit-baseline")
        audit = runner.measure(
            ("audit", baseline, *source.key),
            lambda progress, stop: audit_examples(runner, source.examples, baseline, progress, stop),
        )
        if audit is None:
            return
        if audit.assessments:
            st.html(table_html(audit))
        for sentence in sentences(audit):
            page_elements.note(sentence, "remark")
        _skipped_notes(audit)
        files = to_csv(audit), to_json(audit)
        downloads("audit", *files, audit_command(audit, source), LABELS)
        pointing_heads_part(audit)
    with right:
        if source.kind == "gallery":
            page_elements.note(say("audit-gallery"))
        if runner.request.changes:
            page_elements.note(say("audit-unchanged"))
        for column, meaning in meanings().items():
            page_elements.note(say("audit-means", word=audit_words(column), means=meaning))
    if not audit.assessments:
        return
    with st.expander(say("audit-examples"), key="audit-examples"):
        st.html(examples_html(audit))
        command = f"{audit_command(audit, source)} --csv audit.csv"
        downloads("audit", *files, command, LABELS, "audit-examples")
    averages_section(runner, source)


def _drop_other_examples(runner: ExperimentRunner, key: tuple[str, ...]) -> None:
    """Ends what is measured of other examples than those with this key, and forgets files that are no longer there.

    What is finished of the gallery is kept.
    """
    experiments = runner.state.experiments
    for name in [name for name in experiments if len(name) > 1 and name[1] in _OF_EXAMPLES]:
        files = name[1 + _OF_EXAMPLES[str(name[1])] :]
        if files != key and (files or not experiments[name].wait(0)):
            experiments.pop(name).stop()


def audit_examples(
    runner: ExperimentRunner, examples: Sequence[Example], baseline: Baseline, progress: Progress, stop: Stop
) -> Audit:
    """Returns the audit of the run's model over ``examples``; after a stop, of those done so far."""
    model, options, backend = runner.request.model, runner.request.options, runner.backend()
    is_trained = all(card.trained for card in backend.models() if card.id == model)
    assessments, skipped = evaluate_examples(backend, model, examples, baseline, progress, stop, options=options)
    return Audit(model, baseline, len(examples), assessments, skipped, is_trained, options)


def table_html(audit: Audit) -> str:
    """Returns a table with a row for each modality; bars are shares, from 0 to 1."""
    hints = meanings()
    heads = "".join(
        f"<th scope='col' title='{html.escape(hints[column])}'>{html.escape(audit_words(column))}</th>"
        for column in COLUMNS
    )
    body = ""
    for name, cells in table(audit):
        columns = "".join(f"<td>{html.escape(text)}{_bar(share)}</td>" for text, share in cells)
        body += f"<tr><th scope='row'>{chip(Modality(name))}</th>{columns}</tr>"
    first = f"<caption>{html.escape(summary(audit))}</caption><tr><td></td>{heads}</tr>"
    return f"<table class='facts audit' tabindex='0'>{first}{body}</table>"


def examples_html(audit: Audit) -> str:
    """Returns a table with a row for each example: its answer, and the shares and flags of each modality."""
    titles = {example.id: translated(example.title) for example in load_gallery()}
    codes = ("audit-example", "audit-answer", "audit-verdict")
    heads = "".join(f"<th scope='col'>{html.escape(say(code))}</th>" for code in codes)
    shares = html.escape(say("audit-shares"))
    heads += "".join(f"<th scope='col'>{chip(modality)}<br>{shares}</th>" for modality in INPUT_MODALITIES)
    body = ""
    for row in rows(audit):
        verdict = say({True: "audit-right", False: "audit-wrong", None: "audit-unknown"}[row["correct"]])
        cells = [html.escape(row["answer"]), html.escape(verdict)]
        cells += [_modality_cell(row[str(modality)]) for modality in INPUT_MODALITIES]
        title = html.escape(titles.get(row["name"], row["name"]))
        body += f"<tr><th scope='row'>{title}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    return f"<table class='facts audit' tabindex='0'><tr>{heads}</tr>{body}</table>"


def _modality_cell(values: Mapping[str, Any] | None) -> str:
    if values is None:
        return "–"
    numbers = ", ".join("–" if values[name] is None else f"{values[name]:.2f}" for name in ("effect", "attention"))
    flags = join_list(audit_words(flag) for flag in FLAGS if values[flag])
    return f"{numbers} <span class='flags'>{html.escape(flags)}</span>"


def _bar(share: float | None) -> str:
    """Returns nothing for None, and an empty bar for 0, as the inner part of a bar is never thinner than a pixel."""
    if share is None:
        return ""
    return bar(share) if share else "<div class='bar'></div>"


def _skipped_notes(audit: Audit) -> None:
    """Names the examples that were skipped, by reason."""
    for reason, names in reasons(audit).items():
        page_elements.note(say("audit-left-out", count=len(names), names=join_list(names), why=reason), "error")


def audit_command(audit: Audit, source: ExampleSource) -> str:
    """Returns the command that makes the audit again; FOLDER stands for the visitor's own files."""
    folder = [] if source.kind == "gallery" else ["FOLDER"]
    model = [] if audit.model == BUNDLED else ["--model", audit.model]
    return shlex.join(["mmviz", "audit", *folder, *model, "--baseline", audit.baseline, *option_words(audit.options)])
