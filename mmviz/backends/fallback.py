"""A remote backend with this machine in reserve. Every record that was made here says so."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mmviz.backends import Backend, KeepsExact, Progress, Stop, ignore_progress, never_stop, run_each
from mmviz.backends.remote import UNAVAILABLE, RemoteBackend
from mmviz.types import AttentionRecord, Card, MmvizError, Notice, Request, View
from mmviz.types.exact_attention import ExactAttention

CODE = "backend-fallback"
"""The code of the notice on records that were made here."""


class FallbackBackend:
    """Runs each request on ``remote``, and on the backend that ``make_local`` returns where ``remote`` is unavailable.

    An error that concerns the request itself is raised: it would occur here as well. ``make_local`` is called once,
    when it is first needed.
    """

    def __init__(self, remote: RemoteBackend, make_local: Callable[[], Backend]):
        self.remote = remote
        self._make_local = make_local
        self._local: Backend | None = None
        self._lock = threading.Lock()
        self._local_ids: deque[str] = deque(maxlen=1_000)

    def models(self) -> tuple[Card, ...]:
        """Returns the cards of the remote backend, or of the local one where the remote is unavailable."""
        try:
            return self.remote.models()
        except MmvizError as error:
            if error.code not in UNAVAILABLE:
                raise
            return self._local_backend().models()

    def run(
        self, requests: Sequence[Request], progress: Progress = ignore_progress, stop: Stop = never_stop
    ) -> tuple[AttentionRecord, ...]:
        """See `Backend.run`. Records that were made here carry a notice with the reason."""
        return run_each(requests, lambda request: self._run(request, stop), progress, stop)

    def view(self, record_id: str, view: View) -> NDArray[np.float32]:
        """See `Backend.view`. The backend that made the record answers."""
        return (self._local_backend() if record_id in self._local_ids else self.remote).view(record_id, view)

    def forget_inputs(self, record_ids: Sequence[str]) -> None:
        """See `Backend.forget_inputs`. Both backends forget. Raises as `RemoteBackend.forget_inputs`, in the end."""
        if self._local is not None:
            self._local.forget_inputs(record_ids)
        self.remote.forget_inputs(record_ids)

    def exact(self, record_id: str) -> ExactAttention:
        """See `mmviz.backends.KeepsExact`. The backend that made the record answers."""
        return self._keeper(record_id).exact(record_id)

    def exact_nbytes(self, record_id: str) -> int:
        """See `exact`."""
        return self._keeper(record_id).exact_nbytes(record_id)

    def _keeper(self, record_id: str) -> KeepsExact:
        """Raises ``MmvizError`` (``keep-elsewhere``) where that backend hands out no tensors."""
        backend = self._local_backend() if record_id in self._local_ids else self.remote
        if not isinstance(backend, KeepsExact):
            raise MmvizError("keep-elsewhere")
        return backend

    def _run(self, request: Request, stop: Stop) -> AttentionRecord | None:
        try:
            return next(iter(self.remote.run([request], stop=stop)), None)
        except MmvizError as error:
            if error.code not in UNAVAILABLE:
                raise
            reason = str(error)
        for record in self._local_backend().run([request], stop=stop):
            self._local_ids.append(record.id)
            return replace(record, notices=(*record.notices, Notice(CODE, {"why": reason})))
        return None

    def _local_backend(self) -> Backend:
        with self._lock:
            if self._local is None:
                self._local = self._make_local()
            return self._local
