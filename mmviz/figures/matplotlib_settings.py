"""Matplotlib's default settings while a figure is drawn, so that no figure depends on the settings of the caller."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from matplotlib import style

_DRAWING = threading.RLock()
"""Matplotlib's settings are those of the whole process: without a lock, a second thread would take the defaults for
the caller's settings, and leave them behind."""


@contextmanager
def default_settings() -> Iterator[None]:
    """Sets Matplotlib's settings to its defaults, and puts the caller's back at the end. One thread at a time."""
    with _DRAWING, style.context("default"):
        yield
