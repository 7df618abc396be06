"""The form: a bar with the inputs and the button that runs the model; below it, folded away, examples and uploads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from mmviz.app import session_actions
from mmviz.app import session_state as session
from mmviz.app.accepted_inputs import ModelInputs, model_inputs
from mmviz.app.allowed_hosts import is_secure_context
from mmviz.app.components import page_elements
from mmviz.app.components.question_composer import question_composer
from mmviz.app.draft import Draft, Source, VideoFile
from mmviz.app.input_thumbnails import input_sign
from mmviz.app.pages.explore.gallery import gallery
from mmviz.app.session_state import State
from mmviz.app.uploads import checked_uploads, guard_uploads
from mmviz.explain import Run
from mmviz.i18n.language import join_sentences
from mmviz.i18n.page import say
from mmviz.inputs.examples import Example
from mmviz.inputs.text import MAX_CHARS
from mmviz.types import InputError

PANELS: tuple[Literal["examples", "own"], ...] = ("examples", "own")
"""What the bar unfolds: the gallery, and the form for one's own inputs."""
_NamedSource = tuple[Source, tuple[str, ...]]
"""An input of the form, with the names of the files that it came from where they are the visitor's."""


def input_form(
    state: State, examples: Sequence[Example], wrong: Sequence[Example] | None, saved: Sequence[Run]
) -> Draft:
    """Draws a bar with the inputs, and below it the gallery and the form for one's own inputs, each of which a button
    of the bar unfolds. Returns the contents of the form.

    ``wrong``: the examples that the model answers wrongly, None where that is not known. ``saved``: the runs of the
    file that the operator opened. Both parts are always drawn: Streamlit forgets what stands in a widget that is not.
    """
    session_actions.restore_values()
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="input-bar"):
        picture = st.empty()
        text = st.text_input(
            say("question"), key=session.QUESTION, placeholder=say("question-empty"), max_chars=MAX_CHARS,
            label_visibility="collapsed", on_change=session_actions.enter_question,
        )  # fmt: skip
        sound = st.empty()
        st.button(say("run"), type="primary", key="run", on_click=session_actions.request_run, help=say("run-help"))
        for panel in PANELS:
            st.button(
                say(f"panel-{panel}"), key=f"panel-{panel}-toggle", help=say(f"panel-{panel}-help"),
                on_click=_toggle_panel, args=(panel,),
            )  # fmt: skip
    with st.container(key="panel-examples"):
        if wrong is not None:
            page_elements.note(say("gallery-wrong" if wrong else "gallery-right", wrong=len(wrong), of=len(examples)))
        gallery(examples, saved)
    with st.container(key="panel-own"):
        draft = _own_inputs(state, text or "")
    picture.html(input_sign(state, draft, "image"), width="content")
    sound.html(input_sign(state, draft, "audio"), width="content")
    return draft


def _toggle_panel(panel: Literal["examples", "own"]) -> None:
    state = session.current_state()
    state.open_panel = "" if state.open_panel == panel else panel


def fold_form(state: State, draft: Draft) -> None:
    """Shows what is unfolded of the form: one's own inputs where there is no run to look at yet, or a refused file."""
    is_refused = isinstance(draft.image, InputError) or isinstance(draft.audio, InputError)
    panel = "own" if is_refused else state.open_panel or ("own" if state.run is None else "")
    if panel:
        wrapper = f"[data-testid=stLayoutWrapper]:has(> .st-key-panel-{panel})"
        st.html(f"<style>.st-key-page-inputs {wrapper}{{display:flex}}</style>")
        page_elements.mark_current(f"panel-{panel}-toggle")


def _own_inputs(state: State, text: str) -> Draft:
    """Draws what the visitor's own files, photos and recordings are given to."""
    accepted = model_inputs(state.config)
    guard_uploads(bool(accepted.video))
    start = state.form_start
    remark = st.empty()
    left, right, end = st.columns([3, 3, 2])
    with left:
        image, image_names = _file_input(state, accepted, "image", session.USE_IMAGE, (start.image, start.image_names))
    with right:
        audio, audio_names = _file_input(state, accepted, "audio", session.USE_AUDIO, (start.audio, start.audio_names))
    with end, st.container(horizontal=True, gap="small", vertical_alignment="bottom", key="form-helpers"):
        if state.config.spec is None:  # the composer has the bundled model's wordings
            question_composer()
        st.button(say("own"), key="own", help=say("own-help"), on_click=session_actions.choose_example, args=(None,))
    for modality in state.set_aside:
        if not st.session_state[session_actions.INPUTS[modality]]:
            with remark:
                page_elements.note(say(f"set-aside-{modality}", tick=say(f"use-{modality}")), "remark")
    return Draft(image, text, audio, image_names, audio_names)


def _file_input(state: State, accepted: ModelInputs, modality: str, use: str, first: _NamedSource) -> _NamedSource:
    """Draws a checkbox, an uploader, and a camera or microphone, and returns the input that a run is to use, with the
    names of its files.

    That is the file, photo or recording that was added last, or all files where the model takes several, else
    ``first``, what the form began with; None where unchecked. Of a file that cannot be used it is the error, which is
    drawn below the uploader.
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
        origin = _origin(bundled, file_key, live_key, takes_one=accepted.several is False)
        st.html(f"<div class='source'>{origin}</div>", width="content")
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key=f"{modality}-sources"):
        # Streamlit empties an uploader that begins to take several files, or no longer does, so it always takes them.
        files = st.file_uploader(
            say(f"use-{modality}"), key=file_key, label_visibility="collapsed", accept_multiple_files=True,
            on_change=session_actions.update_input, args=(modality, file_key),
        )  # fmt: skip
        with st.popover(say(f"{modality}-live"), help=say(f"{modality}-live-help"), key=f"{modality}-popover"):
            live = _live_input(modality, live_key)
    if not is_used:
        return None, ()
    recorded = [] if live is None else [live]
    last, other = (recorded, files) if state.latest_widget.get(modality) == live_key else (files, recorded)
    given = last or other
    if not given:
        return first
    if len(given) > 1 and accepted.several is False:
        page_elements.note(say(f"only-last-{modality}", count=len(given)), "remark")
        given = given[-1:]
    upload = checked_uploads(state, modality, given)
    if isinstance(upload, InputError):
        page_elements.note(str(upload), "refused")
    return upload, tuple(file.name for file in given)


def _origin(bundled: Source, file_key: str, live_key: str, takes_one: bool) -> str:
    """Returns whose input stands in the form; of several files of the visitor's that are used, how many."""
    given = [st.session_state.get(key) for key in (file_key, live_key)]
    count = max((len(files) for files in given if isinstance(files, list)), default=0)
    if count > 1 and not takes_one:
        return say("source-own-several", count=count)
    if isinstance(bundled, bytes | tuple | VideoFile) or any(files not in (None, []) for files in given):
        return say("source-own")
    return say("source-gallery" if bundled else "source-none")


def _live_input(modality: str, key: str) -> UploadedFile | None:
    """Draws a camera or microphone and returns its photo or recording; a sentence where browsers allow neither."""
    if not is_secure_context(st.context.url):
        page_elements.note(say(f"{modality}-live-insecure"), "remark")
        return None
    device = st.camera_input if modality == "image" else st.audio_input
    return device(say(f"{modality}-live-help"), key=key, on_change=session_actions.update_input, args=(modality, key))
