"""Lesson 7: four kinds of fusion, on the same examples."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from mmviz.app.components import widgets
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.i18n.page import say
from mmviz.models.cards import COMPARED, fusions_card
from mmviz.models.question_templates import FAMILIES, NEEDS
from mmviz.types import AttentionRecord


def fusion(context: LessonContext) -> None:
    """The answer of a model with the chosen kind of fusion, and its accuracy beside the other kinds."""
    kind = context.choice("kind", COMPARED, COMPARED[0], lambda kind: say(f"learn-fusion-kind-{kind}"))
    widgets.note(say(f"learn-fusion-attends-{kind}"))
    record = context.runner.measure(("kind", kind), lambda *_: _run(context, kind))
    if record is not None:
        best = record.answers[0]
        text = say("learn-fusion-answers", answer=best.label, probability=best.probability)
        st.html(f"<div class='answer'><span class='word'>{html.escape(text)}</span></div>")
    figures = fusions_card()["measured"]
    chosen = figures["kinds"][kind]
    first, second, third = st.columns(3)
    with first:
        context.number("single-modality", f"{chosen['single modality']:.2f}")
    with second:
        context.number("cross-modal", f"{chosen['cross-modal']:.2f}")
    with third:
        context.number("time", f"{chosen['time']:.2f}")
    st.html(_table(figures, kind))


def _run(context: LessonContext, kind: str) -> AttentionRecord:
    request = replace(context.runner.request, model=kind, changes=(), relevance=False, maps=False)
    (record,) = context.runner.backend().run([request])
    return record


def _table(figures: Mapping[str, Any], chosen: str) -> str:
    """Accuracy by kind of question, a column for each kind of fusion."""
    kinds = "".join(f"<th scope='col'{_frame(kind, chosen)}>{html.escape(kind)}</th>" for kind in COMPARED)
    rows = ""
    for family in FAMILIES:
        needs = ", ".join(say(f"name-{modality}") for modality in ("text", *NEEDS[family]))
        cells = ""
        for kind in COMPARED:
            rate = figures["kinds"][kind]["accuracy"][family]
            cells += f"<td{_frame(kind, chosen)}>{rate:.2f}</td>"
        example = html.escape(say(f"learn-fusion-example-{family}"))
        rows += f"<tr><th scope='row'>{example}</th><td>{html.escape(needs)}</td>{cells}</tr>"
    caption = html.escape(say("learn-fusion-caption", count=figures["count"]))
    columns = "".join(
        f"<th scope='col'>{html.escape(say(f'learn-fusion-{code}'))}</th>" for code in ("family", "needs")
    )
    return f"<table class='facts wide'><caption>{caption}</caption><tr>{columns}{kinds}</tr>{rows}</table>"


def _frame(kind: str, chosen: str) -> str:
    return " class='chosen'" if kind == chosen else ""
