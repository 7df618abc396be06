"""The form: a picture, a text and a sound, by file, camera or microphone, and the button that runs the model."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from mmviz.app import session_state as keep
from mmviz.app.components.question_composer import composer
from mmviz.app.session_state import Draft, Source, State
from mmviz.i18n.page import say
from mmviz.inputs.text import LONGEST

PICTURES = ("png", "jpg", "jpeg", "webp", "gif")
SOUNDS = ("wav", "flac", "ogg", "oga", "opus", "mp3", "m4a", "aac", "webm", "mp4", "mov")


def form(now: State) -> Draft:
    """Draw the form; what is in it."""
    if now.resend:  # Streamlit tells a browser once what the page put into a field, and forgets it if it runs again
        now.resend = False
        for key in (keep.QUESTION, keep.USE_PICTURE, keep.USE_SOUND):
            st.session_state[key] = st.session_state[key]
    left, middle, right, end = st.columns([3, 4.4, 3, 1], vertical_alignment="bottom")
    with left:
        image = _given(now, "picture", keep.USE_PICTURE, PICTURES, now.example.image if now.example else None)
    with middle, st.container(horizontal=True, gap="small", vertical_alignment="bottom", key="text-line"):
        text = st.text_input(
            say("question"), key=keep.QUESTION, placeholder=say("question-empty"), help=say("question-help"),
            max_chars=LONGEST, on_change=keep.ask,
        )  # fmt: skip
        if now.setup.spec is None:  # the questions of the bundled model
            composer()
    with right:
        audio = _given(now, "sound", keep.USE_SOUND, SOUNDS, now.example.audio if now.example else None)
    with end:
        st.button(say("run"), type="primary", key="run", width="stretch", on_click=keep.ask, help=say("run-help"))
    return Draft(image, text or "", audio)


def _given(now: State, modality: str, use: str, kinds: Sequence[str], bundled: Source) -> Source:
    """A tick to use the modality at all, an uploader, and camera or microphone; what was given last goes first."""
    file, live = f"{modality}-{now.generation}", f"{modality}-live-{now.generation}"
    is_own = any(st.session_state.get(key) is not None for key in (file, live))
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key=f"{modality}-line"):
        wanted = st.checkbox(say(f"use-{modality}"), key=use, help=say(f"use-{modality}-help"), width="content")
        origin = "from-you" if is_own else "from-gallery" if bundled else "none-given"
        st.html(f"<div class='source'>{say(origin)}</div>", width="content")
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key=f"{modality}-ways"):
        uploaded = st.file_uploader(
            say(f"use-{modality}"), kinds, key=file, label_visibility="collapsed", on_change=keep.given,
            args=(modality, file),
        )  # fmt: skip
        with st.popover(say(f"{modality}-live"), help=say(f"{modality}-live-help"), key=f"{modality}-popover"):
            device = st.camera_input if modality == "picture" else st.audio_input
            made = device(say(f"{modality}-live-help"), key=live, on_change=keep.given, args=(modality, live))
    if not wanted:
        return None
    last, other = (made, uploaded) if now.latest.get(modality) == live else (uploaded, made)
    chosen = other if last is None else last
    return chosen.getvalue() if chosen is not None else bundled
