"""Callbacks of widgets that the browser's next request does not interrupt.

Streamlit 1.67 stops a callback at any access to the session's state once another request is waiting, and drops a click
that is not obeyed yet where one comes just before. Of requests that come after the one that interrupts it keeps the
older values: a file that was uploaded meanwhile is lost.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from streamlit.runtime.state import SafeSessionState

_INTERRUPTS = "_yield_callback"
"""The attribute that holds what handles requests that wait."""


def keep_callbacks_whole() -> None:
    """Has requests wait until the callbacks of the one before are done. Does so once.

    Leaves a Streamlit whose state is built otherwise as it is.
    """
    original = SafeSessionState.on_script_will_rerun
    if hasattr(original, "__wrapped__") or _INTERRUPTS not in SafeSessionState.__annotations__:
        return

    @wraps(original)
    def run_callbacks(state: SafeSessionState, *args: Any, **kwargs: Any) -> None:
        interrupts = getattr(state, _INTERRUPTS)
        object.__setattr__(state, _INTERRUPTS, _wait)  # its own would set a value of the session
        try:
            original(state, *args, **kwargs)
        finally:
            object.__setattr__(state, _INTERRUPTS, interrupts)

    SafeSessionState.on_script_will_rerun = run_callbacks  # type: ignore[assignment,method-assign]


def _wait() -> None:
    pass
