"""A backend elsewhere, and this machine where it fails: never silently."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mmviz.backends import Backend, Progress, Stop, never, one_by_one, quiet
from mmviz.backends.remote import GONE, RemoteBackend
from mmviz.types import AttentionRecord, Card, MmvizError, Notice, Request, View

CODE = "backend-fallback"


class WithFallback:
    """Asks ``remote`` each time; what it fails at is run by the backend that ``make`` gives, with a notice why.

    A refusal of the request itself is passed on: it would be refused here as well.
    """

    def __init__(self, remote: RemoteBackend, make: Callable[[], Backend]):
        self.remote = remote
        self._make = make
        self._made: Backend | None = None
        self._lock = threading.Lock()
        self._here: deque[str] = deque(maxlen=1_000)

    def models(self) -> tuple[Card, ...]:
        """The cards of the models of the backend that answers."""
        try:
            return self.remote.models()
        except MmvizError as refusal:
            if refusal.code not in GONE:
                raise
            return self._local().models()

    def run(
        self, requests: Sequence[Request], progress: Progress = quiet, stop: Stop = never
    ) -> tuple[AttentionRecord, ...]:
        """As every backend; records made here say so in their notices."""
        return one_by_one(requests, lambda request: self._run(request, stop), progress, stop)

    def view(self, record_id: str, view: View) -> NDArray[np.float32]:
        """Of the backend that made the record."""
        return (self._local() if record_id in self._here else self.remote).view(record_id, view)

    def _run(self, request: Request, stop: Stop) -> AttentionRecord | None:
        try:
            return self.remote.run([request])[0]
        except MmvizError as refusal:
            if refusal.code not in GONE:
                raise
            why = str(refusal)
        for record in self._local().run([request], stop=stop):
            self._here.append(record.id)
            return replace(record, notices=(*record.notices, Notice(CODE, {"why": why})))
        return None

    def _local(self) -> Backend:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made
