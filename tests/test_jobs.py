"""Background jobs of the page: their results, errors and stops, and that the backend is warmed up once."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from records import record, trio
from streamlit import runtime

from mmviz.app import experiment_runner, session_actions
from mmviz.app import session_state as state
from mmviz.app.jobs import Job, StreamingJob, WarmBackend
from mmviz.backends import Backend
from mmviz.explain import Run
from mmviz.i18n.page import say
from mmviz.types import InputError, Sample

SOON = 30.0
"""Seconds; far more than anything here takes."""


def a_run() -> Run:
    """Returns a run to compare by identity."""
    return Run(Sample(text="word 0"), record({"all": trio()}, [("all", "all", 0, 2)]))


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds a thread until it is set; set at the end, so that no thread is left behind."""
    event = threading.Event()
    yield event
    event.set()


def until(check: Callable[[], bool]) -> bool:
    """Waits until ``check`` holds, and returns whether it does."""
    end = time.monotonic() + SOON
    while not check() and time.monotonic() < end:
        time.sleep(0.01)
    return check()


def test_the_result_is_there_once_the_job_has_finished(gate: threading.Event) -> None:
    result = a_run()
    job = Job(lambda *_: gate.wait(SOON) and result)
    assert not job.wait(0.05) and job.result is None and job.error is None
    assert 0.05 <= job.seconds < SOON
    gate.set()
    assert job.wait(SOON) and job.result is result and job.error is None


def test_a_job_runs_in_a_thread_of_its_own(gate: threading.Event) -> None:
    threads: list[int] = []
    job = Job(lambda *_: threads.append(threading.get_ident()) or (gate.wait(SOON) and a_run()))
    assert until(lambda: bool(threads)) and threads != [threading.get_ident()] and not job.wait(0)


def test_an_mmviz_error_keeps_its_message() -> None:
    def fail(*_: object) -> Run:
        raise InputError("input-none")

    job = Job(fail)
    assert job.wait(SOON) and job.result is None and isinstance(job.error, InputError)
    assert job.error.code == "input-none"


