"""A script that is interrupted, as Streamlit does where the browser asks for another run meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context

import pytest
from app_page import EXAMPLES, now, press, visit
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.runtime.scriptrunner import RerunData, RerunException
from streamlit.runtime.scriptrunner_utils.script_run_context import ThreadState
from streamlit.runtime.state import SafeSessionState, SessionState
from streamlit.runtime.state.common import WidgetMetadata
from streamlit.testing.v1 import AppTest

from mmviz.app import router, session_actions
from mmviz.app.session_state import QUESTION, USE_IMAGE
from mmviz.app.streamlit_callback_patch import keep_callbacks_whole

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
