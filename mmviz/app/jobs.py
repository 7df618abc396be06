"""Runs made beside the page: it goes on drawing, shows how long they take, and can stop waiting. No Streamlit."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from mmviz.backends import Backend, Progress, Stop
from mmviz.i18n.language import current, speaking
from mmviz.types import MmvizError

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Job(Generic[T]):
    """Something worked out in a thread of its own. ``result`` or ``problem`` is there once `wait` is true.

    ``make`` is given what it is to tell its progress, and what it is to ask whether to stop; ``done`` of ``of``: how
    far it is (0 of 0 where it does not say). ``problem``: the refusal; for anything unforeseen a bare ``Exception``,
    since its words might hold what was sent.
    """

    def __init__(self, make: Callable[[Progress, Stop], T]):
        self.result: T | None = None
        self.problem: Exception | None = None
        self.done, self.of = 0, 0
        self.started = time.monotonic()
        self._make, self._language = make, current()
        self._done, self._stopped = threading.Event(), threading.Event()
        threading.Thread(target=self._work, daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Whether it is done, after at most ``seconds``."""
        return self._done.wait(seconds)

    def stop(self) -> None:
        """Nobody wants more of it: what has not begun will not, a run that has is thrown away."""
        self._stopped.set()

    @property
    def is_stopped(self) -> bool:
        """Whether it was told to stop."""
        return self._stopped.is_set()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self.started

    def _tell(self, done: int, of: int) -> None:
        self.done, self.of = done, of

    def _work(self) -> None:
        try:
            if not self._stopped.is_set():
                with speaking(self._language):  # nobody else's, in a thread without a visitor
                    self.result = self._make(self._tell, self._stopped.is_set)
        except MmvizError as refusal:
            self.problem = refusal
        except Exception as problem:
            _log.error("a run failed: %s", type(problem).__name__)
            self.problem = Exception()
        self._done.set()


class Growing(Job[T]):
    """A job that shows what there is so far: ``so_far``, None at first. Stopped, it may still have a ``result``.

    ``make`` is given besides what it is to tell that.
    """

    def __init__(self, make: Callable[[Progress, Stop, Callable[[T], None]], T]):
        self.so_far: T | None = None
        super().__init__(lambda tell, stop: make(tell, stop, self._grow))

    def _grow(self, so_far: T) -> None:
        self.so_far = so_far


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
