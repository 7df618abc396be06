"""A script that is interrupted, as Streamlit does where the browser asks for another run meanwhile."""

from __future__ import annotations

import ast

import pytest
from app_page import EXAMPLES, ROOT, now, press, visit
from streamlit.runtime.scriptrunner import RerunData, RerunException
from streamlit.testing.v1 import AppTest

from mmviz.app import router, session_actions
from mmviz.app.callbacks import completed
from mmviz.app.session_state import QUESTION, USE_IMAGE

pytestmark = pytest.mark.slow


def test_a_callback_that_is_interrupted_begins_again_and_the_other_request_follows() -> None:
    done: list[str] = []

    @completed
    def callback(first: str, *, second: str) -> None:
        done.append(first)
        if len(done) < 3:
            raise RerunException(RerunData(query_string=str(len(done))))
        done.append(second)

    with pytest.raises(RerunException) as interruption:
        callback("a", second="b")
    assert done == ["a", "a", "a", "b"] and interruption.value.rerun_data.query_string == "2"
    done[:] = ["a", "a"]
    callback("a", second="b")
    assert done == ["a", "a", "a", "b"]


def test_every_callback_that_uses_the_state_of_the_session_begins_again() -> None:
    modules = [ast.parse(path.read_text("utf-8")) for path in sorted((ROOT / "mmviz" / "app").rglob("*.py"))]
    nodes = [node for module in modules for node in ast.walk(module)]
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    given = [keyword.value for call in calls for keyword in call.keywords if (keyword.arg or "").startswith("on_")]
    given += [each for call in calls if getattr(call.func, "id", "") == "mount_viewer" for each in call.args]
    named = [each.args[0] if isinstance(each, ast.Call) else each for each in given]
    called = {node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "") for node in named}
    functions = [
        node for node in nodes if isinstance(node, ast.FunctionDef) and node.name in called
        and isinstance(node.returns, ast.Constant) and node.returns.value is None
    ]  # fmt: skip
    names = {function.name for function in functions}
    assert {"cut_routes", "_toggle_panel", "save", "_choose", "_update_need", "_on_view", "_request_open"} <= names
    for function in functions:
        begins_again = any(getattr(each, "id", "") == "completed" for each in function.decorator_list)
        assert begins_again or function.name in STATELESS, f"{function.name} is a callback: @completed"


STATELESS = {"_discard", "_ignore", "_measure_again", "_retry_backend", "move", "remove", "stop"}
"""Callbacks that use nothing of the session's state, so that nothing interrupts them."""


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