def test_any_other_error_keeps_nothing_of_its_message(caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object) -> Run:
        raise ZeroDivisionError("secret words") from KeyError("secret cause")

    job = Job(fail)
    assert job.wait(SOON) and job.result is None and type(job.error) is Exception
    assert job.error.args == () and job.error.__cause__ is None and job.error.__context__ is None
    assert "ZeroDivisionError" in caplog.text and "secret" not in caplog.text
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize("exit_of", [SystemExit, KeyboardInterrupt])
def test_a_job_that_ends_the_interpreter_finishes_with_an_error(
    exit_of: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> Run:
        raise exit_of(2)

    job = Job(fail)
    assert job.wait(SOON) and job.result is None and type(job.error) is Exception
    assert exit_of.__name__ in caplog.text


def test_a_streaming_job_shows_partial_results(gate: threading.Event) -> None:
    def work(progress: Any, stop: Any, report: Callable[[str], None]) -> str:
        report("half")
        gate.wait(SOON)
        return "whole"

    job = StreamingJob(work)
    assert until(lambda: job.partial == "half") and not job.wait(0)
    gate.set()
    assert job.wait(SOON) and job.result == "whole"


def test_a_job_stopped_before_it_begins_never_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    begin: list[Callable[[], None]] = []
    calls: list[int] = []

    class HeldThread:
        """A thread that runs when the test says so."""

        def __init__(self, target: Callable[[], None], daemon: bool):
            begin.append(target)

        def start(self) -> None:
            pass

    monkeypatch.setattr(threading, "Thread", HeldThread)
    job = Job(lambda *_: calls.append(1) or a_run())
    job.stop()
    begin[0]()
    assert job.wait(0) and calls == [] and job.result is None and job.error is None


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A visitor's session without a page."""
    values: dict[str, Any] = {}
    for module in (state, session_actions):
        monkeypatch.setattr(module, "st", SimpleNamespace(session_state=values))
    return values


@pytest.mark.parametrize(("before", "code"), [(a_run(), "stopped"), (None, "stopped-first")])
def test_a_stop_drops_the_run_and_says_what_is_left(
    before: Run | None, code: str, session: dict[str, Any], gate: threading.Event
) -> None:
    visitor = state.current_state()
    visitor.run = before
    visitor.job = job = Job(lambda *_: gate.wait(SOON) and a_run())
    session_actions.stop_run()
    assert not job.wait(0), "stopping does not wait for the run"
    assert visitor.job is None and visitor.run is before and str(visitor.error) == say(code)
    gate.set()
    assert job.wait(SOON) and visitor.run is before


def test_another_question_drops_the_run_in_progress(session: dict[str, Any], gate: threading.Event) -> None:
    visitor = state.current_state()
    visitor.job = Job(lambda *_: gate.wait(SOON) and a_run())
    session_actions.submit_text("what is it?")
    assert visitor.job is None and visitor.run_requested and session[state.QUESTION] == "what is it?"


class CountingBackend(WarmBackend):
    """A warm backend that counts how often it was created and run."""

    def __init__(self, error: BaseException | None = None, gate: threading.Event | None = None):
        self.created, self.runs = 0, 0

        def create() -> Backend:
            self.created += 1
            if gate is not None:
                gate.wait(SOON)
            return SimpleNamespace()  # type: ignore[return-value]

        def run_once(backend: Backend) -> None:
            self.runs += 1
            if error is not None:
                raise error

        super().__init__(create, run_once)


def test_the_backend_is_warmed_up_once() -> None:
    warm = CountingBackend()
    assert not warm.is_warm
    for _ in range(3):
        warm.start()
    assert until(lambda: warm.is_warm)
    assert warm.backend() is warm.backend() and (warm.created, warm.runs) == (1, 1)


def test_a_visitor_during_the_warm_up_gets_the_same_backend(gate: threading.Event) -> None:
    warm = CountingBackend(gate=gate)
    warm.start()
    assert until(lambda: warm.created == 1)
    job = Job(lambda *_: warm.backend())
    assert not job.wait(0.1) and not warm.is_warm
    gate.set()
    assert job.wait(SOON) and job.result is warm.backend() and until(lambda: warm.is_warm) and warm.created == 1


@pytest.mark.parametrize("error", [OSError("secret words"), SystemExit("secret words")])
def test_a_failed_warm_up_is_logged_by_its_type_alone(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    warm = CountingBackend(error)
    warm.start()
    assert until(lambda: type(error).__name__ in caplog.text)
    assert not warm.is_warm and "secret" not in caplog.text
    assert warm.backend() is not None, "the next run tries again"


def test_what_is_loaded_for_the_first_run_is_left_out_of_garbage_collection() -> None:
    loaded: list[object] = [[]]

    def is_searched() -> bool:
        return any(candidate is loaded for candidate in gc.get_objects())

    assert is_searched()
    warm = WarmBackend(lambda: cast(Backend, SimpleNamespace()), lambda _: a_run())
    warm.start()
    try:
        assert until(lambda: warm.is_warm) and not is_searched()
    finally:
        gc.unfreeze()


def test_a_job_that_nobody_waits_for_stops(gate: threading.Event) -> None:
    steps: list[int] = []

    def work(progress: object, stop: Callable[[], bool]) -> int:
        end = time.monotonic() + SOON
        while not stop() and time.monotonic() < end:
            steps.append(len(steps))
            gate.wait(0.01)
        return len(steps)

    job = Job(work, lambda: len(steps) >= 3)
    assert job.wait(SOON) and job.is_stopped and job.result == 3
    never_begun = Job(lambda *_: steps.append(-1), lambda: True)
    assert never_begun.wait(SOON) and never_begun.is_stopped and -1 not in steps


def test_a_visitor_has_left_once_the_connection_has_been_gone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    connected = True
    server = SimpleNamespace(is_active_session=lambda session_id: connected and session_id == "visitor")
    monkeypatch.setattr(runtime, "exists", lambda: True)
    monkeypatch.setattr(runtime, "get_instance", lambda: server)
    monkeypatch.setattr(experiment_runner, "get_script_run_ctx", lambda: SimpleNamespace(session_id="visitor"))
    monkeypatch.setattr(experiment_runner, "ABSENCE", 0.0)
    has_left = experiment_runner.visitor_left()
    assert not has_left()
    connected = False
    assert until(has_left)
    connected = True
    assert not has_left()
    monkeypatch.setattr(experiment_runner, "ABSENCE", 3600.0)
    connected = False
    assert not has_left(), "the browser may connect again"


def test_an_experiment_that_was_begun_again_is_not_dropped_by_the_second_click(
    gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiments = {("a",): Job(lambda progress, stop: gate.wait(SOON))}
    state = SimpleNamespace(experiments=experiments)
    monkeypatch.setattr(experiment_runner.session, "current_state", lambda: state)
    experiment_runner._discard(("a",))
    assert ("a",) in experiments
    gate.set()
    assert experiments["a",].wait(SOON)
    for _ in range(2):
        experiment_runner._discard(("a",))
    assert not experiments
