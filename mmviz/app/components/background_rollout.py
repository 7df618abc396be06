"""Rollout and relevance of long runs: computed in the background when the viewer requests them, with progress."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from mmviz.analysis.available_maps import map_words
from mmviz.app import session_actions
from mmviz.app import session_state as session
from mmviz.app.components import page_elements
from mmviz.app.experiment_runner import visitor_left
from mmviz.app.jobs import Job
from mmviz.app.session_state import State
from mmviz.app.streamlit_callback_patch import uninterrupted
from mmviz.backends import Progress, Stop
from mmviz.backends.layer_progress import report_layers
from mmviz.i18n.page import Message, say
from mmviz.report.viewer_long_flows import LongFlowSections
from mmviz.types import MapRef, MmvizError

QUICK = 0.3
"""Seconds that a part may take before the page shows its progress."""


class _Stopped(Exception):
    """The visitor stopped the computation, or has left."""


def request_flows(state: State, names: Sequence[str]) -> list[str]:
    """Computes what is missing of flows among the sections of these names, and returns the names that can be sent."""
    assert state.viewer_data is not None and state.run is not None  # `show_run` has set both
    flows = state.viewer_data.long_flows
    missing = flows.missing(names)
    if missing and state.flow_job is None:
        state.flow_error, state.flow_ref = "", flows.flow_of(missing[0])
        state.flow_job = Job(lambda progress, stop: _compute(flows, missing, progress, stop), visitor_left())
    if state.flow_job is not None and state.flow_job.wait(QUICK):
        _finish(state, state.flow_job)
        missing = flows.missing(names)
    return [name for name in names if name not in missing]


def flow_progress(state: State) -> None:
    """Draws the progress of the flow that is computed, and why the last one failed."""
    if state.flow_job is not None:
        _progress()
    elif state.flow_error:
        page_elements.note(str(state.flow_error), "error")


def _compute(flows: LongFlowSections, names: Sequence[str], progress: Progress, stop: Stop) -> bool:
    """Computes parts one after another; returns False where it was stopped."""

    def report(done: int, of: int) -> None:
        progress(done, of)
        if stop():
            raise _Stopped

    try:
        with report_layers(report):
            for name in names:
                flows.compute(name)
    except _Stopped:
        return False
    return True


@uninterrupted()
def _finish(state: State, job: Job[bool]) -> None:
    """Takes a job that has ended off the state. Where it has no result, the viewer goes back to a layer."""
    assert state.viewer_data is not None and state.run is not None and state.flow_ref is not None
    state.flow_job = None
    flows, ref = state.viewer_data.long_flows, state.flow_ref
    problem = flows.problems.get(f"map/{ref}")
    if problem is not None:
        state.flow_error = problem
    elif job.error is not None:
        state.flow_error = job.error if isinstance(job.error, MmvizError) else Message("experiment-unexpected")
    elif not job.result:
        state.flow_error = Message("flow-stopped", {"method": map_words(ref)})
    if state.flow_error:
        state.requested_sections = ()
        if not flows.get(f"map/{ref}"):
            session_actions.set_method(state.run.map_ref)


def _stop(map_ref: MapRef) -> None:
    """Stops the computation of a flow, unless it is gone."""
    state = session.current_state()
    if state.flow_job is not None and state.flow_ref == map_ref:
        state.flow_job.stop()


@st.fragment(run_every=0.4)
def _progress() -> None:
    """Draws the progress of a flow and a button that stops it; draws the page anew once it has ended."""
    state = session.current_state()
    job = state.flow_job
    if job is None or state.flow_ref is None or job.wait(0):
        if job is not None:
            _finish(state, job)
        st.rerun()
    method = map_words(state.flow_ref)
    with st.container(horizontal=True, vertical_alignment="center", key="flow-progress"):
        st.button(say("stop"), key="flow-stop", help=say("flow-stop-help"), on_click=_stop, args=(state.flow_ref,))
        code = "flow-computing" if job.of else "flow-computing-elapsed"
        share = job.done / job.of if job.of else 0.0
        st.progress(share, say(code, method=method, done=job.done, of=job.of, seconds=job.seconds))
