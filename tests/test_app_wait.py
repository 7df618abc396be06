"""A run in progress on the page: it says that it waits, can be stopped, and keeps the inputs it was started with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from app_page import EXAMPLES, markup, notes, now, press, run, visit, word
from streamlit.testing.v1 import AppTest

from mmviz.app import run_launcher
from mmviz.app import session_state as state
from mmviz.app.jobs import Job
from mmviz.app.selection import initial_selection
from mmviz.explain import Run
from mmviz.i18n.page import say
from mmviz.types import AblateHead, Sample

pytestmark = pytest.mark.slow

PATIENCE = 60
"""Seconds; far more than a run takes."""


@pytest.fixture
def release_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Holds every run of the form until the function given is called; until then the page stops where it waits."""
    is_free, run_sample, wait = threading.Event(), run_launcher.run_sample, Job.wait
    threads: list[threading.Thread] = []

    def held_run(sample: Sample, **options: Any) -> Run:
        threads.append(threading.current_thread())
        is_free.wait(PATIENCE)
        return run_sample(sample, **options)

    def wait_once(job: Job[Any], seconds: float) -> bool:
        is_finished = wait(job, PATIENCE if is_free.is_set() else 0)
        if not is_finished and seconds != run_launcher.QUICK:
            st.stop()
        return is_finished

    monkeypatch.setattr(run_launcher, "run_sample", held_run)
    monkeypatch.setattr(Job, "wait", wait_once)
    yield is_free.set
    is_free.set()
    for thread in threads:  # Python must not end while torch still works
        thread.join(PATIENCE)


@pytest.mark.slow
def test_a_slow_run_says_so_and_can_be_stopped(opened: AppTest, release_runs: Callable[[], None]) -> None:
    before = now(opened).run
    opened.text_input(state.QUESTION).set_value("what is it?")
    press(opened, "run")
    assert "role='status'" in markup(opened) and "model" in markup(opened).split("role='status'")[1]
    press(opened, "stop")
    assert notes(opened, "error") == [f"<div class='note error' role='alert'>{say('stopped')}</div>"]
    assert now(opened).job is None and now(opened).run is before and word(opened) == before.record.answers[0].label
    assert "stop" not in [button.key for button in opened.button] and say("changed") in markup(opened)
    release_runs()
    run(opened)
    assert now(opened).run is before, "the result of a stopped run is dropped"
    press(opened, "run")
    assert now(opened).run.sample.text == "what is it?" and not notes(opened, "error")


@pytest.mark.slow
def test_what_a_stopped_or_a_failed_run_would_have_changed_is_dropped(
    opened: AppTest, release_runs: Callable[[], None]
) -> None:
    head, none = AblateHead(2, 1), AblateHead(99, 0)
    press(opened, "control-uniform")
    press(opened, "stop")
    assert now(opened).control == "trained"
    release_runs()
    now(opened).ablated_heads = (head,)
    press(opened, "run")
    assert now(opened).run.request.changes == (head,)
    (banner,) = notes(opened, "banner")
    assert "layer 3, head 2" in banner
    now(opened).ablated_heads = (head, none)
    press(opened, "run")
    assert notes(opened, "error") and now(opened).run.request.changes == (head,)
    assert now(opened).ablated_heads == (head,) and notes(opened, "banner") == [banner]
    now(opened).ablated_heads = ()
    assert notes(run(opened), "banner") == [banner], "it is said of the run on the screen, not of those to come"


@pytest.mark.slow
def test_what_a_link_selects_is_not_selected_in_the_run_that_follows_a_stopped_one(
    no_recordings: Path, release_runs: Callable[[], None]
) -> None:
    page = visit(example=EXAMPLES[1].id, query="3", map="0:1", style="all")
    press(page, "stop")
    release_runs()
    press(page, f"example-{EXAMPLES[2].id}")
    assert now(page).run_example == EXAMPLES[2]
    assert now(page).selection == initial_selection(None, now(page).run)


@pytest.mark.slow
def test_another_example_has_nothing_of_the_link_that_it_replaces(
    no_recordings: Path, release_runs: Callable[[], None]
) -> None:
    page = visit(example=EXAMPLES[1].id, query="3", map="0:1", versus="99")
    assert now(page).job is not None
    release_runs()
    press(page, f"example-{EXAMPLES[2].id}")
    assert now(page).run_example == EXAMPLES[2] and not now(page).link_messages
    assert now(page).selection == initial_selection(None, now(page).run)


def test_a_form_changed_during_a_run_does_not_change_the_run(opened: AppTest, release_runs: Callable[[], None]) -> None:
    opened.checkbox(state.USE_IMAGE).uncheck()
    press(opened, "run")
    assert now(opened).job is not None
    opened.checkbox(state.USE_IMAGE).check()  # the form is that of the example again, the run is not
    release_runs()
    run(opened)
    assert now(opened).run.sample.image is None and now(opened).run_example is None
    assert say("changed") in markup(opened)
    assert say("truth-unknown") not in markup(opened), "of an answer to other inputs nothing is judged"


@pytest.mark.slow
def test_a_first_run_that_is_stopped_leaves_a_sentence(no_recordings: Path, release_runs: Callable[[], None]) -> None:
    page = visit()
    assert "role='status'" in markup(page) and now(page).run is None
    press(page, "stop")
    assert notes(page, "error") == [f"<div class='note error' role='alert'>{say('stopped-first')}</div>"]
    assert say("nothing-yet", examples=say("panel-examples")) in markup(page) and not page.get("bidi_component")
    release_runs()
    press(page, "run")
    assert now(page).run_example == EXAMPLES[0] and word(page) and not notes(page, "error")


def test_another_example_can_be_chosen_during_a_run(opened: AppTest, release_runs: Callable[[], None]) -> None:
    opened.text_input(state.QUESTION).set_value("what is it?")
    press(opened, "run")
    press(opened, f"example-{EXAMPLES[2].id}")
    assert now(opened).run_example == EXAMPLES[2] and now(opened).job is None and not now(opened).error


def test_a_slow_run_says_how_many_layers_are_done(opened: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    is_free, has_run, run_sample, wait = threading.Event(), threading.Event(), run_launcher.run_sample, Job.wait
    threads: list[threading.Thread] = []

    def held_after_its_layers(sample: Sample, **options: Any) -> Run:
        threads.append(threading.current_thread())
        slow_run = run_sample(sample, **options)
        has_run.set()
        is_free.wait(PATIENCE)
        return slow_run

    def wait_once(job: Job[Any], seconds: float) -> bool:
        assert has_run.wait(PATIENCE)
        if seconds != run_launcher.QUICK:
            st.stop()
        return wait(job, 0)

    monkeypatch.setattr(run_launcher, "run_sample", held_after_its_layers)
    monkeypatch.setattr(Job, "wait", wait_once)
    try:
        opened.text_input(state.QUESTION).set_value("what is it?")
        press(opened, "run")
        layers = now(opened).job.of
        assert layers > 1 and f"layer {layers} of {layers}" in markup(opened)
    finally:
        is_free.set()
        for thread in threads:
            thread.join(PATIENCE)
