"""Work in background threads: the page goes on drawing, shows the progress, and can stop waiting. No Streamlit."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from mmviz.backends import Backend, Progress, Stop
from mmviz.i18n.language import current_language, use_language
from mmviz.types import Card, MmvizError

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Job(Generic[T]):
    """A function that runs in a thread of its own, started at once.

    ``work`` takes a function to report progress to, ``(done, of)``, and a function that says whether to stop. It
    returns the result. Where ``is_abandoned`` returns True, nobody waits for the result, and the job stops.
    """

    result: T | None
    """What ``work`` returned; None before `wait` returns True, and after an error."""
    error: Exception | None
    """The `MmvizError` that ``work`` raised; for any other error a bare ``Exception``, its message may hold inputs."""
    done: int
    """Finished steps, as ``work`` reported them."""
    of: int
    """Steps in all; 0 where ``work`` reports no progress."""
    seconds_to_done: float
    """Seconds from the start to the latest report; 0 before the first."""

    def __init__(self, work: Callable[[Progress, Stop], T], is_abandoned: Stop = lambda: False):
        self.result = None
        self.error = None
        self.done, self.of, self.seconds_to_done = 0, 0, 0.0
        self._started = time.monotonic()
        self._work, self._is_abandoned, self._language = work, is_abandoned, current_language()
        self._finished, self._stopped = threading.Event(), threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Waits for at most ``seconds``, and returns whether the job has finished."""
        return self._finished.wait(seconds)

    def stop(self) -> None:
        """Asks the job to stop. Work that has not begun never begins; the result of a run in progress is dropped."""
        self._stopped.set()

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def _report_progress(self, done: int, of: int) -> None:
        self.done, self.of, self.seconds_to_done = done, of, self.seconds

    def _must_stop(self) -> bool:
        if self._is_abandoned():
            self.stop()
        return self.is_stopped

    def _run(self) -> None:
        try:
            if not self._must_stop():
                with use_language(self._language):  # a thread has no visitor whose language it could take
                    self.result = self._work(self._report_progress, self._must_stop)
        except MmvizError as error:
            self.error = error
        except BaseException as error:  # SystemExit as well: a job that never finishes would leave the page waiting
            _log.error("a run failed: %s", type(error).__name__)
            self.error = Exception()
        finally:
            self._finished.set()


class StreamingJob(Job[T]):
    """A job with partial results. A stopped one may still have a ``result``.

    ``work`` takes, as its third argument, a function to report partial results to.
    """

    partial: T | None
    """The latest partial result; None before the first."""

    def __init__(self, work: Callable[[Progress, Stop, Callable[[T], None]], T], is_abandoned: Stop = lambda: False):
        self.partial = None
        super().__init__(lambda progress, stop: work(progress, stop, self._report_partial), is_abandoned)

    def _report_partial(self, partial: T) -> None:
        self.partial = partial


class WarmBackend:
    """A backend that is created and run once in the background, so that the first visitor's run is a fast one.

    ``create`` returns the backend; ``run_once`` makes a run of ``model``, the id of one of its models, on it.
    """

    card: Card | None
    """The card of the model; None before it is known."""
    is_warm: bool
    """Whether the first run has finished."""

    def __init__(self, create: Callable[[], Backend], run_once: Callable[[Backend], object], model: str = ""):
        self._create, self._run_once, self._model = create, run_once, model
        self._backend: Backend | None = None
        self._lock, self._start_lock = threading.Lock(), threading.Lock()  # to create it may take minutes
        self._is_started = False
        self.is_warm, self.card = False, None

    def backend(self) -> Backend:
        """Returns the backend; creates it where that has not happened yet."""
        with self._lock:
            if self._backend is None:
                self._backend = self._create()
            return self._backend

    @property
    def is_created(self) -> bool:
        """Whether `backend` has made the backend."""
        return self._backend is not None

    def start(self) -> None:
        """Starts the warm-up in a thread; later calls do nothing."""
        with self._start_lock:
            if self._is_started:
                return
            self._is_started = True
        threading.Thread(target=self._warm_up, daemon=True).start()

    def _warm_up(self) -> None:
        try:
            backend = self.backend()
            if self._model:
                self.card = next((card for card in backend.models() if card.id == self._model), None)
            self._run_once(backend)
            # With torch loaded, collecting garbage takes 0.3 to 0.9 s, in which no other thread runs, so what is loaded
            # by now is no longer searched.
            gc.collect()
            gc.freeze()
            self.is_warm = True
        except BaseException as error:  # the next run raises it again, where a visitor can see it
            _log.error("the warm-up failed: %s", type(error).__name__)
