"""What a session knows of widgets that are no longer drawn: Streamlit keeps it until the visitor leaves.

Streamlit 1.67 forgets the value of such a widget, but not its callback with all arguments, nor the function that
formats its options: the record of every run that was on the screen would stay in memory, also once it was deleted.
"""

from __future__ import annotations

from functools import wraps

from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.state import SessionState, session_state


def forget_undrawn_widgets() -> None:
    """Has a session forget a widget with its value, so that a late click on it does nothing. Does so once.

    Leaves a Streamlit whose state is built otherwise as it is.
    """
    original = getattr(SessionState, "_remove_stale_widgets", None)
    is_stale = getattr(session_state, "_is_stale_widget", None)
    if original is None or is_stale is None or hasattr(original, "__wrapped__"):
        return

    @wraps(original)
    def remove(state: SessionState, active_widget_ids: frozenset[str]) -> None:
        original(state, active_widget_ids)
        context = get_script_run_ctx()
        if context is None:
            return
        drawn, fragments = state._new_widget_state, context.fragment_ids_this_run
        drawn.widget_metadata = {
            name: widget
            for name, widget in drawn.widget_metadata.items()
            if not is_stale(widget, active_widget_ids, fragments)
        }

    SessionState._remove_stale_widgets = remove  # type: ignore[assignment,method-assign]
