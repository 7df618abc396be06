"""The calculator mounted for a run of its own: what it is sent, what is read from it, and what moves it."""

from __future__ import annotations

from typing import Any

import pytest
import step_runs
from app_page import need, sent, tell, view
from streamlit.testing.v1 import AppTest

from mmviz.types import MapRef


def script() -> None:
    import step_runs
    import streamlit as st

    from mmviz.app.pages.learn.calculator import calculator

    run = step_runs.masked()[0] if st.session_state.get("masked") else step_runs.example()
    st.session_state["looked"] = calculator(run, "calc", st.session_state.get("start"))


def mounted(**state: Any) -> AppTest:
    page = AppTest.from_function(script, default_timeout=120)
    for name, value in state.items():
        page.session_state[name] = value
    page.run()
    assert not page.exception, page.exception
    return page


def start(layer: int, head: int, token: int) -> Any:
    from mmviz.app.selection import Selection

    return Selection((token,), (), "from", MapRef("attention", layer, head), "spotlight", "view")


def test_it_gets_all_steps_at_once_and_stays_as_it_is() -> None:
    page = mounted(start=start(2, 1, 0))
    header, sections = sent(page)
    assert header["run"] == step_runs.example().record.id and header["view"]["plane"] == "2:1"
    assert {name.split("/")[1] for name in sections if name.startswith("steps/")} == set("012345")
    (element,) = page.get("bidi_component")
    before = element.proto.bytes
    tell(page, view(page, plane="4:3", tokens=[5]))
    assert page.session_state["looked"] == start(4, 3, 5)
    (element,) = page.get("bidi_component")
    assert element.proto.bytes == before, "nothing is sent for what was chosen in the browser"
    tell(page, view(page, plane="99:0"))
    assert page.session_state["looked"] == start(4, 3, 5), "what is no view of it is ignored"


def test_another_start_moves_it_and_another_run_takes_its_place() -> None:
    page = mounted(start=start(2, 1, 0))
    page.session_state["start"] = start(3, 0, 7)
    page.run()
    header, _ = sent(page)
    assert (header["serial"], header["view"]["plane"], header["view"]["tokens"]) == (1, "3:0", [7])
    page.session_state["masked"], page.session_state["start"] = True, None
    page.run()
    header, sections = sent(page)
    assert header["run"] == step_runs.masked()[0].record.id and "steps/1/mask" in sections


def test_it_answers_what_is_asked_for_and_nothing_else() -> None:
    page = mounted()
    run = step_runs.example().record.id
    need(page, {"run": run, "names": ["steps/4"]})
    header, sections = sent(page)
    assert "streams" not in header and {name.split("/")[1] for name in sections} == {"4"}
    for names in (["steps/99"], ["steps/x"], ["nonsense/1"], "steps/4", ["steps/1"] * 99, [7]):
        need(page, {"run": run, "names": names})
        assert {name.split("/")[1] for name in sent(page)[1]} == {"4"}, names
    need(page, {"run": None, "names": []})
    assert "streams" in sent(page)[0], "a viewer that was mounted anew gets the run"


def test_a_run_without_steps_is_refused() -> None:
    from dataclasses import replace

    from mmviz.app.pages.learn.calculator import calculator

    run = step_runs.example()
    with pytest.raises(LookupError, match="without its steps"):
        calculator(replace(run, record=replace(run.record, steps=())), "calc")
