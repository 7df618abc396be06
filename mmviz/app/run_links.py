"""Links to runs that an address cannot describe, as those of the visitor's own inputs: a run is kept under a random id,
which stands in the address."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import replace

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from mmviz.app import resources, session_actions
from mmviz.app.components.page_elements import run_script
from mmviz.app.draft import EMPTY, Draft
from mmviz.app.effect_and_story import Trace
from mmviz.app.kept_runs import KeptRun
from mmviz.app.operator_config import OperatorConfig
from mmviz.app.records_to_release import end_experiments, long_record_ids
from mmviz.app.session_state import State
from mmviz.explain import Run
from mmviz.types import MmvizError

COOKIE = "mmviz-visitor"
"""Holds a random id, so that a reload is the same visitor, who can delete what was sent before it."""
_ID_BYTES = 16
_ID_CHARS = 22
"""Length of an id in Base64."""


def keep_run(state: State, run: Run, draft: Draft) -> None:
    """Keeps the ``run`` on the screen, made from ``draft``, where its inputs are not those of an example, or where it
    has settings, names of streams or chosen words that an address does not name."""
    request = run.request
    is_set = request is not None and bool(request.options or request.pairs or request.answer_part)
    if state.run_example is None or is_set:
        state.run_id = _keep(state, run, draft)


def keep_shown_run(state: State) -> str:
    """Keeps the run on the screen, also that of an example, for a talk. Returns its id; "" for one that is too large.

    It gets no link of its own by this.
    """
    assert state.run is not None
    return state.run_id if is_kept(state) else _keep(state, state.run, state.run_draft or EMPTY)


def keep_opened_run(state: State, run: Run) -> str:
    """Keeps a run that the visitor opened from a file, for a talk. Returns its id; "" for one that is too large."""
    name_visitor(state)
    return resources.kept_runs().add(KeptRun(run, EMPTY, None, "trained", (), (), state.visitor))


def _keep(state: State, run: Run, draft: Draft) -> str:
    name_visitor(state)
    changes = state.control, state.ablated_heads, state.cut_routes
    return resources.kept_runs().add(KeptRun(run, draft, state.example, *changes, state.visitor))


def keep_trace(state: State, word: int | None, trace: Trace) -> None:
    """Keeps what was traced of the run on the screen: with the run where that is kept, so that a reload has it."""
    state.traces[word] = trace
    kept = resources.kept_runs().get(state.run_id) if state.run_id else None
    if kept is not None:
        resources.kept_runs().update(replace(kept, traces={**kept.traces, word: trace}), state.run_id)


def name_visitor(state: State) -> None:
    """Gives a visitor an id where they have none."""
    state.visitor = visitor(state) or secrets.token_urlsafe(_ID_BYTES)


def is_kept(state: State) -> bool:
    """Returns whether the run on the screen is kept; its time begins anew."""
    return bool(state.run_id) and resources.kept_runs().get(state.run_id) is not None


def is_visitor_kept(state: State) -> bool:
    """Returns whether runs or inputs of the visitor are kept."""
    own = visitor(state)
    return resources.kept_runs().holds(own) or resources.kept_inputs().holds(own)


def open_run(state: State, run_id: str) -> bool:
    """Shows the run that is kept under ``run_id``, with its inputs in the form. Returns whether there is one."""
    kept = resources.kept_runs().get(run_id)
    if kept is None:
        return False
    session_actions.fill_form(kept.draft, kept.example)
    state.control, state.ablated_heads, state.cut_routes = kept.control, kept.ablated_heads, kept.cut_routes
    request = kept.run.request
    if request is not None and request.model in state.config.models:
        state.model, state.config = request.model, state.config.with_model(request.model)
    state.stream_pairs, state.options = (request.pairs, request.options) if request else ((), ())
    session_actions.show_run(kept.run, kept.draft)
    state.run_id, state.traces = run_id, dict(kept.traces)
    return True


def forget_runs(state: State) -> MmvizError | None:
    """Deletes the visitor's runs and inputs and the run on the screen from what is kept, and the uploaded files.

    Returns why a backend did not forget them, None where all did.
    """
    own = visitor(state)
    end_experiments(state)
    dropped = resources.kept_runs().forget(state.run_id, own)
    # The link to a run that another visitor made ends, not what they look at: the tensors behind it are left to them.
    record_ids = state.long_record_ids.union(*(long_record_ids(kept.run) for kept in dropped if kept.visitor == own))
    resources.kept_inputs().forget(state.inputs_id, visitor(state))
    context = get_script_run_ctx()
    if context is not None and runtime.exists():  # else Streamlit keeps them until the page is closed
        runtime.get_instance().uploaded_file_mgr.remove_session_files(context.session_id)
    return _forget_on_backends(state.config, tuple(record_ids))


def _forget_on_backends(config: OperatorConfig, record_ids: Sequence[str]) -> MmvizError | None:
    error = None
    for each in {config, *map(config.with_model, config.models)}:
        backend = resources.warm_backend(each)
        try:
            if backend.is_created:
                backend.backend().forget_inputs(record_ids)
        except MmvizError as problem:
            error = problem
    return error


def remember_visitor(state: State) -> None:
    """Gives the id of a visitor with inputs of their own to the browser, which drops it when it is closed."""
    if state.visitor:
        cookie = json.dumps(f"{COOKIE}={state.visitor}; path=/; samesite=lax")
        run_script(f"document.cookie = {cookie}")


def visitor(state: State) -> str:
    """Returns the visitor's id; empty before the first inputs of their own."""
    cookie = st.context.cookies.get(COOKIE, "")
    return state.visitor or (cookie if len(cookie) == _ID_CHARS else "")
