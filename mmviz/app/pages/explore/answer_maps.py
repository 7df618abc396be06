"""The two maps of the first view: what the answer token reads from, and what the answer depends on."""

from __future__ import annotations

import streamlit as st

from mmviz.analysis.answer_maps import KINDS
from mmviz.app.components import widgets
from mmviz.app.session_state import State
from mmviz.explain import Run
from mmviz.i18n.language import current_language
from mmviz.report.answer_maps import map_card


def answer_maps(state: State, run: Run) -> None:
    """Draws both maps side by side, whatever is selected in the viewer."""
    dark, language = widgets.is_dark(), current_language()
    for kind, column in zip(KINDS, st.columns(2, gap="medium"), strict=True):
        key = run.record.id, kind, dark, language
        if key not in state.answer_maps:
            state.answer_maps[key] = map_card(run, kind, dark)
        with column, st.container(border=True, key=kind.replace("_", "-")):
            st.html(state.answer_maps[key])
