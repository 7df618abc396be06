"""Lesson 7: four kinds of fusion, on the same examples."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from mmviz.app.components.glossary_text import glossary_note
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.i18n.language import join_list
from mmviz.i18n.page import say
from mmviz.inputs.examples import Example
from mmviz.models.cards import COMPARED, fusions_card
from mmviz.models.question_templates import FAMILIES, NEEDS
from mmviz.types import MODALITIES, AttentionRecord


def fusion(context: LessonContext) -> None:
    """The answers of all kinds of fusion, right and wrong marked, and the accuracy of one beside the others."""
    answers_part = context.in_part("answers")
    with answers_part:
        kind = _chosen_kind(context)
    records = context.runner.measure(("kinds",), lambda *_: _run_all(context))
    figures = fusions_card()["measured"]
    answers = None if records is None else [record.answers[0].label for record in records]
    example = context.runner.state.run_example
    with answers_part:
        if records is not None:
            best = records[COMPARED.index(kind)].answers[0]
            text = say("learn-fusion-answers", answer=best.label, probability=best.probability)
            st.html(f"<div class='answer'><span class='word'>{html.escape(text)}</span></div>")
        _numbers(context, figures["kinds"][kind])
        if context.is_large and answers is not None:
            st.html(_table(figures, kind, answers, example, ()))
    with context.in_part("accuracy"):
        st.html(_table(figures, kind, None if context.is_large else answers, example))


def _chosen_kind(context: LessonContext) -> str:
    kind = context.choice("kind", COMPARED, COMPARED[0], lambda kind: say(f"learn-fusion-kind-{kind}"))
    glossary_note(say(f"learn-fusion-attends-{kind}"))
    return kind


def _numbers(context: LessonContext, chosen: Mapping[str, Any]) -> None:
    """The accuracy and the time of one kind of fusion."""
    first, second, third = st.columns(3)
    with first:
        context.number("single-modality", f"{chosen['single modality']:.2f}")
    with second:
        context.number("cross-modal", f"{chosen['cross-modal']:.2f}")
    with third:
        context.number("time", f"{chosen['time']:.2f}")


def _run_all(context: LessonContext) -> Sequence[AttentionRecord]:
    """The runs of all kinds of fusion, in the order of `COMPARED`."""
    request = replace(context.runner.request, changes=(), relevance=False, maps=False)
    return context.runner.backend().run([replace(request, model=kind) for kind in COMPARED])


def _table(
    figures: Mapping[str, Any], chosen: str, answers: Sequence[str] | None, example: Example | None,
    families: Sequence[str] = FAMILIES,
) -> str:  # fmt: skip
    """Answers to ``example`` and accuracy by kind of question, a column for each kind of fusion."""
    kinds = "".join(f"<th scope='col'{_frame(kind, chosen)}>{html.escape(kind)}</th>" for kind in COMPARED)
    rows = ""
    if answers is not None:
        cells = "".join(
            f"<td{_frame(kind, chosen)}>{_marked(answer, example)}</td>"
            for kind, answer in zip(COMPARED, answers, strict=True)
        )
        heading = html.escape(say("learn-fusion-this"))
        needs = _needs(example.needs) if example else ""
        rows += f"<tr class='answers'><th scope='row'>{heading}</th><td>{html.escape(needs)}</td>{cells}</tr>"
    for family in families:
        needs = _needs(NEEDS[family])
        cells = ""
        for kind in COMPARED:
            rate = figures["kinds"][kind]["accuracy"][family]
            cells += f"<td{_frame(kind, chosen)}>{rate:.2f}</td>"
        question = html.escape(say(f"learn-fusion-example-{family}"))
        rows += f"<tr><th scope='row'>{question}</th><td>{html.escape(needs)}</td>{cells}</tr>"
    caption = html.escape(say("learn-fusion-caption", count=figures["count"])) if families else ""
    columns = "".join(
        f"<th scope='col'>{html.escape(say(f'learn-fusion-{code}'))}</th>" for code in ("family", "needs")
    )
    return f"<table class='facts wide' tabindex='0'><caption>{caption}</caption><tr>{columns}{kinds}</tr>{rows}</table>"


def _needs(needs: Sequence[str]) -> str:
    """The names of the modalities that a question needs; each needs its text."""
    return join_list(say(f"name-{modality}") for modality in MODALITIES if modality in ("text", *needs))


def _marked(answer: str, example: Example | None) -> str:
    """An answer behind a mark of right or wrong; without one where the expected answer is not known."""
    is_right = None if example is None else example.is_right(answer)
    if is_right is None:
        return html.escape(answer)
    mark, name = ("✓", say("learn-fusion-right")) if is_right else ("✗", say("learn-fusion-wrong"))
    return f"<span class='mark' role='img' aria-label='{html.escape(name)}'>{mark}</span> {html.escape(answer)}"


def _frame(kind: str, chosen: str) -> str:
    return " class='chosen'" if kind == chosen else ""
