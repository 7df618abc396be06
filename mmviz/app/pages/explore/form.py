"""The form: image, text and audio from files, camera or microphone, and the button that runs the model."""

from __future__ import annotations

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from mmviz.app import session_state as session
from mmviz.app.allowed_hosts import is_secure_context
from mmviz.app.components import widgets
from mmviz.app.components.question_composer import question_composer
from mmviz.app.draft import Draft, Source, VideoFile
from mmviz.app.model_inputs import ModelInputs, model_inputs
from mmviz.app.session_state import State
from mmviz.app.uploads import checked_uploads, guard_uploads
from mmviz.i18n.language import join_sentences
from mmviz.i18n.page import say
from mmviz.inputs.text import MAX_CHARS
from mmviz.types import InputError

_NamedSource = tuple[Source, tuple[str, ...]]
"""An input of the form, with the names of the files that it came from where they are the visitor's."""


def input_form(state: State) -> Draft:
    """Draws the form and returns its contents."""
    if state.resend_form:  # Streamlit sends a widget's value once, and forgets it if the script runs again before that
        state.resend_form = False
        for key in (session.QUESTION, session.USE_IMAGE, session.USE_AUDIO):
            st.session_state[key] = st.session_state[key]
    accepted = model_inputs(state.config)
    guard_uploads(bool(accepted.video))
    left, middle, right, end = st.columns([3, 4.4, 3, 1], vertical_alignment="bottom")
    with left:
        start = state.form_start
        image, image_names = _file_input(state, accepted, "image", session.USE_IMAGE, (start.image, start.image_names))
    with middle, st.container(horizontal=True, gap="small", vertical_alignment="bottom", key="text-line"):
        text = st.text_input(
            say("question"), key=session.QUESTION, placeholder=say("question-empty"), help=say("question-help"),
            max_chars=MAX_CHARS, on_change=session.request_run,
        )  # fmt: skip
        if state.config.spec is None:  # the composer has the bundled model's wordings
            question_composer()
    with right:
        audio, audio_names = _file_input(state, accepted, "audio", session.USE_AUDIO, (start.audio, start.audio_names))
    with end:
        label, hint = say("run"), say("run-help")
        st.button(label, type="primary", key="run", width="stretch", on_click=session.request_run, help=hint)
    return Draft(image, text or "", audio, image_names, audio_names)


def _file_input(state: State, accepted: ModelInputs, modality: str, use: str, first: _NamedSource) -> _NamedSource:
    """Draws a checkbox, an uploader, and a camera or microphone, and returns the input that a run is to use, with the
    names of its files.

    That is the file, photo or recording that was added last, else ``first``, what the form began with; None where
    unchecked. Of a file that cannot be used it is the error, which is drawn below the uploader.
    """
    bundled, _ = first
    file_key, live_key = f"{modality}-{state.form_number}", f"{modality}-live-{state.form_number}"
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key=f"{modality}-line"):
        hint = say(f"use-{modality}-help")
        if accepted.several:
            hint = join_sentences(
                [hint, say("use-video-help" if modality == "image" and accepted.video else "use-several")]
            )
        is_used = st.checkbox(say(f"use-{modality}"), key=use, help=hint, width="content")
        st.html(f"<div class='source'>{_origin(bundled, file_key, live_key)}</div>", width="content")
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key=f"{modality}-sources"):
        files = st.file_uploader(
            say(f"use-{modality}"), key=file_key, label_visibility="collapsed",
            accept_multiple_files=accepted.several is not False,
            on_change=session.update_input, args=(modality, file_key),
        )  # fmt: skip
        with st.popover(say(f"{modality}-live"), help=say(f"{modality}-live-help"), key=f"{modality}-popover"):
            live = _live_input(modality, live_key)
    if not is_used:
        return None, ()
    given = files if isinstance(files, list) else [] if files is None else [files]
    recorded = [] if live is None else [live]
    last, other = (recorded, given) if state.latest_widget.get(modality) == live_key else (given, recorded)
    if not (last or other):
        return first
    upload = checked_uploads(state, modality, last or other)
    if isinstance(upload, InputError):
        widgets.note(str(upload), "refused")
    return upload, tuple(file.name for file in last or other)


def _origin(bundled: Source, file_key: str, live_key: str) -> str:
    """Returns whose input stands in the form; of several files of the visitor's, which hardly fit a line, how many."""
    given = [st.session_state.get(key) for key in (file_key, live_key)]
    count = max((len(files) for files in given if isinstance(files, list)), default=0)
    if count > 1:
        return say("source-own-several", count=count)
    if isinstance(bundled, bytes | tuple | VideoFile) or any(files not in (None, []) for files in given):
        return say("source-own")
    return say("source-gallery" if bundled else "source-none")


def _live_input(modality: str, key: str) -> UploadedFile | None:
    """Draws a camera or microphone and returns its photo or recording; a sentence where browsers allow neither."""
    if not is_secure_context(st.context.url):
        widgets.note(say(f"{modality}-live-insecure"), "remark")
        return None
    device = st.camera_input if modality == "image" else st.audio_input
    return device(say(f"{modality}-live-help"), key=key, on_change=session.update_input, args=(modality, key))
