"""The presentation of a lesson: one step a slide, in large type, each on one screen of 1280 x 720."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from mmviz.app import session_actions
from mmviz.app import session_state as session
from mmviz.app.components import page_elements
from mmviz.app.components.glossary_text import glossary_html
from mmviz.app.experiment_runner import ExperimentRunner
from mmviz.app.pages.learn.course import COURSE
from mmviz.app.pages.learn.lesson_context import PART, LessonContext
from mmviz.app.session_state import LESSONS, LessonId, State
from mmviz.backends import Backend
from mmviz.explain import Run
from mmviz.figures.image import data_uri, downscaled
from mmviz.i18n.page import say
from mmviz.types import MmvizError

STYLE_SHEET = Path(__file__).with_name("slides.css")
_PICTURE_SIDE = 480
"""Pixels of the longer side of the picture on the first slides."""


def slides_of(lesson: LessonId) -> tuple[str, ...]:
    """Returns the names of the slides of a lesson: its question, the answer, its parts, and the remarks."""
    return ("question", "answer", *COURSE[lesson].parts, "remarks")


def presentation(state: State, run: Run, backend: Callable[[], Backend]) -> None:
    """Draws the slide that is open, and the buttons that lead to others."""
    assert state.slide is not None
    lesson = state.lesson
    slides = slides_of(lesson)
    state.slide = min(max(state.slide, 1), len(slides))
    name = slides[state.slide - 1]
    st.html(f"<style>{STYLE_SHEET.read_text(encoding='utf-8')}</style>")
    with st.container(key="slide"):
        number = LESSONS.index(lesson) + 1
        title = html.escape(say(f"learn-{lesson}-title"))
        st.html(f"<div class='lesson slide-title'><span>{number}</span><h2>{title}</h2></div>")
        if name in ("question", "answer"):
            _question(lesson, run, name == "answer")
        elif name == "remarks":
            _remarks(lesson)
        else:
            _part(name, state, run, backend)
    _turn(state, len(slides))


def _question(lesson: LessonId, run: Run, is_answered: bool) -> None:
    """The question with its options; beside them what the model reads. The answer marks the correct option."""
    options = ""
    for letter in COURSE[lesson].options:
        kind = " class='correct'" if is_answered and letter == COURSE[lesson].correct else ""
        options += f"<li{kind}>{letter}) {html.escape(say(f'learn-{lesson}-option-{letter}'))}</li>"
    because = f"<p class='slide-because'>{glossary_html(say(f'learn-{lesson}-because'))}</p>" if is_answered else ""
    left, right = st.columns([2.4, 1], gap="medium")
    with left:
        question = glossary_html(say(f"learn-{lesson}-question"))
        st.html(f"<p class='slide-question'>{question}</p><ul class='slide-options'>{options}</ul>{because}")
    with right:
        image = run.sample.image
        picture = "" if image is None else f"<img alt='' src='{data_uri(downscaled(image.pixels, _PICTURE_SIDE))}'>"
        text = html.escape(say("learn-sheet-inputs", text=run.sample.text)) if run.sample.text else ""
        st.html(f"<div class='slide-picture'>{picture}<p>{text}</p></div>")


def _part(name: str, state: State, run: Run, backend: Callable[[], Backend]) -> None:
    """One part of the lesson, with its controls; the others are drawn as well, and hidden."""
    context = LessonContext(state.lesson, ExperimentRunner(state, run, run.rerun_request(), backend), part=name)
    hidden = ",".join(f"[class*='st-key-{PART}-{other}']" for other in COURSE[state.lesson].parts if other != name)
    if hidden:
        st.html(f"<style>{hidden}{{display:none!important}}</style>")
    try:
        COURSE[state.lesson].draw(context)
    except MmvizError as error:
        page_elements.note(str(error), "error")
    for unknown in sorted(state.unknown_params):
        page_elements.note(say("learn-unknown-param", name=unknown), "remark")


def _remarks(lesson: LessonId) -> None:
    blocks = "".join(
        f"<div class='{code}'><b>{html.escape(say(f'learn-{heading}'))}</b>"
        f"<p>{glossary_html(say(f'learn-{lesson}-{code}'))}</p></div>"
        for code, heading in (("do", "sheet-do"), ("notice", "notice"), ("misleads", "misleads"))
    )
    st.html(f"<div class='slide-remarks'>{blocks}</div>")


def _turn(state: State, count: int) -> None:
    """Buttons to the other slides. The last slide of a lesson leads to the first of the next lesson."""
    assert state.slide is not None
    lesson, slide, index = state.lesson, state.slide, LESSONS.index(state.lesson)
    before = (lesson, slide - 1)
    if slide == 1:
        before = (LESSONS[index - 1], len(slides_of(LESSONS[index - 1]))) if index else (lesson, 1)
    after = (lesson, slide + 1)
    if slide == count:
        after = (LESSONS[index + 1], 1) if index + 1 < len(LESSONS) else (lesson, count)
    targets = {"first": (lesson, 1), "previous": before, "next": after, "last": (lesson, count)}
    with st.container(horizontal=True, vertical_alignment="center", key="slide-turn"):
        for name, target in targets.items():
            st.button(
                say(f"learn-slide-{name}"), key=f"slide-{name}", help=say(f"learn-slide-{name}-help"),
                on_click=session_actions.open_slide, args=target, disabled=target == (lesson, slide),
            )  # fmt: skip
        text = html.escape(say("learn-slide-count", slide=slide, count=count))
        st.html(f"<span class='slide-count' role='status'>{text}</span>", width="content")
        st.button(
            say("learn-slide-leave"), key="slide-leave", help=say("learn-slide-leave-help"), type="tertiary",
            on_click=_leave, args=(lesson,),
        )  # fmt: skip


def _leave(lesson: LessonId) -> None:
    session.current_state().answered_lessons.add(lesson)
    session_actions.open_slide(lesson, None)
