"""Runs made beside the page: what comes of them, what a stop does, and that the backend is warmed up once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from mmviz.app import session_state as state
from mmviz.app.jobs import Job, Warmth
from mmviz.backends import Backend
from mmviz.explain import Run
from mmviz.i18n.page import say
from mmviz.types import InputError

SOON = 30.0
"""Seconds; far more than anything here takes."""


def a_run() -> Run:
    """Something to tell apart; what is in it does not matter here."""
    return Run.__new__(Run)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds a thread until it is set; set at the end, so that none is left behind."""
    event = threading.Event()
    yield event
    event.set()


def until(true: Callable[[], bool]) -> bool:
    end = time.monotonic() + SOON
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return true()


def test_a_run_is_there_once_it_is_done(gate: threading.Event) -> None:
    found = a_run()
    job = Job(lambda *_: gate.wait(SOON) and found)
    assert not job.wait(0.05) and job.result is None and job.problem is None
    assert 0.05 <= job.seconds < SOON
    gate.set()
    assert job.wait(SOON) and job.result is found and job.problem is None


def test_it_does_not_hold_up_whoever_asks(gate: threading.Event) -> None:
    asked = threading.get_ident()
    made_in: list[int] = []
    job = Job(lambda *_: made_in.append(threading.get_ident()) or (gate.wait(SOON) and a_run()))
    assert until(lambda: bool(made_in)) and made_in != [asked] and not job.wait(0)


def test_a_refusal_keeps_its_words() -> None:
    def refuse(*_: object) -> Run:
        raise InputError("input-none")

    job = Job(refuse)
    assert job.wait(SOON) and job.result is None and isinstance(job.problem, InputError)
    assert job.problem.code == "input-none"


def test_what_was_unforeseen_keeps_none_of_its_words(caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object) -> Run:
        raise ZeroDivisionError("secret words") from KeyError("secret cause")

    job = Job(fail)
    assert job.wait(SOON) and job.result is None and type(job.problem) is Exception
    assert job.problem.args == () and job.problem.__cause__ is None and job.problem.__context__ is None
    assert "ZeroDivisionError" in caplog.text and "secret" not in caplog.text
    assert not any(record.exc_info for record in caplog.records)


def test_a_stopped_job_that_has_not_begun_never_does(monkeypatch: pytest.MonkeyPatch) -> None:
    begin: list[Callable[[], None]] = []
    made: list[int] = []

    class Later:
        """A thread that starts when the test says so."""

        def __init__(self, target: Callable[[], None], daemon: bool):
            begin.append(target)

        def start(self) -> None:
            pass

    monkeypatch.setattr(threading, "Thread", Later)
    job = Job(lambda *_: made.append(1) or a_run())
    job.stop()
    begin[0]()
    assert job.wait(0) and made == [] and job.result is None and job.problem is None


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A visitor's session, without a page."""
    found: dict[str, Any] = {}
    monkeypatch.setattr(state, "st", SimpleNamespace(session_state=found))
    return found


@pytest.mark.parametrize(("before", "code"), [(a_run(), "stopped"), (None, "stopped-first")])
def test_stop_lets_go_of_the_run_and_says_what_is_left(
    before: Run | None, code: str, session: dict[str, Any], gate: threading.Event
) -> None:
    now = state.state()
    now.run = before
    now.job = job = Job(lambda *_: gate.wait(SOON) and a_run())
    started = time.monotonic()
    state.stop()
    assert time.monotonic() - started < 5, "stopping waits for nothing"
    assert now.job is None and now.run is before and str(now.refusal) == say(code)
    gate.set()
    assert job.wait(SOON) and now.run is before


def test_another_question_lets_go_of_the_run_being_made(session: dict[str, Any], gate: threading.Event) -> None:
    now = state.state()
    now.job = Job(lambda *_: gate.wait(SOON) and a_run())
    state.ask_text("what is it?")
    assert now.job is None and now.asked and session[state.QUESTION] == "what is it?"


class Counting(Warmth):
    """A warmth over a backend that counts how often it was made and run."""

    def __init__(self, problem: Exception | None = None, gate: threading.Event | None = None):
        self.made, self.ran = 0, 0

        def make() -> Backend:
            self.made += 1
            if gate is not None:
                gate.wait(SOON)
            return SimpleNamespace()  # type: ignore[return-value]

        def once(backend: Backend) -> object:
            self.ran += 1
            if problem is not None:
                raise problem
            return None

        super().__init__(make, once)


def test_the_backend_is_warmed_up_once() -> None:
    warmth = Counting()
    assert not warmth.warm
    for _ in range(3):
        warmth.start()
    assert until(lambda: warmth.warm)
    assert warmth.backend() is warmth.backend() and (warmth.made, warmth.ran) == (1, 1)


def test_a_visitor_who_comes_early_gets_the_same_backend(gate: threading.Event) -> None:
    warmth = Counting(gate=gate)
    warmth.start()
    assert until(lambda: warmth.made == 1)
    job = Job(lambda *_: warmth.backend())  # type: ignore[arg-type, return-value]
    assert not job.wait(0.1) and not warmth.warm
    gate.set()
    assert job.wait(SOON) and job.result is warmth.backend() and until(lambda: warmth.warm) and warmth.made == 1


def test_a_warm_up_that_fails_is_logged_by_its_type_alone(caplog: pytest.LogCaptureFixture) -> None:
    warmth = Counting(OSError("secret words"))
    warmth.start()
    assert until(lambda: "OSError" in caplog.text)
    assert not warmth.warm and "secret" not in caplog.text
    assert warmth.backend() is not None, "the next run tries for itself"
