"""The part Modality health: over the trios of the gallery, how often each modality decides, is ignored, overruled."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from mmviz.app.components import widgets
from mmviz.app.experiment_runner import ExperimentRunner, absent_box
from mmviz.app.pages.debug.modality_effect import chip
from mmviz.backends import Progress, Stop
from mmviz.experiments.modality_shapley import Baseline
from mmviz.experiments.runs import evaluate_examples
from mmviz.i18n.audit import health_words
from mmviz.i18n.language import listed, translated
from mmviz.i18n.page import say
from mmviz.inputs.examples import load_gallery
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

FLAGS = ("decides", "ignored", "overruled")


def health(bench: ExperimentRunner) -> None:
    """The table, what strikes in it, what its words mean, and the trios behind it."""
    left, right = st.columns([1.5, 1], gap="large")
    with left:
        baseline = absent_box("health-absent")
        audit = bench.measured(("health", baseline), lambda tell, stop: audited(bench, baseline, tell, stop))
        if audit is None:
            return
        if audit.judged:
            st.html(table_html(audit))
        for words in sentences(audit):
            widgets.note(words, "remark")
        _left_out(audit)
    with right:
        widgets.note(say("audit-drawn"))
        if bench.request.changes:
            widgets.note(say("audit-as-is"))
        for column, means in meanings().items():
            widgets.note(say("audit-means", word=health_words(column), means=means))
        _downloads(audit)
    if audit.judged:
        with st.expander(say("audit-trios"), key="audit-trios"):
            st.html(trios_html(audit))


def audited(bench: ExperimentRunner, baseline: Baseline, progress: Progress, stop: Stop) -> Audit:
    """The model of the run over the gallery, as far as it came."""
    examples, model, backend = load_gallery(), bench.request.model, bench.backend()
    is_trained = all(card.trained for card in backend.models() if card.id == model)
    judged, refused = evaluate_examples(backend, model, examples, baseline, progress, stop)
    return Audit(model, baseline, len(examples), judged, refused, is_trained)


def table_html(audit: Audit) -> str:
    """A row a modality. Its colour marks the row; bars are shares, from 0 to 1."""
    means = meanings()
    heads = "".join(
        f"<th scope='col' title='{html.escape(means[column])}'>{html.escape(health_words(column))}</th>"
        for column in COLUMNS
    )
    lines = ""
    for name, cells in table(audit):
        bars = "".join(f"<td>{html.escape(words)}{_bar(share)}</td>" for words, share in cells)
        lines += f"<tr><th scope='row'>{chip(Modality(name))}</th>{bars}</tr>"
    caption = html.escape(summary(audit))
    return f"<table class='facts health'><caption>{caption}</caption><tr><td></td>{heads}</tr>{lines}</table>"


def trios_html(audit: Audit) -> str:
    """A row a trio: its answer, and of each modality its shares and what holds of it."""
    titles = {example.id: translated(example.title) for example in load_gallery()}
    heads = "".join(
        f"<th scope='col'>{html.escape(say(f'health-{one}'))}</th>" for one in ("trio", "answer", "verdict")
    )
    heads += "".join(f"<th scope='col'>{chip(one)}<br>{html.escape(say('audit-shares'))}</th>" for one in INPUT_MODALITIES)
    lines = ""
    for row in rows(audit):
        verdict = say({True: "audit-right", False: "audit-wrong", None: "audit-unknown"}[row["right"]])
        first = html.escape(titles.get(row["name"], row["name"]))
        rest = [html.escape(row["answer"]), html.escape(verdict), *(_shares(row[str(one)]) for one in INPUT_MODALITIES)]
        lines += f"<tr><th scope='row'>{first}</th>{''.join(f'<td>{cell}</td>' for cell in rest)}</tr>"
    return f"<table class='facts health'><tr>{heads}</tr>{lines}</table>"


def _shares(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "–"
    numbers = ", ".join("–" if found[name] is None else f"{found[name]:.2f}" for name in ("effect", "attention"))
    holds: Sequence[str] = [health_words(flag) for flag in FLAGS if found[flag]]
    return f"{numbers} <span class='flags'>{html.escape(listed(holds))}</span>"


def _bar(share: float | None) -> str:
    """Nothing where there is no share; an empty bar for none, as an inner one is never thinner than a hair."""
    inner = f"<i style='width:{share:.1%}'></i>" if share else ""
    return "" if share is None else f"<div class='bar'>{inner}</div>"


def _left_out(audit: Audit) -> None:
    """Why trios are left out, by reason."""
    for why, names in reasons(audit).items():
        widgets.note(say("audit-left-out", count=len(names), names=listed(names), why=why), "refusal")


def _downloads(audit: Audit) -> None:
    with st.container(horizontal=True, gap="small"):
        for code, make, name, kind in (
            ("audit-csv", to_csv, "mmviz-health.csv", "text/csv"),
            ("audit-json", to_json, "mmviz-health.json", "application/json"),
        ):
            data = make(audit).encode()
            st.download_button(say(code), data, name, kind, key=code, help=say(f"{code}-help"), on_click="ignore")
