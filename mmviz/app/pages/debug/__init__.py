"""The page Debug: what the answer depends on, measured, beside what attention shows. Each section has a file."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from mmviz.app import page_address, session_actions
from mmviz.app import session_state as session
from mmviz.app.components import page_elements
from mmviz.app.experiment_runner import ExperimentRunner
from mmviz.app.pages.debug.audit import audit_section
from mmviz.app.pages.debug.compare import compare_section
from mmviz.app.pages.debug.faithfulness import faithfulness_section
from mmviz.app.pages.debug.heads import heads_section
from mmviz.app.pages.debug.lens import lens_section
from mmviz.app.pages.debug.modality_effect import effect_section
from mmviz.app.pages.debug.routes import routes_section
from mmviz.app.pages.explore.answer_and_notices import results
from mmviz.app.session_state import Section
from mmviz.backends import Backend
from mmviz.explain import Run
from mmviz.i18n.page import say
from mmviz.types import MmvizError
from mmviz.types.best_answer import best_answer

SECTIONS: dict[Section, Callable[[ExperimentRunner], None]] = {
    "effect": effect_section,
    "routes": routes_section,
    "heads": heads_section,
    "lens": lens_section,
    "faithfulness": faithfulness_section,
    "compare": compare_section,
    "audit": audit_section,
}
"""The function that draws each section."""
_OF_ATTENTION: tuple[Section, ...] = ("compare", "audit")
"""The sections that say something of a model without answers too."""


@st.fragment
def debug_page(run: Run, backend: Callable[[], Backend], is_outdated: bool) -> None:
    """Draws the answer and the open section.

    ``backend`` returns the backend on which variants of ``run`` are made; ``is_outdated``: the form has changed since.
    """
    state = session.fragment_state(run)
    assert state.selection is not None  # there is one with every run
    results(run, is_outdated)
    with st.container(horizontal=True, key="sections", gap="small"):
        for section in SECTIONS:
            label, hint = say(f"section-{section}"), say(f"section-{section}-help")
            st.button(
                label, key=f"section-{section}", help=hint, type="tertiary",
                on_click=session_actions.open_section, args=(section,),
            )  # fmt: skip
    page_elements.mark_current(f"section-{state.section}")
    try:
        runner = ExperimentRunner(state, run, run.rerun_request(), backend)
        if state.section not in _OF_ATTENTION:
            best_answer(run.record)
    except MmvizError as error:
        page_elements.note(str(error), "error")
    else:
        SECTIONS[state.section](runner)
    page_address.write_address(state, state.selection)  # what is cut in a section is known only now
