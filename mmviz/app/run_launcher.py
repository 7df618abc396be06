"""Runs of the form: starting them, waiting for them, and saying why a run was not made by the backend."""

from __future__ import annotations

import html
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mmviz.app import change_links, page_address, resources, run_links, session_actions
from mmviz.app import session_state as session
from mmviz.app.components import page_elements
from mmviz.app.draft import Draft, Source, VideoFile
from mmviz.app.jobs import Job
from mmviz.app.loading_progress import ModelLoading
from mmviz.app.records_to_release import long_record_ids
from mmviz.app.session_state import State
from mmviz.app.streamlit_callback_patch import uninterrupted
from mmviz.backends import Progress, Stop
from mmviz.backends.fallback import CODE, FallbackBackend
from mmviz.backends.layer_progress import report_layers
from mmviz.explain import Run, run_sample
from mmviz.i18n.page import Message, say
from mmviz.io.change_text import CONTROLS
from mmviz.models.loading_watch import watch_loading
from mmviz.types import InputError, MmvizError

QUICK = 0.4
"""Seconds that a run may take before the page shows that it waits."""


@uninterrupted()
def start_run(state: State, draft: Draft) -> None:
    """Shows the recorded run of an unchanged example; starts a run of anything else, but of no refused input."""
    for code, source in (("run-refused-image", draft.image), ("run-refused-audio", draft.audio)):
        if isinstance(source, InputError):
            state.error = Message(code, {"why": source})
            return
    is_unchanged = state.example is not None and draft.is_of(state.example)
    changes = (*CONTROLS[state.control], *state.ablated_heads, *state.cut_routes)
    if state.config.spec is None and is_unchanged and not changes:
        assert state.example is not None
        recorded = resources.recorded_run(state.example.id)
        if recorded is not None:
            _show(state, recorded, draft)
            return
    backend, model = resources.warm_backend(state.config), state.config.model
    relevance = state.control != "uniform"  # uniform attention has no gradient, which relevance needs
    (answer, answer_part), state.written = state.written, ((), ())
    loading = ModelLoading(model)
    given: dict[str, Any] = {"pairs": state.stream_pairs, "options": dict(state.options)}
    given |= {"answer": answer, "answer_part": answer_part} if answer else {}

    def work(progress: Progress, stop: Stop) -> Run:
        def report(is_writing: bool, done: int, of: int) -> None:
            state.is_writing = is_writing
            progress(done, of)

        source = draft.image
        image, video = (None, source.content) if isinstance(source, VideoFile) else (_read(source), None)
        sample = resources.decoder().sample(image, draft.text, _read(draft.audio), video)
        with watch_loading(loading.watch(progress, stop)):
            ready = backend.backend()
        progress(0, 0)
        with report_layers(partial(report, False), partial(report, True)):
            return run_sample(
                sample, model=model, backend=ready, changes=changes, relevance=relevance, stop=stop, **given
            )

    state.job, state.job_draft, state.job_loading = Job(work), draft, loading


def wait_for_run(state: State, job: Job[Run], place: DeltaGenerator) -> None:
    """Waits for the run and shows the time in ``place``. After an error, the screen keeps what it shows."""
    if not job.wait(QUICK):
        with place.container(horizontal=True, vertical_alignment="center", key="waiting"):
            st.button(say("stop"), key="stop", help=say("stop-help"), on_click=session_actions.stop_run)
            status = st.empty()
        is_finished = False
        while not is_finished:  # a visitor's Stop ends this script run
            text = _progress_text(state, job)
            status.html(f"<div class='note' role='status'>{text}</div>")
            is_finished = job.wait(0.5)
    place.empty()
    _finish(state, job)


@uninterrupted()
def _finish(state: State, job: Job[Run]) -> None:
    """Takes a run that has ended off the state, and shows it, or why there is none."""
    state.job = None
    if job.result is not None:
        state.long_record_ids |= long_record_ids(job.result)
        _show(state, job.result, state.job_draft)  # the form may have changed since
    elif isinstance(job.error, MmvizError):
        state.error = job.error
        left = change_links.without_failed(state.link_params, job.error)
        if left is not None:
            _run_with(state, left, job.error)
        session_actions.give_up_run(state)
    else:
        state.error = Message("unexpected")
        session_actions.give_up_run(state)


def _run_with(state: State, left: dict[str, str], error: MmvizError) -> None:
    """Makes the run of a link again with what is ``left`` of its changes, and says why the others are not there."""
    code = "link-cuts" if error.code.startswith("cut-") else "link-changes"
    state.link_params = left
    state.link_messages = (*state.link_messages, Message(code, {"why": error}))
    change_links.linked_changes(left).apply(state)
    state.run_requested, state.error = True, ""
    st.rerun()


def _progress_text(state: State, job: Job[Run]) -> str:
    """Returns how far the run is, or the loading of its model."""
    backend = resources.warm_backend(state.config)
    if not backend.is_created and state.job_loading is not None and state.job_loading.notice:
        return html.escape(state.job_loading.text(job))
    code = "running" if backend.is_warm else "loading"
    if job.of:
        code = "running-words" if state.is_writing else "running-layers"
    return say(code, seconds=job.seconds, done=job.done, of=job.of)


def fallback_note(state: State) -> None:
    """Says why the run was not made by the remote backend, with a button that tries it again."""
    reasons = [str(notice) for notice in state.run.record.notices if notice.code == CODE] if state.run else []
    if state.config.url and reasons:
        with st.container(horizontal=True, vertical_alignment="center", key="fallback"):
            page_elements.note(reasons[0], "remark")
            label = say("backend-again", host=urlsplit(state.config.url).netloc)
            hint = say("backend-again-help")
            st.button(label, key="backend-again", help=hint, on_click=_retry_backend)


def _retry_backend() -> None:
    state = session.current_state()
    backend = resources.warm_backend(state.config).backend()
    assert isinstance(backend, FallbackBackend)
    backend.remote.reset()
    state.run_requested = True


def _read(source: Source) -> bytes | tuple[bytes, ...] | None:
    assert not isinstance(source, InputError | VideoFile)  # no run of an error is started
    return source.read_bytes() if isinstance(source, Path) else source


def _show(state: State, run: Run, draft: Draft) -> None:
    session_actions.show_run(run, draft)
    run_links.keep_run(state, run, draft)
    if state.link_params:
        page_address.apply_link(state, run)
