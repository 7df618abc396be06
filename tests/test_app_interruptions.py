"""A script that is interrupted, as Streamlit does where the browser asks for another run meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
from app_page import EXAMPLES, ROOT, now, press, visit
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.runtime.scriptrunner import RerunData, RerunException, ScriptRunner
from streamlit.runtime.scriptrunner_utils.script_run_context import ThreadState
from streamlit.runtime.state import SafeSessionState, SessionState
from streamlit.runtime.state.common import WidgetMetadata
from streamlit.testing.v1 import AppTest
from test_app_models import until_loaded

from mmviz.app import router, session_actions, streamlit_callback_patch
from mmviz.app.selection import Selection, answer_selection
from mmviz.app.session_state import KEY, QUESTION, USE_IMAGE, State
from mmviz.app.streamlit_callback_patch import keep_callbacks_whole, uninterrupted

pytestmark = pytest.mark.slow


class Callback:
    """A callback that uses the state of the session, which ``interrupt`` is called at, and fails for a number of 0."""

    def __init__(self, interrupt: Callable[[], None], number: int = 1):
        self.done, self.number = list[int](), number
        self.state = SafeSessionState(SessionState(), interrupt)
        metadata: WidgetMetadata[bool] = WidgetMetadata("button", bool, bool, "trigger_value", callback=self._run)
        self.state._state._set_widget_metadata(metadata)

    def _run(self) -> None:
        self.state["a"] = 1
        self.done.append(self.state["a"] // self.number)

    def click(self) -> None:
        """Runs the callback, as a request of the browser does."""
        clicked = WidgetStates(widgets=[WidgetState(id="button", trigger_value=True)])

        def run() -> None:
            ThreadState.initialize()  # as for a script
            self.state.on_script_will_rerun(clicked)

        copy_context().run(run)


def test_a_request_waits_for_the_callbacks_of_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise RerunException(RerunData())

    monkeypatch.setattr(SafeSessionState, "on_script_will_rerun", UNCHANGED)
    lost = Callback(interrupt)
    with pytest.raises(RerunException):
        lost.click()
    assert not lost.done, "what Streamlit does by itself"
    for _ in range(2):
        keep_callbacks_whole()
    whole = Callback(interrupt)
    whole.click()
    assert whole.done == [1]
    with pytest.raises(RerunException):
        print(whole.state["a"])


def test_after_a_callback_that_fails_requests_are_taken_again() -> None:
    keep_callbacks_whole()
    requests: list[str] = []
    callback = Callback(lambda: requests.append("taken"), 0)
    with pytest.raises(ZeroDivisionError):
        callback.click()
    assert not requests and callback.state["a"] == 1 and requests == ["taken"]


def test_a_change_that_belongs_together_is_made_entirely_and_then_requests_are_taken_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    interrupts = list[str]()
    state = SafeSessionState(SessionState(), lambda: interrupts.append("interrupt"))
    monkeypatch.setattr(streamlit_callback_patch, "get_script_run_ctx", lambda: SimpleNamespace(session_state=state))
    with pytest.raises(ZeroDivisionError), uninterrupted():
        with uninterrupted():
            state["a"] = 1
        state["a"] = 1 // 0
    assert not interrupts and state["a"] == 1 and interrupts == ["interrupt"]


@dataclass(frozen=True)
class Screen:
    """What a session has at one place at which a request of the browser may stop the script."""

    run: int | None
    """The identity of the run; that of the others is counted in it."""
    is_whole: bool
    """Whether all that belongs to the run is there: its viewer, the inputs that it was made from, its selection."""
    selection: Selection | None
    serial: int
    model: str
    link: tuple[str, ...]
    """The names of the parameters of a link that apply to the run to come."""
    to_come: str
    """Whether a run, or a model and then a run, is still to be shown."""


def screens(monkeypatch: pytest.MonkeyPatch, request: Callable[[], AppTest]) -> list[Screen]:
    """Returns what the session had at all those places while ``request`` was handled, and at the end, each once."""
    stages: dict[Screen, None] = {}
    original = ScriptRunner._maybe_handle_execution_control_request

    def look(runner: ScriptRunner) -> None:
        values: Any = runner._session_state
        while isinstance(values, SafeSessionState):
            values = values._state
        state = {**values._old_state, **values._new_session_state}.get(KEY)
        if state is not None:
            stages.setdefault(screen_of(state))
        original(runner)

    with monkeypatch.context() as patch:
        patch.setattr(ScriptRunner, "_maybe_handle_execution_control_request", look)
        page = request()
    stages.setdefault(screen_of(now(page)))
    return list(stages)


def screen_of(state: State) -> Screen:
    run, viewer = state.run, state.viewer_data
    is_whole = (
        run is viewer is None or ((run is not None and viewer is not None and viewer.run is run)
        and state.run_draft is not None and state.selection is not None
        and state.selection.tokens == answer_selection(run, state.selection.map_ref, state.selection.direction))
    )  # fmt: skip
    to_come = "run" if state.run_requested or state.job is not None else ""
    to_come = "model" if state.model_requested is not None or state.model_job is not None else to_come
    return Screen(
        run and id(run), is_whole, state.selection, state.serial, state.config.model, (*state.link_params,), to_come
    )


def test_wherever_a_script_is_stopped_a_run_is_shown_entirely_or_still_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_callbacks_whole()
    monkeypatch.setattr(sys, "argv", ["streamlit_script.py", "--model", "routed_model:routed"])
    monkeypatch.chdir(ROOT / "tests")
    page = visit(example=EXAMPLES[0].id)
    before, requested, shown = screens(monkeypatch, lambda: press(page, f"example-{EXAMPLES[1].id}"))
    assert replace(requested, to_come="") == before and requested.to_come == "run"
    assert shown.run == id(now(page).run) != before.run and shown.is_whole and not shown.to_come


def test_wherever_a_script_is_stopped_a_link_is_followed_entirely_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keep_callbacks_whole()
    link = {"example": EXAMPLES[1].id, "direction": "to", "style": "heat"}
    empty, requested, shown = screens(monkeypatch, lambda: visit(**link))
    assert (empty.run, empty.to_come, empty.link) == (None, "", ())
    assert replace(requested, to_come="", link=()) == empty and requested.link == (*link,)
    assert shown.is_whole and not shown.to_come and shown.selection is not None
    assert (shown.selection.direction, shown.selection.style) == ("to", "heat")


def test_wherever_a_script_is_stopped_a_model_is_taken_entirely_or_still_to_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keep_callbacks_whole()
    monkeypatch.setattr(sys, "argv", ["streamlit_script.py", "--model", "trio", "--model", "routed_model:routed"])
    monkeypatch.chdir(ROOT / "tests")
    page = visit(example=EXAMPLES[0].id)
    before, *loading, shown = screens(monkeypatch, lambda: until_loaded(press(page, "model-1")))
    assert before.model == "trio" and shown.model == "routed_model:routed" and shown.run != before.run
    models = [(screen.model, screen.to_come) for screen in loading]
    assert models == [("trio", "model"), ("routed_model:routed", "run")]
    assert all(screen.is_whole and screen.run == before.run for screen in loading) and shown.is_whole


UNCHANGED = getattr(SafeSessionState.on_script_will_rerun, "__wrapped__", SafeSessionState.on_script_will_rerun)
"""Streamlit's own."""


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The page after "Empty the form", whose drawing was interrupted before the browser had it."""
    page = visit()
    assert page.text_input(QUESTION).value == EXAMPLES[0].question and page.checkbox(USE_IMAGE).value
    page.checkbox(USE_IMAGE).uncheck().run()

    def interrupt(*_: object) -> None:
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(router, "input_doubts", interrupt)
        page.button(key="own").click().run()
    assert page.exception
    return page


def test_values_that_the_browser_does_not_have_are_set_again_and_request_no_run(
    interrupted: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_actions, "SENT_AFTER", 3_600)
    runs = now(interrupted).serial
    interrupted.text_input(QUESTION).set_value(EXAMPLES[0].question)
    interrupted.checkbox(USE_IMAGE).set_value(False)
    interrupted.run()
    assert interrupted.text_input(QUESTION).value == "" and interrupted.checkbox(USE_IMAGE).value
    assert not interrupted.exception and now(interrupted).serial == runs and not now(interrupted).error


def test_what_the_visitor_enters_meanwhile_stays(interrupted: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_actions, "SENT_AFTER", 3_600)
    interrupted.text_input(QUESTION).set_value("is there a fish")
    interrupted.run()
    assert interrupted.text_input(QUESTION).value == "is there a fish"


def test_values_that_the_browser_has_are_the_visitors_to_change(
    interrupted: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_actions, "SENT_AFTER", 0.0)
    interrupted.checkbox(USE_IMAGE).set_value(False)
    interrupted.run()
    assert not interrupted.checkbox(USE_IMAGE).value


def test_after_a_whole_drawing_the_old_question_can_be_asked_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_actions, "SENT_AFTER", 3_600)
    page = visit()
    press(page, "own")
    page.text_input(QUESTION).set_value(EXAMPLES[0].question)
    page.run()
    assert page.text_input(QUESTION).value == EXAMPLES[0].question
