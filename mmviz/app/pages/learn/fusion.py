"""Lesson 7: four ways to fuse, on the same trios."""

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


def fusion(desk: LessonContext) -> None:
    """What a way to fuse answers to the trio that is loaded, and how often it is right, beside the others."""
    kind = desk.choice("kind", COMPARED, COMPARED[0], lambda one: say(f"learn-fusion-kind-{one}"))
    widgets.note(say(f"learn-fusion-who-{kind}"))
    record = desk.bench.measured(("kind", kind), lambda *_: _run(desk, kind))
    if record is not None:
        best = record.answers[0]
        words = say("learn-fusion-answers", answer=best.label, probability=best.probability)
        st.html(f"<div class='answer'><span class='word'>{html.escape(words)}</span></div>")
    measured = fusions_card()["measured"]
    own = measured["kinds"][kind]
    first, second, third = st.columns(3)
    with first:
        desk.number("apart", f"{own['single modality']:.2f}")
    with second:
        desk.number("meet", f"{own['cross-modal']:.2f}")
    with third:
        desk.number("time", f"{own['time']:.2f}")
    st.html(_table(measured, kind))


def _run(desk: LessonContext, kind: str) -> AttentionRecord:
    request = replace(desk.bench.request, model=kind, changes=(), relevance=False, maps=False)
    (record,) = desk.bench.backend().run([request])
    return record


def _table(measured: Mapping[str, Any], chosen: str) -> str:
    """Right answers by kind of question, a column for each way to fuse."""
    heads = "".join(f"<th scope='col'{_framed(kind, chosen)}>{html.escape(kind)}</th>" for kind in COMPARED)
    rows = ""
    for family in FAMILIES:
        needs = ", ".join(say(f"name-{modality}") for modality in ("text", *NEEDS[family]))
        cells = ""
        for kind in COMPARED:
            rate = measured["kinds"][kind]["accuracy"][family]
            cells += f"<td{_framed(kind, chosen)}>{rate:.2f}</td>"
        example = html.escape(say(f"learn-fusion-asks-{family}"))
        rows += f"<tr><th scope='row'>{example}</th><td>{html.escape(needs)}</td>{cells}</tr>"
    caption = html.escape(say("learn-fusion-caption", count=measured["count"]))
    columns = "".join(
        f"<th scope='col'>{html.escape(say(f'learn-fusion-{code}'))}</th>" for code in ("family", "needs")
    )
    return f"<table class='facts wide'><caption>{caption}</caption><tr>{columns}{heads}</tr>{rows}</table>"


def _framed(kind: str, chosen: str) -> str:
    return " class='chosen'" if kind == chosen else ""
