"""What is kept of runs so that views of their parts can be answered: bounded, and gone after a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mmviz.types import MmvizError, View

BYTES = 4_000_000_000
SECONDS = 1_800.0


class Retained(Protocol):
    """What a shelf keeps."""

    @property
    def nbytes(self) -> int: ...
    def view(self, view: View) -> NDArray[np.float32]: ...


class RecordCache:
    """The newest runs, as many as fit into ``limit`` bytes (the newest always), each until nobody has looked at it for
    ``seconds``."""

    def __init__(self, limit: int = BYTES, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic):
        self._limit, self._seconds, self._clock = limit, seconds, clock
        self._kept: dict[str, tuple[Retained, int, float]] = {}
        self._lock = threading.Lock()

    def put(self, record_id: str, kept: Retained) -> None:
        """Keep a run; older ones make room for it."""
        with self._lock:
            self._kept[record_id] = (kept, kept.nbytes, self._clock())
            self._tidy()

    def get(self, record_id: str) -> Retained:
        """A run that is still kept, as the newest from now on. Raises ``MmvizError`` (``view-gone``)."""
        with self._lock:
            self._tidy()
            if record_id not in self._kept:
                raise MmvizError("view-gone")
            kept, size, _ = self._kept.pop(record_id)
            self._kept[record_id] = (kept, size, self._clock())
            return kept

    def clear(self) -> None:
        """Keep nothing any more."""
        with self._lock:
            self._kept.clear()

    def _tidy(self) -> None:
        now = self._clock()
        self._kept = {name: entry for name, entry in self._kept.items() if now - entry[2] < self._seconds}
        while len(self._kept) > 1 and sum(size for _, size, _ in self._kept.values()) > self._limit:
            del self._kept[next(iter(self._kept))]
