"""What changes the state of a visitor's session: the page that is open, the form, the run, and what is selected."""

from __future__ import annotations

import time
from pathlib import Path

import streamlit as st

from mmviz.app import change_links
from mmviz.app.draft import EMPTY, Draft
from mmviz.app.records_to_release import end_experiments
from mmviz.app.selection import Selection, initial_selection, with_map
from mmviz.app.session_state import (
    KEY,
    QUESTION,
    USE_AUDIO,
    USE_IMAGE,
    LessonId,
    Page,
    Section,
    State,
    current_state,
)  # fmt: skip
from mmviz.app.uploaded_files import drop_files_of
from mmviz.explain import Run
from mmviz.i18n.page import Message
from mmviz.inputs.examples import Example
from mmviz.report import ViewerData
from mmviz.types import MapRef

INPUTS = {"image": USE_IMAGE, "audio": USE_AUDIO}
"""The files of the form, by modality, and the keys of the checkboxes that say whether they are used."""
SENT_AFTER = 0.5
"""Seconds after which the browser has what was drawn: Streamlit sends every 10 ms."""


def choose_example(example: Example | None) -> None:
    """Puts an example into the form and requests its run; None empties the form."""
    state = current_state()
    fill_form(Draft(example.image, example.question, example.audio) if example else EMPTY, example)
    if example is None:  # what is added to an empty form is used
        _set_values({USE_IMAGE: True, USE_AUDIO: True})
    state.run_requested, state.open_panel = example is not None, "" if example else "own"


def fill_form(draft: Draft, example: Example | None) -> None:
    """Begins a new form with the contents of ``draft``, some of which may come from ``example``."""
    state = current_state()
    _drop_job(state)
    drop_files_of(*(widget for modality in INPUTS for widget in _widgets(state, modality)))
    state.input_signs = {
        modality: known for modality, known in state.input_signs.items() if known[0] == getattr(draft, modality)
    }
    state.example, state.form_start = example, draft
    state.form_number += 1
    state.latest_widget = {}
    state.set_aside = set()
    if any(_is_own_input(state, modality) for modality in INPUTS):  # what stands beside it was ticked by the visitor
        state.set_aside = {modality for modality in INPUTS if not _is_own_input(state, modality)}
    state.checked_uploads = {}
    state.run_requested = False
    state.link_messages, state.link_params = (), {}
    state.control, state.ablated_heads, state.cut_routes = "trained", (), ()
    _set_values({QUESTION: draft.text, USE_IMAGE: draft.image is not None, USE_AUDIO: draft.audio is not None})


def reset_state() -> None:
    """Drops the run, its experiments and the contents of the form; the page that is open stays."""
    state = current_state()
    end_experiments(state)
    if state.flow_job is not None:
        state.flow_job.stop()
    choose_example(None)
    st.session_state[KEY] = State(
        page=state.page, section=state.section, lesson=state.lesson, answered_lessons=state.answered_lessons,
        lesson_params=state.lesson_params, lesson_serial=state.lesson_serial, slide=state.slide,
        training_job=state.training_job, model_requested=state.model_requested, model_job=state.model_job,
        model_loading=state.model_loading,
        config=state.config, model=state.model, saved_run_shown=state.saved_run_shown, form_number=state.form_number,
        serial=state.serial, visitor=state.visitor,
    )  # fmt: skip


def show_saved_run(run: Run) -> None:
    """Shows a run that was read from a file, with an empty form."""
    state = current_state()
    choose_example(None)
    show_run(run, EMPTY)
    state.is_saved = state.saved_run_shown = True


def request_run() -> None:
    """Requests a run of the form's contents."""
    state = current_state()
    _drop_job(state)
    state.run_requested = True
    state.link_messages = ()


def submit_text(text: str) -> None:
    """Puts ``text`` into the form and requests a run."""
    _set_values({QUESTION: text})
    request_run()


def update_input(modality: str, widget: str) -> None:
    """Called when a file, a photo or a recording was added to ``widget`` or removed from it."""
    state = current_state()
    if widget not in _widgets(state, modality):  # of a form that another has replaced
        return
    state.error, state.open_panel = "", "own"
    if st.session_state[widget] not in (None, []):
        state.latest_widget[modality] = widget
        st.session_state[INPUTS[modality]] = True
        state.set_aside.discard(modality)
    elif state.latest_widget.get(modality) == widget:
        del state.latest_widget[modality]
    _set_example_aside(state)


def _set_example_aside(state: State) -> None:
    """Unticks the example's other input once the visitor gave one of their own, and ticks it when theirs is gone.

    What was unticked once is not unticked again, so that the visitor may use it with theirs.
    """
    own = {modality for modality in INPUTS if _is_own_input(state, modality)}
    if not own:
        for modality in state.set_aside:
            st.session_state[INPUTS[modality]] = True
        state.set_aside = set()
        return
    for modality in INPUTS.keys() - own - state.set_aside:
        if getattr(state.form_start, modality) is not None and st.session_state[INPUTS[modality]]:
            st.session_state[INPUTS[modality]] = False
            state.set_aside.add(modality)


