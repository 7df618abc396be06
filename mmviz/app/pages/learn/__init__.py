"""The page Learn: a course of short lessons on the run that is loaded. A file for each lesson."""

from __future__ import annotations

import html
from collections.abc import Callable

import streamlit as st

from mmviz.app import link
from mmviz.app import session_state as keep
from mmviz.app.components import widgets
from mmviz.app.experiment_runner import ExperimentRunner
from mmviz.app.pages.learn.course import COURSE, OPTIONS
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.app.session_state import LESSONS, State
from mmviz.backends import Backend
from mmviz.explain import Run
from mmviz.figures.image import data_uri, smaller
from mmviz.i18n.language import current, joined
from mmviz.i18n.page import say
from mmviz.report.lesson_sheet import sheet
from mmviz.types import MmvizError

_SIDE = 160
"""Pixels along the picture beside a lesson."""


@st.fragment
def learn(run: Run, backend: Callable[[], Backend]) -> None:
    """The lesson that is open: its question, and once that is answered what there is to move, to read and to notice."""
    now = keep.state()
    if now.asked:  # something in here wants another run, which the whole page makes
        st.rerun()
    assert now.selection is not None  # there is one with every run
    lesson = now.lesson
    _tabs(now)
    _question(now)
    if lesson in now.learnt:
        left, right = st.columns([2.6, 1], gap="large")
        try:
            desk = LessonContext(lesson, ExperimentRunner(now, run, run.asked(), backend))
            with left:
                widgets.note(say("learn-task", task=say(f"learn-{lesson}-do")))
                COURSE[lesson].draw(desk)
        except MmvizError as refusal:
            with left:
                widgets.note(str(refusal), "refusal")
            desk = None
        with right:
            _given(run)
            _beside(now, desk)
    link.note(now, now.selection)


def _tabs(now: State) -> None:
    with st.container(horizontal=True, key="lessons", gap="small"):
        for number, lesson in enumerate(LESSONS, start=1):
            st.button(
                f"{number} {say(f'learn-{lesson}-short')}", key=f"lesson-{lesson}", type="tertiary",
                help=say(f"learn-{lesson}-title"), on_click=keep.open_lesson, args=(lesson,),
            )  # fmt: skip
    widgets.here(f"lesson-{now.lesson}")


def _question(now: State) -> None:
    """The question to answer before looking; below it stays empty until it is answered."""
    lesson = now.lesson
    title, question = say(f"learn-{lesson}-title"), say(f"learn-{lesson}-question")
    st.html(f"<div class='lesson'><h2>{html.escape(title)}</h2><p>{html.escape(question)}</p></div>")
    key = f"learn-answer-{lesson}"
    with st.container(horizontal=True, vertical_alignment="center", key="learn-answers", gap="small"):
        chosen = st.pills(
            say("learn-answer"), OPTIONS, format_func=lambda k: say(f"learn-{lesson}-option-{k}"), key=key,
            label_visibility="collapsed", on_change=_answer, args=(lesson,),
        )  # fmt: skip
        if lesson not in now.learnt:
            st.button(say("learn-show"), key="learn-show", on_click=_answer, args=(lesson,), type="tertiary")
    if chosen is not None:
        right = COURSE[lesson].right
        option = say(f"learn-{lesson}-option-{right}")
        verdict = say("learn-right" if chosen == right else "learn-wrong", option=option)
        widgets.note(joined([verdict, say(f"learn-{lesson}-because")]), "remark")


def _given(run: Run) -> None:
    """What the lessons work on, small: the picture, the text, and what the model answers."""
    picture, answers = run.sample.image, run.record.answers
    lines = [say("learn-given"), f"“{run.sample.text}”" if run.sample.text else ""]
    lines.append(say("learn-given-answer", answer=answers[0].label) if answers else "")
    words = "".join(f"<div>{html.escape(line)}</div>" for line in lines if line)
    small = "" if picture is None else f"<img alt='' src='{data_uri(smaller(picture.pixels, _SIDE))}'>"
    st.html(f"<div class='given'>{small}<div>{words}</div></div>")


def _answer(lesson: keep.Lesson) -> None:
    keep.state().learnt.add(lesson)


def _beside(now: State, desk: LessonContext | None) -> None:
    """What to notice, where it misleads, the sheet, and the way on."""
    lesson = now.lesson
    for code in ("notice", "misleads"):
        st.html(
            f"<div class='aside {code}'><b>{html.escape(say(f'learn-{code}'))}</b>"
            f"<p>{html.escape(say(f'learn-{lesson}-{code}'))}</p></div>"
        )
    for name in sorted(now.odd):
        widgets.note(say("learn-odd", name=name), "remark")
    if desk:
        st.download_button(
            say("learn-sheet"), _sheet(desk), f"mmviz-{lesson}.html", "text/html", help=say("learn-sheet-help"),
            on_click="ignore", key="learn-sheet",
        )  # fmt: skip
    place = LESSONS.index(lesson)
    with st.container(horizontal=True, key="learn-turn"):
        for step, code in ((-1, "before"), (1, "next")):
            if 0 <= place + step < len(LESSONS):
                there = LESSONS[place + step]
                st.button(
                    say(f"learn-{code}"), key=f"learn-{code}", help=say(f"learn-{there}-title"),
                    on_click=keep.open_lesson, args=(there,),
                )  # fmt: skip


def _sheet(desk: LessonContext) -> Callable[[], bytes]:
    """What makes the sheet, once it is asked for, of what the lesson shows now."""
    lesson, record, sample = desk.lesson, desk.run.record, desk.run.sample
    words = {code: say(f"learn-{lesson}-{code}") for code in ("title", "question", "do", "notice", "misleads")}
    headings = {"before": "sheet-before", "do_title": "sheet-do", "numbers_title": "sheet-numbers",
                "notice_title": "notice", "misleads_title": "misleads", "notes_title": "sheet-notes"}  # fmt: skip
    words |= {name: say(f"learn-{code}") for name, code in headings.items()}
    words["run"] = say(
        "learn-sheet-run", model=record.made_by.get("model"), weights=str(record.made_by.get("weights"))[:12],
        text=sample.text or "", answer=record.answers[0].label if record.answers else "",
    )  # fmt: skip
    options = [say(f"learn-{lesson}-option-{k}") for k in OPTIONS]
    address, language = link.address(desk.bench.now), current()
    return lambda: sheet(words, options, desk.numbers, sample, address, language)
