"""The history of the session's runs: a list from which each is shown again, with its inputs in the form."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from mmviz.app import page_address, run_links, session_actions, session_history
from mmviz.app import session_state as session
from mmviz.app.components import page_elements
from mmviz.app.past_runs import PastRun
from mmviz.app.session_state import State
from mmviz.i18n.language import join_list
from mmviz.i18n.page import say

_GONE = "history-gone"
"""The key under which the page remembers, until it is drawn, that a run is no longer kept."""


def history(state: State) -> None:
    """Draws the button that opens the list of the session's runs, and the link to the run on the screen."""
    past_runs = session_history.past_runs()
    with st.popover(say("history", count=len(past_runs)), help=say("history-help"), key="history", width="content"):
        for past in past_runs:
            is_shown = state.run is not None and past.record_id == state.run.record.id
            st.button(
                _label(past), key=f"history-{past.record_id}", type="tertiary", disabled=is_shown,
                help=say("history-shown") if is_shown else None, width="stretch",
                on_click=go_back, args=(past.record_id,),
            )  # fmt: skip
        url = page_address.page_url(state)
        if url and not state.is_saved:
            page_elements.heading(say("history-link"))
            st.code(url, language=None, wrap_lines=True)
            if state.run_example is None or run_links.is_kept(state):
                page_elements.note(say("run-link" if run_links.is_kept(state) else "run-link-none"))
    if st.session_state.pop(_GONE, False):
        page_elements.note(say("history-gone"), "remark")


def go_back(record_id: str) -> None:
    """Shows a past run again, with its inputs in the form and what was selected in it.

    It is the one that is kept, if it still is; else a run of an example is made again.
    """
    state = session.current_state()
    past_runs = session_history.past_runs()
    past = next((each for each in past_runs if each.record_id == record_id), None)
    if past is None or state.shown_run(record_id) is not None:
        return  # the second click of two
    if past.run_id and run_links.open_run(state, past.run_id):
        assert state.run is not None
        state.link_params = past.view
        page_address.apply_link(state, state.run)
    elif past.example is not None:
        _forget(past_runs, past)  # the run that is made again takes its place
        session_actions.choose_example(past.example)
        state.control, state.ablated_heads, state.cut_routes = past.control, past.ablated_heads, past.cut_routes
        state.stream_pairs, state.options, state.written = past.stream_pairs, past.options, past.written
        if past.model in state.config.models:
            state.model, state.config = past.model, state.config.with_model(past.model)
        state.link_params = past.view
    else:
        _forget(past_runs, past)
        st.session_state[_GONE] = True


def _forget(past_runs: list[PastRun], past: PastRun) -> None:
    past_runs[:] = [each for each in past_runs if each.record_id != past.record_id]


def _label(past: PastRun) -> str:
    """Returns a line with time, question and answer, and what was changed in the run."""
    answer = join_list(past.answers) if past.answers else say("no-answer")
    if len(past.answers) > 1:
        answer = say("not-sure", answers=answer)
    changes = [say(f"control-{past.control}")] if past.control != "trained" else []
    changes += [say("history-heads", count=len(past.ablated_heads))] if past.ablated_heads else []
    changes += [say("history-cuts", count=len(past.cut_routes))] if past.cut_routes else []
    question = past.question or say("history-without-words")
    line = say("history-line", time=_clock(past.time), question=question, answer=answer)
    return page_elements.as_label(" · ".join([line, *changes]))


def _clock(seconds: float) -> str:
    """Returns hours and minutes in the visitor's time zone."""
    try:
        zone = ZoneInfo(st.context.timezone or "")
    except (ZoneInfoNotFoundError, ValueError):  # a browser without one
        return time.strftime("%H:%M", time.localtime(seconds))
    return datetime.fromtimestamp(seconds, UTC).astimezone(zone).strftime("%H:%M")
