"""Inputs of the visitor's own that were not run yet: kept in memory for a while, so that a reload has them in the form.

They are kept under a random id, which stands in the address of the tab. The same browser alone opens them: its cookie
must name the visitor who gave them, so that a link which is passed on does not hold them.
"""

from __future__ import annotations

from dataclasses import replace

from mmviz.app import change_links, resources, run_links, session_actions
from mmviz.app.draft import EMPTY, Draft
from mmviz.app.kept_runs import KeptInputs
from mmviz.app.session_state import State
from mmviz.types import InputError

NAME = "inputs"
"""The parameter of the address."""


def keep_inputs(state: State, draft: Draft) -> None:
    """Keeps what stands in the form where no run on the screen was made of it and no example has it; else drops it.

    A file that was refused is not kept.
    """
    store = resources.kept_inputs()
    image, audio = (None if isinstance(source, InputError) else source for source in (draft.image, draft.audio))
    draft = replace(draft, image=image, audio=audio)
    if draft in (state.run_draft, EMPTY) or draft.is_of(state.example):
        if state.inputs_id:
            store.forget(state.inputs_id, "")
            state.inputs_id = ""
        return
    kept = store.get(state.inputs_id) if state.inputs_id else None  # its time begins anew
    if kept is None or kept.draft != draft or kept.example != state.example:
        run_links.name_visitor(state)
        state.inputs_id = store.add(KeptInputs(draft, state.example, state.visitor), state.inputs_id)


def is_of_visitor(state: State, inputs_id: str) -> bool:
    """Returns whether inputs are kept under ``inputs_id`` that this visitor gave."""
    kept = resources.kept_inputs().get(inputs_id)
    return kept is not None and kept.visitor == run_links.visitor(state)


def open_inputs(state: State, inputs_id: str) -> bool:
    """Puts the inputs that are kept under ``inputs_id`` into the form. Returns whether there are any of this visitor's.

    Changes to the runs to come stay, also those of a link; what it selects belongs to another run.
    """
    kept = resources.kept_inputs().get(inputs_id)
    if kept is None or not is_of_visitor(state, inputs_id):
        return False
    changes = state.control, state.ablated_heads, state.cut_routes
    link_params = {name: text for name, text in state.link_params.items() if name in change_links.IN_RUN}
    session_actions.fill_form(kept.draft, kept.example)
    state.control, state.ablated_heads, state.cut_routes = changes
    state.link_params = link_params
    state.inputs_id, state.visitor = inputs_id, kept.visitor
    return True
