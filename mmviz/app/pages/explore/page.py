"""The page Explore: gallery, form, run; what is below it is in `look`. Torch is loaded only when a run is made."""

from __future__ import annotations

import html
from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mmviz.app import link
from mmviz.app import session_state as keep
from mmviz.app import visitor_language as visitor
from mmviz.app.components import widgets
from mmviz.app.jobs import Job, Warmth
from mmviz.app.login import is_open
from mmviz.app.pages.debug import debug
from mmviz.app.pages.explore.form import form
from mmviz.app.pages.explore.results import look
from mmviz.app.pages.learn import learn
from mmviz.app.session_state import Draft, Source, State
from mmviz.app.setup import Setup
from mmviz.assets_path import assets_dir
from mmviz.backends import Backend, Progress, Stop
from mmviz.backends.fallback import CODE, WithFallback
from mmviz.explain import Run, run_sample
from mmviz.i18n.language import joined, translated
from mmviz.i18n.page import Message, say
from mmviz.inputs.examples import Example, load_gallery
from mmviz.inputs.sandbox import Decoder
from mmviz.types import MmvizError

QUICK = 0.4
"""Seconds a run may take before the page says that it waits."""


def page(setup: Setup) -> None:
    """Draw the page from top to bottom: first what needs no model, so that it is there at once."""
    visitor.settle()
    st.set_page_config(page_title=say("title"), layout="wide", initial_sidebar_state="collapsed")
    visitor.frame()
    if not is_open(setup.access):
        return
    now = keep.state()
    now.setup = setup
    examples = load_gallery()
    saved = None if setup.saved is None else _saved(setup.saved)
    if saved is not None and not now.greeted:
        keep.open_saved(saved)
        now.address = link.read()
    link.follow(now, examples)
    is_bundled = setup.spec is None
    outcomes = {
        example.id: found.record.answers[0].label
        for example in examples
        if is_bundled and (found := _recorded(example.id))
    }
    wrong = [example for example in examples if example.id in outcomes and not example.is_right(outcomes[example.id])]
    widgets.sheet(examples, wrong)
    corner = _head(setup)
    with st.expander(say("learn-inputs"), key="learn-inputs") if now.page == "learn" else st.container():
        _gallery(examples, saved)
        draft = form(now)
    widgets.mark(
        "saved" if now.is_saved else f"trio-{now.example.id}" if now.example and draft.is_of(now.example) else "own"
    )
    if now.asked:
        now.asked = False
        _begin(now, draft)
    if now.job:
        _wait(now, now.job, st.empty() if now.run is None else corner)
    if len(outcomes) == len(examples) and now.page != "learn":  # there the gallery is folded away
        with corner:
            widgets.note(say("gallery-wrong" if wrong else "gallery-right", wrong=len(wrong), of=len(examples)))
    with st.container():  # what comes below keeps its place, so that the viewer is not made anew
        for words, kind in ((str(now.refusal), "refusal"), (joined(map(str, now.remark)), "remark")):
            if words:
                widgets.note(words, kind)
        _fallen_back(now)
    if now.run is None:
        widgets.note(say("nothing-yet"))
    elif now.page == "debug":
        debug(now.run, _warmth(setup).backend, draft != now.made_of)
    elif now.page == "learn":
        learn(now.run, _warmth(setup).backend)
    else:
        now.told = now.selection  # for a viewer that has to be drawn anew
        look(now.run, now.shown, draft != now.made_of)
    _warmth(setup).start()


@st.cache_resource(show_spinner=False)
def _warmth(setup: Setup) -> Warmth:
    def once(backend: Backend) -> Run:
        return run_sample(load_gallery()[0].sample(), model=setup.model, backend=backend, relevance=True)

    return Warmth(setup.backend, once)


@st.cache_resource(show_spinner=False)
def _decoder() -> Decoder:
    return Decoder()


def _bytes(source: Source) -> bytes | None:
    return source.read_bytes() if isinstance(source, Path) else source


@st.cache_resource(show_spinner=False, max_entries=4)
def _saved(path: Path) -> Run:
    """The run that the operator named; the command line has seen to it that it can be read."""
    return Run.load(path)


@st.cache_resource(show_spinner=False)
def _replay() -> Backend:
    from mmviz.backends.replay import ReplayBackend

    return ReplayBackend(assets_dir() / "gallery" / "runs")


@st.cache_resource(show_spinner=False, max_entries=64)
def _recorded(trio_id: str) -> Run | None:
    """The recorded run of a trio; None where none fits these weights."""
    example = next(example for example in load_gallery() if example.id == trio_id)
    try:
        return run_sample(example.sample(), backend=_replay(), relevance=True)
    except MmvizError:
        return None


