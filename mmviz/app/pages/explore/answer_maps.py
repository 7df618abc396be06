"""The two maps of the first view: what the answer token reads from, and what the answer depends on."""

from __future__ import annotations

import streamlit as st

from mmviz.analysis.answer_maps import KINDS
from mmviz.app.components import widgets
from mmviz.explain import Run
from mmviz.report.answer_maps import answer_map_card


def answer_maps(run: Run) -> None:
    """Draws both maps side by side, whatever is selected in the viewer."""
    for kind, column in zip(KINDS, st.columns(2, gap="medium"), strict=True):
        with column, st.container(border=True, key=kind.replace("_", "-")):
            st.html(answer_map_card(run, kind, widgets.is_dark()))