def _is_own_input(state: State, modality: str) -> bool:
    """Returns whether the input in the form, ticked or not, is the visitor's; of what is not ``Path`` they gave it."""
    if any(st.session_state.get(widget) not in (None, []) for widget in _widgets(state, modality)):
        return True
    return not isinstance(getattr(state.form_start, modality), Path | None)


def _widgets(state: State, modality: str) -> tuple[str, str]:
    """Returns the keys of the uploader of the form, and of its camera or microphone."""
    return f"{modality}-{state.form_number}", f"{modality}-live-{state.form_number}"


def open_page(page: Page) -> None:
    """Opens another page, with the same run."""
    current_state().page = page


def open_section(section: Section) -> None:
    """Opens another section of the page Debug."""
    current_state().section = section


def open_lesson(lesson: LessonId) -> None:
    """Opens another lesson at its beginning."""
    state = current_state()
    state.lesson, state.lesson_params, state.unknown_params = lesson, {}, set()
    state.lesson_serial += 1


def open_slide(lesson: LessonId, slide: int | None) -> None:
    """Shows a slide of a lesson, counted from 1; None leaves the presentation."""
    state = current_state()
    if lesson != state.lesson:
        open_lesson(lesson)
    state.slide = slide


def show_run(run: Run, draft: Draft) -> None:
    """Puts ``run``, made from ``draft``, on the screen, with its answer token selected."""
    state = current_state()
    end_experiments(state)
    state.traces = {}
    if state.flow_job is not None:
        state.flow_job.stop()
    state.flow_job, state.flow_error = None, ""
    state.run, state.run_draft, state.error, state.is_saved, state.run_id = run, draft, "", False, ""
    state.run_example = state.example if draft.is_of(state.example) else None
    state.viewer_data, state.answer_maps = ViewerData(run), {}
    state.route_cuts, state.open_panel = (), ""
    state.edge_head, state.is_edge_opening, state.opened_head = None, False, None
    set_selection(initial_selection(state.selection, run))


def set_selection(selection: Selection) -> None:
    """Selects something else from the page's side; the viewer is sent the selection."""
    state = current_state()
    state.selection = state.sent_selection = selection
    state.serial += 1


def show_in_viewer(selection: Selection) -> None:
    """Selects something else from the page's side, and scrolls the page Explore to the viewer that shows it."""
    set_selection(selection)
    state = current_state()
    state.scroll_serial = state.serial


def set_method(map_ref: MapRef) -> None:
    """Selects another map or method, for the same tokens where it has them."""
    state = current_state()
    if state.selection is not None and state.run is not None:
        set_selection(with_map(state.selection, state.run, map_ref, state.selection.direction))


def stop_run() -> None:
    """Stops waiting for the run in progress; the screen keeps what it shows, and what was changed goes with the run."""
    state = current_state()
    _drop_job(state)
    give_up_run(state)
    state.error = Message("stopped" if state.run else "stopped-first")


def give_up_run(state: State) -> None:
    """Drops what a run that was not made would have shown, and changes the runs to come as the run on the screen is.

    They stay as they are where that run is of another model.
    """
    state.link_params = {}
    if state.run is not None and state.run_config == state.config:
        change_links.changes_of(state.run).apply(state)


def _set_values(values: dict[str, str | bool]) -> None:
    """Sets widgets of the form. See `restore_values` for a script that is stopped before the browser has them."""
    state = current_state()
    for key, value in values.items():
        shown = st.session_state.get(key, value)
        state.form_values[key] = (*state.form_values.get(key, ()), shown, value)
        st.session_state[key] = value
    state.form_drawn_at = None


def restore_values() -> None:
    """Sets widgets of the form again whose values the browser may not have yet, to be called before they are drawn.

    Streamlit sends a value once, and drops it if the script is interrupted before that; what interrupts it has the
    values from before. What the visitor has entered since then stays.
    """
    state = current_state()
    for key, values in _unsent_values(state).items():
        if st.session_state.get(key, values[-1]) in values:
            st.session_state[key] = values[-1]
    if state.form_drawn_at is None:
        state.form_drawn_at = time.monotonic()


def _unsent_values(state: State) -> dict[str, tuple[str | bool, ...]]:
    if state.form_drawn_at is not None and time.monotonic() - state.form_drawn_at > SENT_AFTER:
        state.form_values = {}
    return state.form_values


def enter_question() -> None:
    """Called when the question has changed: requests a run, unless it is what the page has just replaced."""
    if st.session_state[QUESTION] not in _unsent_values(current_state()).get(QUESTION, ()):
        request_run()


def _drop_job(state: State) -> None:
    if state.job is not None:
        state.job.stop()
        state.job = None
