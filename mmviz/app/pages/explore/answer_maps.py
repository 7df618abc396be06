"""The row of the first screen: what the answer token reads from, what the answer depends on, and a card beside them."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mmviz.analysis.answer_maps import KINDS
from mmviz.app.components import page_elements
from mmviz.app.session_state import State
from mmviz.explain import Run
from mmviz.i18n.language import current_language
from mmviz.report.answer_maps import map_card


def answer_maps(state: State, run: Run) -> DeltaGenerator:
    """Draws both maps side by side, whatever is selected in the viewer. Returns the place of a card beside them."""
    dark, language = page_elements.is_dark(), current_language()
    with st.container(horizontal=True, gap="small", key="first-maps"):
        for kind in KINDS:
            key = run.record.id, kind, dark, language
            if key not in state.answer_maps:
                state.answer_maps[key] = map_card(run, kind, dark, is_compact=True)
            with st.container(border=True, key=kind.replace("_", "-")):
                st.html(state.answer_maps[key])
        return st.container(border=True, key="effect-beside")
