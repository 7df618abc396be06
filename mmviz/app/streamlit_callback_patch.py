"""Callbacks of widgets, and changes of a session, that the browser's next request does not interrupt.

Streamlit 1.67 stops a callback at any access to the session's state once another request is waiting, and drops a click
that is not obeyed yet where one comes just before. Of requests that come after the one that interrupts it keeps the
older values: a file that was uploaded meanwhile is lost.

Its browser side sends all changes of a moment in one request, and names the fragment of one of them in it. A file that
arrives while the viewer reports its selection is then in the session, and nowhere on the page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any

from streamlit.proto.WidgetStates_pb2 import WidgetStates
from streamlit.runtime.scriptrunner import RerunData, get_script_run_ctx
from streamlit.runtime.state import SafeSessionState, SessionState

_INTERRUPTS = "_yield_callback"
"""The attribute that holds what handles requests that wait."""


def keep_callbacks_whole() -> None:
    """Has requests wait until the callbacks of the one before are done. Does so once.

    Also has the whole page drawn where a request for a fragment brings a change of a widget outside it.

    Leaves a Streamlit whose state is built otherwise as it is.
    """
    original = getattr(SafeSessionState, "on_script_will_rerun", None)
    if original is None or hasattr(original, "__wrapped__") or _INTERRUPTS not in SafeSessionState.__annotations__:
        return

    @wraps(original)
    def run_callbacks(state: SafeSessionState, *args: Any, **kwargs: Any) -> None:
        with _held_back(state):
            original(state, *args, **kwargs)
        with suppress(AttributeError, TypeError):  # in a Streamlit that is built otherwise
            _draw_all(state._state, args[0] if args else None)

    SafeSessionState.on_script_will_rerun = run_callbacks  # type: ignore[assignment,method-assign]


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Has requests wait until what is inside is done, so that it changes the session entirely.

    Streamlit stops a script at any access to the session, also half-way through such a change. Draw nothing inside:
    there the script is stopped all the same.
    """
    context = get_script_run_ctx()
    if context is None or _INTERRUPTS not in SafeSessionState.__annotations__:
        yield
    else:
        with _held_back(context.session_state):
            yield


@contextmanager
def _held_back(state: SafeSessionState) -> Iterator[None]:
    interrupts = getattr(state, _INTERRUPTS)
    object.__setattr__(state, _INTERRUPTS, _wait)  # its own would set a value of the session
    try:
        yield
    finally:
        object.__setattr__(state, _INTERRUPTS, interrupts)


def _wait() -> None:
    pass


def _draw_all(state: SessionState, given: WidgetStates | None) -> None:
    """Requests a drawing of the whole page where the request for a fragment, which brought the values ``given``, has
    changed a widget outside it. Clicks that are read where the button is drawn are handed on to that drawing."""
    context = get_script_run_ctx()
    if context is None or context.script_requests is None or not context.fragment_ids_this_run:
        return
    if _changed_outside(state, context.fragment_ids_this_run):
        context.script_requests.request_rerun(
            RerunData(
                query_string=context.query_string, page_script_hash=context.page_script_hash,
                cached_message_hashes=context.cached_message_hashes, context_info=context.context_info,
                replay_trigger_states=state._filter_active_trigger_widget_states(given),
            )
        )  # fmt: skip


def _changed_outside(state: SessionState, fragments: Sequence[str]) -> bool:
    """Returns whether the request that ``state`` has just taken in changes a widget outside ``fragments``."""
    values = state._new_widget_state
    outside = [name for name, widget in values.widget_metadata.items() if widget.fragment_id not in fragments]
    return any(name in values and state._widget_changed(name) for name in outside)
