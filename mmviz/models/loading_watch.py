"""Who watches while a model is loaded: told how far it is, and able to stop it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from mmviz.types import MmvizError, Notice


@dataclass(frozen=True)
class LoadingWatch:
    """What is called while a model is loaded."""

    report: Callable[[Notice], None]
    """Receives a notice when a stage begins, such as the download."""
    progress: Callable[[int, int], None]
    """Receives how much of the stage is done, and of how much: bytes of a download, then tensors."""
    stop: Callable[[], bool]
    """Returns whether to stop."""


_watch: ContextVar[LoadingWatch | None] = ContextVar("mmviz-loading-watch", default=None)
_turn = threading.Lock()
WAIT = 0.2
"""Seconds between two looks at whether to stop, while another model is loaded."""


@contextmanager
def watch_loading(watch: LoadingWatch) -> Iterator[None]:
    """Has ``watch`` called about the models that this thread loads meanwhile."""
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)


def loading_watch() -> LoadingWatch | None:
    """Returns who watches the models that this thread loads; None where nobody does."""
    return _watch.get()


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Waits while another thread loads a model, so that the check of free memory sees what that one takes.

    Raises ``MmvizError`` (``loading-stopped``) where it is stopped meanwhile.
    """
    while not _turn.acquire(timeout=WAIT):
        check_stop()
    try:
        yield
    finally:
        _turn.release()


def check_stop() -> None:
    """Raises ``MmvizError`` (``loading-stopped``) where who watches wants the loading to stop."""
    watch = loading_watch()
    if watch is not None and watch.stop():
        raise MmvizError("loading-stopped")
