"""The page Learn: a course of short lessons on the current run. Each lesson has a file of its own."""

from __future__ import annotations

import html
from collections.abc import Callable

import streamlit as st

from mmviz.app import page_address, session_actions
from mmviz.app import session_state as session
from mmviz.app.components import page_elements
from mmviz.app.components.glossary_text import glossary_html, glossary_note
from mmviz.app.components.lesson_keys import lesson_keys
from mmviz.app.experiment_runner import ExperimentRunner
from mmviz.app.pages.learn.course import COURSE
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.app.pages.learn.presentation import presentation
from mmviz.app.pages.learn.sheet import sheet
from mmviz.app.session_state import LESSONS, State
from mmviz.backends import Backend
from mmviz.explain import Run
from mmviz.figures.image import data_uri, downscaled
from mmviz.i18n.language import join_sentences
from mmviz.i18n.page import say
from mmviz.inputs.examples import load_gallery
from mmviz.types import MmvizError

_THUMBNAIL_SIDE = 160
"""Pixels of the longer side of the image beside a lesson."""


@st.fragment
def learn(run: Run, backend: Callable[[], Backend]) -> None:
    """Draw the open lesson: its question and, once that is answered, its controls, numbers and remarks."""
    state = session.fragment_state(run)
    assert state.selection is not None  # every run has a selection
    lesson = state.lesson
    lesson_keys()
    if state.slide is not None:
        presentation(state, run, backend)
        page_address.write_address(state, state.selection)
        return
    _tabs(state)
    _question(state)
    if lesson in state.answered_lessons:
        left, right = st.columns([2.6, 1], gap="large")
        try:
            context = LessonContext(lesson, ExperimentRunner(state, run, run.rerun_request(), backend))
            with left:
                glossary_note(say("learn-task", task=say(f"learn-{lesson}-do")))
                COURSE[lesson].draw(context)
        except MmvizError as error:
            with left:
                page_elements.note(str(error), "error")
            context = None
        with right:
            _inputs(run)
            _example(state)
            _remarks(state, context)
    page_address.write_address(state, state.selection)


def _tabs(state: State) -> None:
    with st.container(horizontal=True, key="lessons", gap="small"):
        for number, lesson in enumerate(LESSONS, start=1):
            st.button(
                f"{number} {say(f'learn-{lesson}-short')}", key=f"lesson-{lesson}", type="tertiary",
                help=say(f"learn-{lesson}-title"), on_click=session_actions.open_lesson, args=(lesson,),
            )  # fmt: skip
        st.button(
            say("learn-present"), key="learn-present", help=say("learn-present-help"),
            on_click=session_actions.open_slide, args=(state.lesson, 1),
        )  # fmt: skip
    page_elements.mark_current(f"lesson-{state.lesson}")


def _question(state: State) -> None:
    """The question of the lesson, to answer before the lesson opens."""
    lesson = state.lesson
    title, question = say(f"learn-{lesson}-title"), say(f"learn-{lesson}-question")
    st.html(f"<div class='lesson'><h2>{html.escape(title)}</h2><p>{glossary_html(question)}</p></div>")
    key = f"learn-answer-{lesson}"
    with st.container(horizontal=True, vertical_alignment="center", key="learn-answers", gap="small"):
        chosen = st.pills(
            say("learn-answer"), COURSE[lesson].options, key=key, label_visibility="collapsed", on_change=_answer,
            args=(lesson,), format_func=lambda k: say(f"learn-{lesson}-option-{k}"),
        )  # fmt: skip
        if lesson not in state.answered_lessons:
            st.button(say("learn-show"), key="learn-show", on_click=_answer, args=(lesson,), type="tertiary")
    if chosen is not None:
        correct = COURSE[lesson].correct
        option = say(f"learn-{lesson}-option-{correct}")
        verdict = say("learn-right" if chosen == correct else "learn-wrong", option=option)
        glossary_note(join_sentences([verdict, say(f"learn-{lesson}-because")]), "remark")


def _inputs(run: Run) -> None:
    """The inputs of the lessons: the image, small, the text, and the answer of the model."""
    image, answers = run.sample.image, run.record.answers
    lines = [say("learn-inputs-heading"), f"“{run.sample.text}”" if run.sample.text else ""]
    lines.append(say("learn-inputs-answer", answer=answers[0].label) if answers else "")
    text = "".join(f"<div>{html.escape(line)}</div>" for line in lines if line)
    thumbnail = "" if image is None else f"<img alt='' src='{data_uri(downscaled(image.pixels, _THUMBNAIL_SIDE))}'>"
    st.html(f"<div class='lesson-inputs'>{thumbnail}<div>{text}</div></div>")


def _example(state: State) -> None:
    """A button that opens the example on which the lesson shows what it says, where that is not the current one."""
    name = COURSE[state.lesson].example
    example = next((example for example in load_gallery() if example.id == name), None)
    if example is not None and example != state.run_example:
        st.button(
            say("learn-example"), key="learn-example", help=page_elements.as_label(example.question), type="tertiary",
            on_click=session_actions.choose_example, args=(example,),
        )  # fmt: skip


def _answer(lesson: session.LessonId) -> None:
    session.current_state().answered_lessons.add(lesson)


def _remarks(state: State, context: LessonContext | None) -> None:
    """What to notice, where the numbers mislead, the sheet to print, and the previous and next lesson."""
    lesson = state.lesson
    for code in ("notice", "misleads"):
        st.html(
            f"<div class='aside {code}'><b>{html.escape(say(f'learn-{code}'))}</b>"
            f"<p>{glossary_html(say(f'learn-{lesson}-{code}'))}</p></div>"
        )
    for name in sorted(state.unknown_params):
        page_elements.note(say("learn-unknown-param", name=name), "remark")
    if context:
        st.download_button(
            say("learn-sheet"), sheet(context), f"mmviz-{lesson}.html", "text/html", help=say("learn-sheet-help"),
            on_click="ignore", key="learn-sheet",
        )  # fmt: skip
    index = LESSONS.index(lesson)
    with st.container(horizontal=True, key="learn-turn"):
        for offset, code in ((-1, "previous"), (1, "next")):
            if 0 <= index + offset < len(LESSONS):
                neighbour = LESSONS[index + offset]
                st.button(
                    say(f"learn-{code}"), key=f"learn-{code}", help=say(f"learn-{neighbour}-title"),
                    on_click=session_actions.open_lesson, args=(neighbour,),
                )  # fmt: skip
