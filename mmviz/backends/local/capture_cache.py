"""A bounded cache of captures, from which views of long records are answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mmviz.backends import Progress
from mmviz.types import MmvizError, View
from mmviz.types.exact_attention import ExactAttention

MAX_BYTES = 4_000_000_000
MAX_AGE = 1_800.0
"""Seconds since the last view of an entry."""


class Retained(Protocol):
    """An entry of the cache."""

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the entry holds."""
        ...

    def view(self, view: View, passed: Progress | None = None) -> NDArray[np.float32]:
        """Returns a part of the attention; ``passed`` is called for each map that a flow has gone through."""
        ...

    def exact(self) -> ExactAttention:
        """Returns the tensors from which every view can be computed."""
        ...

    def exact_nbytes(self) -> int:
        """Returns the bytes of `exact`."""
        ...


class RetainedCaptures:
    """Keeps the most recently used entries, up to ``max_bytes`` in total. It is safe to use from several threads.

    The newest entry stays whatever its size. An entry that was not used for ``max_age`` seconds is dropped.
    """

    def __init__(
        self, max_bytes: int = MAX_BYTES, max_age: float = MAX_AGE, clock: Callable[[], float] = time.monotonic
    ):
        self._max_bytes, self._max_age, self._clock = max_bytes, max_age, clock
        self._entries: dict[str, tuple[Retained, int, float]] = {}
        self._lock = threading.Lock()

    def put(self, record_id: str, entry: Retained) -> None:
        """Adds an entry as the newest. Older entries are dropped where the cache would be too large."""
        with self._lock:
            self._entries[record_id] = (entry, entry.nbytes, self._clock())
            self._evict()

    def get(self, record_id: str) -> Retained:
        """Returns an entry and makes it the newest. Raises ``MmvizError`` (``view-gone``) where it was dropped."""
        with self._lock:
            self._evict()
            if record_id not in self._entries:
                raise MmvizError("view-gone")
            entry, size, _ = self._entries.pop(record_id)
            self._entries[record_id] = (entry, size, self._clock())
            return entry

    def drop(self, record_ids: Iterable[str]) -> None:
        """Drops some entries; those that are not kept are ignored. A view in progress still ends."""
        with self._lock:
            for record_id in record_ids:
                self._entries.pop(record_id, None)

    def clear(self) -> None:
        """Drops all entries."""
        with self._lock:
            self._entries.clear()

    def _evict(self) -> None:
        now = self._clock()
        self._entries = {
            name: (entry, size, used)
            for name, (entry, size, used) in self._entries.items()
            if now - used < self._max_age
        }
        while len(self._entries) > 1 and sum(size for _, size, _ in self._entries.values()) > self._max_bytes:
            del self._entries[next(iter(self._entries))]
