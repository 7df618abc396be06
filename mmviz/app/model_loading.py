"""The choice of a model among those that the operator allows: loaded in the background while the page stays."""

from __future__ import annotations

import streamlit as st

from mmviz.app import change_links, resources, session_actions
from mmviz.app import session_state as session
from mmviz.app.experiment_runner import visitor_left
from mmviz.app.jobs import Job
from mmviz.app.loading_progress import ModelLoading
from mmviz.app.session_state import State
from mmviz.app.streamlit_callback_patch import uninterrupted
from mmviz.backends import Progress, Stop
from mmviz.i18n.page import Message, say
from mmviz.models.loading_watch import watch_loading
from mmviz.types import MmvizError

QUICK = 0.4
"""Seconds that a loading may take before the page shows its progress."""


def request_model(model: str) -> None:
    """Has another model loaded; one that is being loaded is given up."""
    state = session.current_state()
    _drop_loading(state)
    state.model_requested, state.link_messages, state.link_params = model, (), {}


def request_linked_model(state: State, model: str) -> None:
    """Has the model loaded that a link names. What the link shows waits for it."""
    _drop_loading(state)
    state.model_requested, state.is_model_linked, state.run_requested = model, True, False


def stop_loading() -> None:
    """Gives up the loading in progress; the page keeps the model that it has, and shows with it what waits."""
    state = session.current_state()
    waits = state.is_model_linked
    _drop_loading(state)
    if waits:
        _run_without(state)


def start_loading(state: State) -> None:
    """Begins to load the model that the visitor chose; a model that is loaded already is there at once."""
    model, state.model_requested = state.model_requested, None
    if model is None or state.config.with_model(model).spec == state.config.spec:
        return
    config = state.config.with_model(model)
    loading = ModelLoading(model)

    def work(progress: Progress, stop: Stop) -> None:
        with watch_loading(loading.watch(progress, stop)):
            resources.warm_backend(config).backend()

    state.model_job, state.model_loading = Job(work, visitor_left()), loading
    if state.model_job.wait(QUICK):
        finish_loading(state)


@uninterrupted()
def finish_loading(state: State) -> None:
    """Takes the model that was loaded, and requests a run on it; what belonged to the one before is dropped.

    After an error, the page keeps the model that it has.
    """
    job, loading = state.model_job, state.model_loading
    waits, messages = state.is_model_linked, state.link_messages
    state.model_job, state.model_loading, state.is_model_linked = None, None, False
    if job is None or loading is None or job.is_stopped:
        return
    if job.error is not None:
        why = job.error if isinstance(job.error, MmvizError) else Message("model-unexpected")
        if waits:
            _run_without(state, Message("link-model-error", {"why": why}))
        else:
            state.error = why
        return
    session_actions.request_run()
    state.link_messages = messages
    state.model, state.config = loading.model, state.config.with_model(loading.model)
    change_links.linked_changes(state.link_params).apply(state)
    state.stream_pairs, state.options = (), ()
    state.error = ""


def _drop_loading(state: State) -> None:
    if state.model_job is not None:
        state.model_job.stop()
    state.model_job = state.model_loading = state.model_requested = None
    state.is_model_linked, state.error = False, ""


def _run_without(state: State, *messages: Message) -> None:
    """Requests a run of what a link shows on the model that the page has, and says why."""
    messages = (*state.link_messages, *messages)
    session_actions.request_run()
    state.link_messages, state.link_params = messages, {}


def loading_status() -> None:
    """Draws a button that stops the loading, and its progress."""
    with st.container(horizontal=True, vertical_alignment="center", key="model-progress"):
        st.button(say("stop"), key="model-stop", help=say("model-stop-help"), on_click=stop_loading)
        _progress()


@st.fragment(run_every=0.4)
def _progress() -> None:
    """Draws the progress of the loading; draws the page anew once it has finished."""
    state = session.current_state()
    job, loading = state.model_job, state.model_loading
    if job is None or loading is None or job.wait(0):
        finish_loading(state)
        st.rerun()
    st.progress(min(job.done / job.of, 1.0) if job.of else 0.0, loading.text(job))
