"""The page Explore below the form: the answer, the linked viewer, and what belongs to its selection."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from mmviz.app import page_address, session_actions
from mmviz.app import session_state as session
from mmviz.app.components import page_elements
from mmviz.app.components.viewer import PLACE, scroll_to_viewer, viewer
from mmviz.app.pages.explore.answer_and_notices import results
from mmviz.app.pages.explore.answer_maps import answer_maps
from mmviz.app.pages.explore.answer_words import answer_words
from mmviz.app.pages.explore.dual_encoder_similarity import similarity_section
from mmviz.app.pages.explore.effect_card import effect_card
from mmviz.app.pages.explore.footer import footer
from mmviz.app.pages.explore.history import history
from mmviz.app.pages.explore.method_cards import method_cards
from mmviz.app.pages.explore.prompt_settings import prompt_settings
from mmviz.app.pages.explore.story import can_trace, shown_effect, story_strip, told_story
from mmviz.app.pages.explore.stream_name_form import stream_names
from mmviz.app.pages.explore.talk import talk_editor
from mmviz.app.selection_amounts import SelectionView
from mmviz.backends import Backend
from mmviz.explain import Run
from mmviz.i18n.language import join_sentences


def explore_page(run: Run, backend: Callable[[], Backend], is_outdated: bool) -> None:
    """Draws everything about ``run``; ``is_outdated``: the form has changed since."""
    state = session.current_state()
    state.sent_selection = state.selection  # a viewer that is mounted anew opens where the visitor was
    _run_view(run, backend, is_outdated)


@st.fragment
def _run_view(run: Run, backend: Callable[[], Backend], is_outdated: bool) -> None:
    """Draws the part of the page that follows the selection; a change of view redraws nothing else."""
    state = session.fragment_state(run)
    assert state.selection is not None  # there is one with every run
    if state.selection.map_ref.layer is None and run.record.is_long and not run.is_exact:  # it is no longer kept
        session_actions.set_method(run.map_ref)
    view = SelectionView(run, state.selection)
    page_address.write_address(state, view.selection)
    with st.container():
        results(run, is_outdated)
    beside = answer_maps(state, run)
    story_strip(state, run, backend, is_outdated)
    with beside:  # now that a click on the story's button may have measured it
        record = run.record
        effect_card(run, shown_effect(state, record), can_trace(run, state), told_story(state, record))
    with st.container(key=PLACE):
        with st.container():
            if state.opened_head is not None and state.opened_head[0] == state.selection:
                page_elements.note(str(state.opened_head[1]), "remark")
        viewer(state, run)
    scroll_to_viewer(state)
    remarks = [text for text in (view.spread_text, view.sinks_text) if text]
    if remarks:
        page_elements.note(join_sentences(remarks))
    answer_words(state, run, backend, is_outdated)
    method_cards(view)
    similarity_section(run)
    prompt_settings(run.record, state.is_saved)
    if state.run_config.spec is not None and not state.is_saved:
        stream_names(run.record)
    history(state)
    talk_editor(view)
    footer(view)
