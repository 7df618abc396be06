"""Silence for what a C library writes to stderr by itself, about files that it reads nevertheless."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_STDERR = 2
_lock = threading.Lock()


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Sends what is written to the file descriptor of stderr nowhere. It belongs to the process: one block at a time.

    Without a stderr nothing changes.
    """
    with _lock:
        try:
            kept = os.dup(_STDERR)
        except OSError:
            yield
            return
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, _STDERR)
            os.close(nowhere)
            yield
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)
