"""A run that takes its time, on the page: it says that it waits, can be stopped, and is never taken for another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from app_page import EXAMPLES, markup, notes, now, press, run, visit, word
from streamlit.testing.v1 import AppTest

from mmviz.app import session_state as state
from mmviz.app.jobs import Job
from mmviz.app.pages.explore import page as explore
from mmviz.backends import Backend
from mmviz.backends.replay import ReplayBackend
from mmviz.explain import Run
from mmviz.i18n.page import say
from mmviz.types import Sample


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Runs wait until the function given is called; the page stands still as it is while it waits."""
    free, real, wait = threading.Event(), explore.run_sample, Job.wait
    running: list[threading.Thread] = []

    def slow(sample: Sample, *, backend: Backend, **how: Any) -> Run:
        if not isinstance(backend, ReplayBackend):
            running.append(threading.current_thread())
            free.wait(60)
        return real(sample, backend=backend, **how)

    def look_in(job: Job, seconds: float) -> bool:
        done = wait(job, 60 if free.is_set() else 0)
        if not done and seconds != explore.QUICK:
            st.stop()
        return done

    monkeypatch.setattr(explore, "run_sample", slow)
    monkeypatch.setattr(Job, "wait", look_in)
    yield free.set
    free.set()
    for thread in running:  # Python must not end while torch still works
        thread.join(60)


def test_a_run_that_takes_long_says_so_and_can_be_stopped(opened: AppTest, held: Callable[[], None]) -> None:
    before = now(opened).run
    opened.text_input(state.QUESTION).set_value("what is it?")
    press(opened, "run")
    assert "role='status'" in markup(opened) and "model" in markup(opened).split("role='status'")[1]
    press(opened, "stop")
    assert notes(opened, "refusal") == [f"<div class='note refusal' role='alert'>{say('stopped')}</div>"]
    assert now(opened).job is None and now(opened).run is before and word(opened) == before.record.answers[0].label
    assert "stop" not in [button.key for button in opened.button] and say("changed") in markup(opened)
    held()
    run(opened)
    assert now(opened).run is before, "what was stopped does not come back"
    press(opened, "run")
    assert now(opened).run.sample.text == "what is it?" and not notes(opened, "refusal")


def test_a_form_changed_while_it_runs_is_not_what_was_run(opened: AppTest, held: Callable[[], None]) -> None:
    opened.checkbox(state.USE_PICTURE).uncheck()
    press(opened, "run")
    assert now(opened).job is not None
    opened.checkbox(state.USE_PICTURE).check()  # the form is that of the trio again, the run is not
    held()
    run(opened)
    assert now(opened).run.sample.image is None
    assert now(opened).shown is None and say("truth-unknown") in markup(opened) and say("changed") in markup(opened)


def test_a_first_run_that_is_stopped_leaves_a_sentence(no_recordings: Path, held: Callable[[], None]) -> None:
    page = visit()
    assert "role='status'" in markup(page) and now(page).run is None
    press(page, "stop")
    assert notes(page, "refusal") == [f"<div class='note refusal' role='alert'>{say('stopped-first')}</div>"]
    assert say("nothing-yet") in markup(page) and not page.get("bidi_component")
    held()
    press(page, "run")
    assert now(page).shown == EXAMPLES[0] and word(page) and not notes(page, "refusal")


def test_another_trio_can_be_chosen_while_one_waits(opened: AppTest, held: Callable[[], None]) -> None:
    opened.text_input(state.QUESTION).set_value("what is it?")
    press(opened, "run")
    press(opened, f"trio-{EXAMPLES[2].id}")
    assert now(opened).shown == EXAMPLES[2] and now(opened).job is None and not now(opened).refusal
