"""Runs made beside the page: it goes on drawing, shows how long they take, and can stop waiting. No Streamlit."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from mmviz.backends import Backend
from mmviz.explain import Run
from mmviz.types import MmvizError

_log = logging.getLogger(__name__)


class Job:
    """One run being made in a thread of its own. ``run`` or ``problem`` is there once `wait` is true.

    ``problem``: the refusal; for anything unforeseen a bare ``Exception``, since its words might hold what was sent.
    """

    def __init__(self, make: Callable[[], Run]):
        self.run: Run | None = None
        self.problem: Exception | None = None
        self.started = time.monotonic()
        self._make = make
        self._done, self._stopped = threading.Event(), threading.Event()
        threading.Thread(target=self._work, daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Whether it is done, after at most ``seconds``."""
        return self._done.wait(seconds)

    def stop(self) -> None:
        """Nobody wants the result any more: a run that has not begun will not, one that has is thrown away."""
        self._stopped.set()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self.started

    def _work(self) -> None:
        try:
            if not self._stopped.is_set():
                self.run = self._make()
        except MmvizError as refusal:
            self.problem = refusal
        except Exception as problem:
            _log.error("a run failed: %s", type(problem).__name__)
            self.problem = Exception()
        self._done.set()


class Warmth:
    """A backend made, and run once, in the background, so that the first visitor's run is as quick as the rest."""

    def __init__(self, make: Callable[[], Backend], once: Callable[[Backend], object]):
        self._make, self._once = make, once
        self._backend: Backend | None = None
        self._lock = threading.Lock()
        self._started = False
        self.warm = False

    def backend(self) -> Backend:
        """The backend, made now if it has not been yet."""
        with self._lock:
            if self._backend is None:
                self._backend = self._make()
            return self._backend

    def start(self) -> None:
        """Begin to warm up, once."""
        with self._lock:
            if self._started:
                return
            self._started = True
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        try:
            self._once(self.backend())
            self.warm = True
        except Exception as problem:  # whoever runs it next is told why
            _log.error("the warm-up failed: %s", type(problem).__name__)
