"""The page Explore: gallery, form, run; what is below it is in `look`. Torch is loaded only when a run is made."""

from __future__ import annotations

import html
import logging

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mmviz.app import state as keep
from mmviz.app import widgets
from mmviz.app.gallery import Trio, load_gallery
from mmviz.app.look import look
from mmviz.app.state import Draft, Source, State
from mmviz.app.texts import say
from mmviz.backends import Backend
from mmviz.explain import Run, run_sample
from mmviz.inputs import make_sample
from mmviz.inputs.text import LONGEST
from mmviz.types import MmvizError

PICTURES = ["png", "jpg", "jpeg", "webp"]
SOUNDS = ["wav", "flac", "ogg", "mp3"]
_log = logging.getLogger(__name__)


def page() -> None:
    """Draw the page from top to bottom: first what needs no model, so that it is there at once."""
    st.set_page_config(page_title=f"{say('title')}: {say('page')}", layout="wide", initial_sidebar_state="collapsed")
    now = keep.state()
    trios = load_gallery()
    outcomes = _outcomes()
    wrong = [trio for trio in trios if (found := outcomes.get(trio.id)) is not None and not trio.is_right(found)]
    widgets.sheet(trios, wrong)
    corner = _head()
    _gallery(trios)
    draft = _form(now)
    widgets.mark(f"trio-{now.trio.id}" if now.trio and draft.is_of(now.trio) else "own")
    if now.asked:
        now.asked = False
        _run(now, draft, st.empty() if now.run is None else corner)
    if len(outcomes) == len(trios):
        with corner:
            widgets.note(say("gallery-wrong" if wrong else "gallery-right", wrong=len(wrong), of=len(trios)))
    if now.refusal:
        widgets.note(now.refusal, "refusal")
    if now.run is None:
        widgets.note(say("nothing-yet"))
        return
    look(now.run, now.shown, draft != now.made_of)
    if len(outcomes) < len(trios):
        for trio in trios:
            outcomes[trio.id] = _outcome(trio)
        st.rerun()


@st.cache_resource(show_spinner=False)
def _backend() -> Backend:
    from mmviz.backends.local import LocalBackend

    return LocalBackend()


@st.cache_resource(show_spinner=False)
def _outcomes() -> dict[str, str | None]:
    """What the model answers to each trio, by its id (None: it could not be run); filled by the first visit of all."""
    return {}


def _outcome(trio: Trio) -> str | None:
    try:
        return _gallery_run(trio.id).record.answers[0].label
    except MmvizError:
        return None


@st.cache_resource(show_spinner=False, max_entries=32)
def _gallery_run(trio_id: str) -> Run:
    trio = next(trio for trio in load_gallery() if trio.id == trio_id)
    return run_sample(trio.sample(), backend=_backend())


def _head() -> DeltaGenerator:
    """The name of the page; the place in its corner, for progress and for how the gallery goes."""
    name = f"<h1>{say('title')}</h1><b>{say('page')}</b><span>{html.escape(say('tagline'))}</span>"
    with st.container(horizontal=True, vertical_alignment="center", key="page-head"):
        st.html(name, width="content")
        return st.empty()


def _gallery(trios: tuple[Trio, ...]) -> None:
    with st.container(horizontal=True, key="gallery", gap="small"):
        for trio in trios:
            label = widgets.as_label(trio.question)
            hint = widgets.as_label(trio.about)
            st.button(label, key=f"trio-{trio.id}", help=hint, width="stretch", on_click=keep.choose, args=(trio,))
        st.button(say("own"), key="own", help=say("own-help"), width="stretch", on_click=keep.choose, args=(None,))


def _form(now: State) -> Draft:
    """Picture, text, sound and the button; what is in them."""
    left, middle, right, end = st.columns([3, 4.4, 3, 1], vertical_alignment="bottom")
    with left:
        image = _file(now, "picture", keep.USE_PICTURE, PICTURES, now.trio.image if now.trio else None)
    with middle:
        text = st.text_input(
            say("question"), key=keep.QUESTION, placeholder=say("question-empty"), help=say("question-help"),
            max_chars=LONGEST, on_change=keep.ask,
        )  # fmt: skip
    with right:
        audio = _file(now, "sound", keep.USE_SOUND, SOUNDS, now.trio.audio if now.trio else None)
    with end:
        st.button(say("run"), type="primary", key="run", width="stretch", on_click=keep.ask)
    return Draft(image, text or "", audio)


def _file(now: State, modality: str, use: str, kinds: list[str], bundled: Source) -> Source:
    """A tick to use the modality at all, and an uploader; the uploaded file goes before the bundled one."""
    key = f"{modality}-{now.generation}"
    given = st.session_state.get(key)
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key=f"{modality}-line"):
        wanted = st.checkbox(say(f"use-{modality}"), key=use, help=say(f"use-{modality}-help"), width="content")
        origin = say("from-you") if given else say("from-gallery") if bundled else say("none-given")
        st.html(f"<div class='source'>{origin}</div>", width="content")
    file = st.file_uploader(
        say(f"use-{modality}"), kinds, key=key, label_visibility="collapsed", on_change=keep.uploaded, args=(modality,)
    )
    if not wanted:
        return None
    return file.getvalue() if file else bundled


def _run(now: State, draft: Draft, place: DeltaGenerator) -> None:
    """Make the run, its progress shown in ``place``; where it is refused, what was on the screen stays."""
    try:
        with place.status(say("running" if now.run else "loading")):
            if now.trio is not None and draft.is_of(now.trio) and now.control == "trained":
                keep.accept(_gallery_run(now.trio.id), draft)
            else:
                sample = make_sample(image=draft.image, text=draft.text, audio=draft.audio)
                keep.accept(run_sample(sample, backend=_backend(), changes=keep.CONTROLS[now.control]), draft)
    except MmvizError as refusal:
        now.refusal = str(refusal)
    except Exception as problem:
        # the type alone is logged: a message might hold what the visitor sent
        _log.error("a run failed: %s", type(problem).__name__)
        now.refusal = say("unexpected")
    place.empty()
