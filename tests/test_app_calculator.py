"""The viewer with the calculator on a page: its payload, the selection it reports, and a new start or run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import step_runs
from app_page import payload, report_need, report_view, view, viewer_element
from streamlit.testing.v1 import AppTest

from mmviz.app.pages.learn.steps_viewer import calculator
from mmviz.app.selection import Selection
from mmviz.types import MapRef


def script() -> None:
    import step_runs
    import streamlit as st

    from mmviz.app.pages.learn.steps_viewer import calculator

    run = step_runs.masked_run()[0] if st.session_state.get("masked") else step_runs.trio_run()
    st.session_state["selection"] = calculator(run, "calc", st.session_state.get("start"))


def mounted(**state: Any) -> AppTest:
    page = AppTest.from_function(script, default_timeout=120)
    for name, value in state.items():
        page.session_state[name] = value
    page.run()
    assert not page.exception, page.exception
    return page


def start(layer: int, head: int, token: int) -> Selection:
    return Selection((token,), (), "from", MapRef("attention", layer, head), "spotlight", "view")


@pytest.mark.slow
def test_steps_wait_for_a_request_and_a_selection_sends_nothing() -> None:
    page = mounted(start=start(2, 1, 0))
    header, sections = payload(page)
    assert header["run"] == step_runs.trio_run().record.id and header["view"]["map"] == "2:1"
    assert not any(name.startswith("steps/") for name in sections) and len(header["steps"]) >= 6
    assert [name for name in sections if name.startswith("codes/")] == ["codes/blocks.attention/2:1"]
    assert "map/blocks.attention/2:0" in header["background"]
    element = viewer_element(page)
    before = element.proto.bytes
    report_view(page, view(page, map="4:3", tokens=[5]))
    selected = replace(start(4, 3, 5), map_ref=step_runs.trio_run().record.map_ref(4, 3))
    assert page.session_state["selection"] == selected
    element = viewer_element(page)
    assert element.proto.bytes == before, "a selection in the browser sends nothing"
    report_view(page, view(page, map="99:0"))
    assert page.session_state["selection"] == selected, "an unknown map is ignored"


def test_another_start_or_run_replaces_what_the_viewer_shows() -> None:
    page = mounted(start=start(2, 1, 0))
    page.session_state["start"] = start(3, 0, 7)
    page.run()
    header, _ = payload(page)
    assert (header["serial"], header["view"]["map"], header["view"]["tokens"]) == (1, "3:0", [7])
    page.session_state["masked"], page.session_state["start"] = True, None
    page.run()
    header, sections = payload(page)
    assert header["run"] == step_runs.masked_run()[0].record.id and sections
    _, sections = payload(report_need(page, {"run": header["run"], "names": ["steps/1"]}))
    assert "steps/1/mask" in sections


def test_only_known_sections_are_sent_on_request() -> None:
    page = mounted()
    run = step_runs.trio_run().record.id
    report_need(page, {"run": run, "names": ["steps/4"]})
    header, sections = payload(page)
    assert "streams" not in header and {name.split("/")[1] for name in sections} == {"4"}
    for names in (["steps/99"], ["steps/x"], ["nonsense/1"], "steps/4", ["steps/1"] * 99, [7]):
        report_need(page, {"run": run, "names": names})
        assert {name.split("/")[1] for name in payload(page)[1]} == {"4"}, names
    report_need(page, {"run": None, "names": []})
    assert "streams" in payload(page)[0], "a viewer that was mounted anew gets a run"


def test_a_run_without_steps_is_refused() -> None:
    run = step_runs.trio_run()
    with pytest.raises(LookupError, match="without its steps"):
        calculator(replace(run, record=replace(run.record, steps=())), "calc")
