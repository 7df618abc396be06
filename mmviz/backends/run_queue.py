"""A queue of runs: those that wait and can share a call of a model run together."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from mmviz.backends.protocol import Backend, SharesCalls, Stop
from mmviz.types import AttentionRecord, MmvizError, Request

_log = logging.getLogger(__name__)
Outcome = AttentionRecord | Exception | None
"""What became of a request: its record, the error that it raised, or None where it was stopped."""


def outcomes(backend: Backend, requests: Sequence[Request], stops: Sequence[Stop]) -> Iterator[Outcome]:
    """Yields what became of each request, in order. Those with the same settings share calls where ``backend`` does."""
    if not isinstance(backend, SharesCalls):
        for request, stop in zip(requests, stops, strict=True):
            yield _outcome(backend, request, stop)
        return
    by_number: dict[int, Iterator[Outcome]] = {}
    for number in range(len(requests)):
        if number not in by_number:
            waiting = [k for k in range(number, len(requests)) if k not in by_number]
            members = [waiting[k] for k in _sharing(backend, [requests[k] for k in waiting])]
            shared = backend.outcomes([requests[k] for k in members], [stops[k] for k in members])
            by_number |= dict.fromkeys(members, shared)
        yield next(by_number[number])


def _sharing(backend: Backend, requests: Sequence[Request]) -> list[int]:
    """Returns the number of the first request, and of those that can share its call."""
    settings = None
    if len(requests) > 1 and isinstance(backend, SharesCalls):
        settings = backend.call_settings(requests[0])
    if settings is None or not isinstance(backend, SharesCalls):
        return [0]
    return [k for k, other in enumerate(requests) if backend.call_settings(other) == settings][: backend.most_samples]


def _outcome(backend: Backend, request: Request, stop: Stop) -> Outcome:
    try:
        return next(iter(backend.run([request], stop=stop)), None)
    except Exception as problem:
        return problem


@dataclass(frozen=True, eq=False)
class _Job:
    request: Request
    stop: Stop
    arrived: float
    """By `time.perf_counter`."""
    future: Future[AttentionRecord | None] = field(default_factory=Future)

    def end(self, outcome: Outcome, started: float) -> None:
        """Hands out what became of the request, with the time that it waited until ``started``."""
        if isinstance(outcome, Exception):
            self.future.set_exception(outcome)
        elif outcome is None:
            self.future.set_result(None)
        else:
            waited = round((started - self.arrived) * 1e3, 2)
            milliseconds = {"queue": waited, **outcome.made_by.get("milliseconds", {})}
            self.future.set_result(replace(outcome, made_by={**outcome.made_by, "milliseconds": milliseconds}))


class RunQueue:
    """Runs requests on ``backend`` in ``workers`` threads, in the order of their arrival.

    A thread takes the first that waits, and of the others those that can share its call. One that fails does not fail
    the others.
    """

    def __init__(self, backend: Backend, workers: int):
        self._backend = backend
        self._pool = ThreadPoolExecutor(workers, "mmviz-run")
        self._jobs: list[_Job] = []
        self._lock, self._choosing = threading.Lock(), threading.Lock()

    def submit(self, request: Request, stop: Stop) -> Future[AttentionRecord | None]:
        """Returns the future of the record, with the milliseconds that it waited; of None where ``stop`` ended the run.

        It raises what the run raises. One that is cancelled while it waits is not run.
        """
        job = _Job(request, stop, time.perf_counter())
        with self._lock:
            self._jobs.append(job)
        self._pool.submit(self._run_next)
        return job.future

    def close(self) -> None:
        """Returns once the runs in progress are done. Requests that wait are cancelled."""
        with self._lock:
            waiting, self._jobs = self._jobs, []
        for job in waiting:
            job.future.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run_next(self) -> None:
        """Runs the first request that waits, with those that share its call; nothing where it has run with another."""
        jobs = self._next()
        started = time.perf_counter()
        try:
            results = outcomes(self._backend, [job.request for job in jobs], [job.stop for job in jobs])
            for job, outcome in zip(jobs, results, strict=True):
                job.end(outcome, started)
        except BaseException as problem:  # what would end the thread, such as SystemExit
            _log.error("a request failed: %s", type(problem).__name__)
            for job in jobs:
                if not job.future.done():
                    job.future.set_exception(MmvizError("backend-failed", host=""))

    def _next(self) -> list[_Job]:
        """Takes the requests that run next out of the queue."""
        with self._choosing:  # the queue stays open meanwhile: a model may have to be loaded
            with self._lock:
                self._jobs = [job for job in self._jobs if not job.future.cancelled()]
                jobs = list(self._jobs)
            chosen = [jobs[k] for k in _sharing(self._backend, [job.request for job in jobs])] if jobs else []
            with self._lock:
                self._jobs = [job for job in self._jobs if job not in chosen]
        return [job for job in chosen if job.future.set_running_or_notify_cancel()]
