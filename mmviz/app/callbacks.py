"""Callbacks of widgets that are completed although the browser asks for another run of the script meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from streamlit.runtime.scriptrunner import RerunException

_P = ParamSpec("_P")


def completed(callback: Callable[_P, None]) -> Callable[_P, None]:
    """Returns a callback that begins again when it is interrupted, so that no click is lost or half obeyed.

    Streamlit stops a callback at any access to the session's state once another request is waiting, and goes on with
    that one. The request is taken when it interrupts, so that the second try is not interrupted by it.
    """

    @wraps(callback)
    def complete(*args: _P.args, **kwargs: _P.kwargs) -> None:
        interruption: RerunException | None = None
        while True:
            try:
                callback(*args, **kwargs)
                break
            except RerunException as request:
                interruption = request
        if interruption is not None:
            raise interruption

    return complete
