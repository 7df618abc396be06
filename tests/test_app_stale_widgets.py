"""Buttons of a run that is no longer on the screen keep nothing of it in memory, and a late click does nothing."""

from __future__ import annotations

import gc
import sys
import weakref
from dataclasses import replace

import pytest
from app_page import EXAMPLES, ROOT, now, press, record_of, run, settled, visit
from streamlit.runtime.state.common import TESTING_KEY
from streamlit.testing.v1 import AppTest

from mmviz.app import session_history
from mmviz.app.chosen_routes import RouteChoice
from mmviz.app.streamlit_stale_widget_patch import forget_undrawn_widgets
from mmviz.experiments.route_cut import Route

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("kept_runs")]


@pytest.fixture(autouse=True)
def _routed_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["streamlit_script.py", "--model", "routed_model:routed"])
    monkeypatch.chdir(ROOT / "tests")


def late_click(page: AppTest, key: str) -> None:
    """Clicks a button after another run came onto the screen and before that is drawn."""
    state = now(page)
    assert state.run is not None
    state.run = replace(state.run, record=replace(state.run.record, id="another"))
    press(page, key)


def routes_of(page: AppTest, record_id: str) -> tuple[Route, ...]:
    """Returns the routes that are chosen to be cut in a run."""
    key = f"routes-choice-{record_id}"
    choice: RouteChoice = page.session_state[key] if key in page.session_state else RouteChoice()
    return choice.routes


def test_a_widget_that_is_not_drawn_any_more_is_forgotten_and_one_that_returns_works() -> None:
    forget_undrawn_widgets()
    page = settled(visit(page="debug", section="routes", example=EXAMPLES[0].id))
    widget = page.button("routes-cell-text-image").proto.id
    known = page.session_state._state._state._new_widget_state
    press(page, "page-explore")
    assert widget not in known.widget_metadata
    states = page._tree.get_widget_states()
    states.widgets.add(id=widget, trigger_value=True)
    page._run(states)
    assert not page.exception and routes_of(page, record_of(page).id) == (), "a late click does nothing"
    settled(press(page, "page-debug"))
    settled(press(page, "routes-cell-text-image"))
    assert len(routes_of(page, record_of(page).id)) == 1


def test_a_late_click_on_a_route_cuts_nothing_of_the_run_that_followed() -> None:
    page = settled(visit(page="debug", section="routes", example=EXAMPLES[0].id))
    drawn = record_of(page).id
    late_click(page, "routes-cell-text-image")
    assert routes_of(page, drawn) == routes_of(page, record_of(page).id) == ()


def test_a_late_click_adds_no_slide_of_another_run_to_the_talk() -> None:
    page = visit(example=EXAMPLES[0].id)
    page.session_state["talk"] = True
    run(page)
    late_click(page, "talk-add-run")
    assert not page.session_state[session_history.TALK].slides


def test_a_record_and_its_experiments_are_freed_once_another_run_is_on_the_screen() -> None:
    forget_undrawn_widgets()
    page = settled(visit(page="debug", section="heads", example=EXAMPLES[0].id))
    press(page, "page-explore")
    record = weakref.ref(record_of(page))
    jobs = [weakref.ref(job) for job in now(page).experiments.values()]
    assert jobs
    press(page, "run")
    assert record() is not record_of(page)
    page.session_state[TESTING_KEY] = {}  # AppTest itself keeps how options are formatted
    run(page)
    gc.collect()
    assert record() is None and not any(job() for job in jobs)
