"""The linked viewer as a component of the page: the data that it is sent, and the events that it sends back."""

from __future__ import annotations

from pathlib import Path

from mmviz.app import session_state as session
from mmviz.app.components.background_rollout import flow_progress, request_flows
from mmviz.app.components.page_elements import run_script
from mmviz.app.components.viewer_code import mount_viewer, reported
from mmviz.app.selection import read_view, view_of
from mmviz.app.session_state import State
from mmviz.explain import Run
from mmviz.i18n.language import current_language
from mmviz.report.viewer_request_check import MAX_SECTIONS, has_section

KEY = "viewer"
PLACE = "viewer-place"
"""Key of the container with the viewer, and with what the page says of its selection."""
SCROLL_SCRIPT = Path(__file__).with_name("scroll_to_viewer.js")


def viewer(state: State, run: Run) -> None:
    """Draws the viewer of ``run``.

    It is sent what its first view needs, and names of the rest, which it requests once it is in use. The payload stays
    the same, byte for byte, until the page itself moves the selection, or the viewer requests sections, which are then
    sent alone.
    """
    assert state.viewer_data is not None and state.sent_selection is not None  # `show_run` has set both
    key = (run.record.id, state.serial, state.sent_selection, current_language())
    if state.payload_key != key:
        state.payload = state.viewer_data.first_part(view_of(state.sent_selection, run), state.serial)
        state.payload_key, state.requested_sections = key, ()
    are_sent = state.sections_sent
    if state.requested_sections and not are_sent:
        ready = request_flows(state, state.requested_sections)
        if ready:
            state.payload = state.viewer_data.encode_sections(ready, state.serial)
        are_sent = len(ready) == len(state.requested_sections)
    mount_viewer(KEY, state.payload, _update_view, _update_need)
    state.sections_sent = are_sent  # a script that is stopped before this line sends nothing
    flow_progress(state)


def scroll_to_viewer(state: State) -> None:
    """Scrolls the page to the viewer, once for each selection that `session_actions.show_in_viewer` made."""
    if state.scroll_serial == state.serial:
        run_script(f"{SCROLL_SCRIPT.read_text(encoding='utf-8')}mmvizScrollToViewer({state.serial});")


def static_viewer(key: str, data: bytes) -> None:
    """Draws a viewer that has everything it shows in ``data``, and whose selection the page does not follow."""
    mount_viewer(key, data, _ignore, _ignore)


def _ignore() -> None:
    pass


def _update_view() -> None:
    state = session.current_state()
    selection = read_view(reported(KEY, "view"), state.run, state.serial) if state.run else None
    if selection is not None:
        state.selection = selection


def _update_need() -> None:
    state, need = session.current_state(), reported(KEY, "need")
    if state.run is None or not isinstance(need, dict):
        return
    if need.get("run") != state.run.record.id:  # a viewer that was just mounted has no run yet
        state.payload_key = None
        state.sent_selection = state.selection
        return
    names = need.get("names")
    if not isinstance(names, list) or len(names) > MAX_SECTIONS:
        return
    if all(has_section(name, state.run) for name in names):
        unsent = () if state.sections_sent else state.requested_sections
        state.requested_sections = tuple(dict.fromkeys((*unsent, *names)))[-MAX_SECTIONS:]
        state.sections_sent = False
