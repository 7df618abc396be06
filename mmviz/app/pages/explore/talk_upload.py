"""Opens a saved talk on the page: its slides join those of the visitor's own talk."""

from __future__ import annotations

import streamlit as st
from streamlit.runtime.uploaded_file_manager import DeletedFile

from mmviz.app import run_links
from mmviz.app import session_state as session
from mmviz.app.components import page_elements
from mmviz.app.session_history import own_talk
from mmviz.app.session_state import State
from mmviz.app.talk_draft import MAX_RUNS, MAX_SLIDES, RunRef
from mmviz.app.talk_runs import ref_in_talk
from mmviz.app.uploaded_files import drop_files_of
from mmviz.app.uploads import too_large
from mmviz.explain import Run
from mmviz.i18n.page import say
from mmviz.present import Talk
from mmviz.types import MmvizError

LARGEST = 250_000_000
"""Bytes that the runs of a visitor's file may have once inflated."""


def talk_file() -> None:
    """Draws a button that unfolds the field for a file, and why the last file could not be opened."""
    draft = own_talk()
    with st.popover(say("own-talk-file"), help=say("own-talk-file-help"), key="talk-file-popover"):
        key = f"talk-file-{draft.files}"
        st.file_uploader(say("own-talk-file-help"), key=key, on_change=_add_file, args=(key,))
        if draft.file_error is not None:
            page_elements.note(str(draft.file_error), "refused")


def _add_file(key: str) -> None:
    """Adds the slides of the file that was chosen, all of them or none."""
    state = session.current_state()
    draft, upload = own_talk(), st.session_state[key]
    draft.file_error = None
    if upload is None or isinstance(upload, DeletedFile):  # a late request of a field that is no longer there
        return
    try:
        if (refusal := too_large(upload.type, upload.getvalue())) is not None:
            raise refusal
        talk = Talk.from_bytes(upload.getvalue(), LARGEST)
        if not draft.has_room_for(talk):
            raise MmvizError("own-talk-room", slides=MAX_SLIDES, runs=MAX_RUNS)
    except MmvizError as error:
        draft.file_error = error
        return
    draft.join(talk, [ref_in_talk(run, lambda run: _ref(state, run)) for run in talk.runs])
    draft.files += 1
    drop_files_of(key)


def _ref(state: State, run: Run) -> RunRef:
    """Returns the name of a run of a file: the id under which it is kept now."""
    return RunRef(run.record.id, "", run_links.keep_opened_run(state, run))