def _head(setup: Setup) -> DeltaGenerator:
    """The name of the page; the place in its corner, for progress and for how the gallery goes."""
    words = say("tagline") if setup.spec is None else say("tagline-own", model=setup.spec)
    if setup.url:
        words = say("tagline-and-backend", tagline=words, host=urlsplit(setup.url).netloc)
    now = keep.state()
    with st.container(horizontal=True, vertical_alignment="center", key="page-head"):
        st.html(f"<h1>{say('title')}</h1>", width="content")
        for page in keep.PAGES:
            st.button(
                say(f"page-{page}"), key=f"page-{page}", help=say(f"page-{page}-help"), type="tertiary",
                on_click=keep.turn_to, args=(page,),
            )  # fmt: skip
        widgets.here(f"page-{now.page}")
        st.html(f"<span class='tagline'>{html.escape(words)}</span>", width="content")
        corner = st.empty()
        with st.container(horizontal=True, gap=None, width="content", key="languages"):
            visitor.switch()
        return corner


def _gallery(examples: tuple[Example, ...], saved: Run | None) -> None:
    with st.container(horizontal=True, key="gallery", gap="small"):
        if saved is not None:
            hint = say("saved-help")
            st.button(say("saved"), key="saved", help=hint, width="stretch", on_click=keep.open_saved, args=(saved,))
        for example in examples:
            label = widgets.as_label(example.question)
            hint = widgets.as_label(translated(example.about))
            st.button(
                label, key=f"trio-{example.id}", help=hint, width="stretch", on_click=keep.choose, args=(example,)
            )
        st.button(say("own"), key="own", help=say("own-help"), width="stretch", on_click=keep.choose, args=(None,))


def _fallen_back(now: State) -> None:
    """Why the run was not made by the backend, and the way back to it."""
    why = [str(notice) for notice in now.run.record.notices if notice.code == CODE] if now.run else []
    if now.setup.url and why:
        with st.container(horizontal=True, vertical_alignment="center", key="fallen-back"):
            widgets.note(why[0], "remark")
            again = say("backend-again", host=urlsplit(now.setup.url).netloc)
            st.button(again, key="backend-again", help=say("backend-again-help"), on_click=_again, args=(now,))


def _again(now: State) -> None:
    """Make the run again, by the backend that failed before."""
    backend = _warmth(now.setup).backend()
    assert isinstance(backend, WithFallback)
    backend.remote.wake()
    now.asked = True


def _begin(now: State, draft: Draft) -> None:
    """Show the recorded run of a trio as it came; begin to make any other."""
    if (
        now.setup.spec is None
        and now.example is not None
        and draft.is_of(now.example)
        and now.control == "trained"
        and not now.ablated_heads
    ):
        recorded = _recorded(now.example.id)
        if recorded is not None:
            _show(now, recorded, draft)
            return
    warmth, model = _warmth(now.setup), now.setup.model
    changes = (*keep.CONTROLS[now.control], *now.ablated_heads)
    relevance = now.control != "evened"  # even attention has no gradient to be relevant by

    def make(progress: Progress, stop: Stop) -> Run:
        sample = _decoder().sample(_bytes(draft.image), draft.text, _bytes(draft.audio))
        return run_sample(sample, model=model, backend=warmth.backend(), changes=changes, relevance=relevance)

    now.job, now.job_of = Job(make), draft


def _wait(now: State, job: Job[Run], place: DeltaGenerator) -> None:
    """Wait for the run, saying so in ``place``; where it is refused, what was on the screen stays."""
    if not job.wait(QUICK):
        with place.container(horizontal=True, vertical_alignment="center", key="waiting"):
            st.button(say("stop"), key="stop", help=say("stop-help"), on_click=keep.stop)
            words = st.empty()
        waiting = True
        while waiting:
            code = "running" if _warmth(now.setup).warm else "loading"
            words.html(f"<div class='note' role='status'>{say(code, seconds=job.seconds)}</div>")
            waiting = not job.wait(0.5)
    place.empty()
    now.job = None
    if job.result is not None:
        _show(now, job.result, now.job_of)  # the form may hold something else by now
    elif isinstance(job.problem, MmvizError):
        now.refusal = job.problem
    else:
        now.refusal = Message("unexpected")


def _show(now: State, run: Run, draft: Draft) -> None:
    keep.accept(run, draft)
    if now.wanted:
        link.arrive(now, run)
