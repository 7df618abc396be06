"""A circuit breaker: calls to a backend that fails again and again are refused for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from mmviz.types import MmvizError

FAILURES = 3
"""The number of failed calls in a row that opens the circuit breaker."""
REST = 15.0
"""Seconds for which the circuit breaker stays open."""


class CircuitBreaker:
    """Refuses calls for `REST` seconds after `FAILURES` calls in a row failed; then it lets a single call through."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._failures, self._open_until = 0, 0.0
        self._lock = threading.Lock()

    def check(self, host: str) -> None:
        """Raises ``MmvizError`` (``backend-resting``) while the breaker is open."""
        with self._lock:
            remaining = self._open_until - self._clock()
            if remaining > 0:
                raise MmvizError("backend-resting", host=host, count=self._failures, seconds=remaining)
            if self._failures >= FAILURES:
                self._open_until = self._clock() + REST  # other calls wait for the result of this one

    def note(self, succeeded: bool) -> None:
        """Counts the outcome of a call. A success closes the breaker."""
        with self._lock:
            self._failures = 0 if succeeded else self._failures + 1
            self._open_until = self._clock() + REST if self._failures >= FAILURES else 0.0
