"""The page from top to bottom: header, inputs, and the page that is open. Torch is loaded only when a run is made.

The open page is a parameter of the address (``?page=debug``), as the view and the language are. `st.navigation` would
put it into the path instead and drop the other parameters on each change of page, so the pages are a table here.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from urllib.parse import urlsplit

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mmviz.app import kept_draft, page_address, resources, run_links, session_actions, session_history, visitor_language
from mmviz.app import session_state as session
from mmviz.app.components import page_elements
from mmviz.app.components.model_picker import model_picker, model_title
from mmviz.app.components.page_keyboard import page_keyboard
from mmviz.app.login import is_admitted
from mmviz.app.model_loading import loading_status, start_loading
from mmviz.app.operator_config import OperatorConfig
from mmviz.app.pages.debug import debug_page
from mmviz.app.pages.explore.form import fold_form, input_form
from mmviz.app.pages.explore.gallery import form_source, gallery_style, mark_source, misanswered
from mmviz.app.pages.explore.input_doubts import input_doubts
from mmviz.app.pages.explore.page import explore_page
from mmviz.app.pages.learn import learn
from mmviz.app.run_launcher import fallback_note, start_run, wait_for_run
from mmviz.app.session_state import Page, State
from mmviz.app.streamlit_callback_patch import uninterrupted
from mmviz.backends import Backend
from mmviz.explain import Run
from mmviz.i18n.language import join_sentences
from mmviz.i18n.page import say
from mmviz.inputs.examples import load_gallery
from mmviz.present import Talk

PAGES: dict[Page, Callable[[Run, Callable[[], Backend], bool], None]] = {
    "explore": explore_page,
    "debug": debug_page,
    "learn": lambda run, backend, is_outdated: learn(run, backend),
}
"""The function that draws each page: of a run, on which backend, and whether the form has changed since the run."""


def draw_app(config: OperatorConfig) -> None:
    """Draws the page. What needs no model comes first, so that it appears at once."""
    visitor_language.settle_language()
    st.set_page_config(page_title=say("title"), layout="wide", initial_sidebar_state="collapsed")
    visitor_language.translate_streamlit()
    if not is_admitted(config.access):
        return
    state = session.current_state()
    state.config = config.with_model(state.model)
    examples = load_gallery()
    saved = resources.saved_runs(config)
    if saved and not state.saved_run_shown:
        _open_saved(state, config, saved[0])
    page_address.follow_address(state, examples)
    start_loading(state)
    wrong = misanswered(examples) if state.config.spec is None else None
    gallery_style(examples, wrong or [])
    corner = _header(state)
    with st.container(key="model-progress-place"):  # there in every drawing, so that nothing below moves
        if state.model_job is not None:
            loading_status()
    folded = st.expander(say("learn-inputs"), key="learn-inputs") if state.page == "learn" else st.container()
    with folded, st.container(key="page-inputs"):
        draft = input_form(state, examples, wrong, saved)
        input_doubts(state, draft)
    source = form_source(state, draft, saved)
    mark_source(source)
    page_keyboard(state.page, source)
    if state.run_requested:
        state.run_requested = False
        start_run(state, draft)
    if state.job:
        wait_for_run(state, state.job, st.empty() if state.run is None else corner)
    fold_form(state, draft)
    with st.container():  # keeps the place of what follows, so that Streamlit does not mount the viewer anew
        _messages(state)
        fallback_note(state)
    kept_draft.keep_inputs(state, draft)
    run_links.remember_visitor(state)
    if state.run is None:
        page_elements.note(say("nothing-yet", examples=say("panel-examples")))
    else:
        is_outdated = draft != state.run_draft
        with st.container(key="of-old-run" if is_outdated and state.page != "learn" else "of-run"):
            PAGES[state.page](state.run, resources.warm_backend(state.run_config).backend, is_outdated)
    if state.model_job is None:  # else the model that is being loaded has the processor for itself
        resources.warm_backend(state.config).start()
    state.form_values = {}  # all is drawn, so the browser has them


@uninterrupted()
def _open_saved(state: State, config: OperatorConfig, run: Run) -> None:
    """Shows the first run of the file that the operator named, with the talk where it is one."""
    session_actions.show_saved_run(run)
    saved = None if config.saved is None else resources.saved_file(config.saved)
    if isinstance(saved, Talk):
        session_history.open_talk(saved)
    params = page_address.address_params()
    state.address = None if "run" in params else params


def _header(state: State) -> DeltaGenerator:
    """Draws title, pages and languages. Returns the place for the progress of a run."""
    config = state.config
    tagline = say("tagline") if config.spec is None else say("tagline-own", model=model_title(config.spec))
    if config.url:
        tagline = say("tagline-and-backend", tagline=tagline, host=urlsplit(config.url).netloc)
    with st.container(horizontal=True, vertical_alignment="center", key="page-head"):
        st.html(f"<h1>{say('title')}</h1>", width="content")
        for page in PAGES:
            st.button(
                say(f"page-{page}"), key=f"page-{page}", help=say(f"page-{page}-help"), type="tertiary",
                on_click=session_actions.open_page, args=(page,),
            )  # fmt: skip
        page_elements.mark_current(f"page-{state.page}")
        model_picker(state)
        st.html(f"<span class='tagline'>{html.escape(tagline)}</span>", width="content")
        corner = st.empty()
        with st.container(horizontal=True, gap=None, width="content", key="languages"):
            visitor_language.language_switch()
        return corner


def _messages(state: State) -> None:
    """Draws why the last run failed, and what of a link could not be followed."""
    for text, kind in ((str(state.error), "error"), (join_sentences(map(str, state.link_messages)), "remark")):
        if text:
            page_elements.note(text, kind)
