"""A backend as an ASGI service: runs in a bounded queue, and views of the records that are kept.

No route takes a path, an address or code, and nothing that a client sends is logged.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

import mmviz
from mmviz.backends import LOOPBACK, Backend, KeepsExact, wire
from mmviz.backends.exact_runs import with_exact_size
from mmviz.backends.request_body import read_body, unless_disconnected
from mmviz.backends.request_guard import Guard, error_response
from mmviz.backends.run_queue import RunQueue
from mmviz.io.exact_attention_arrays import exact_to_bytes
from mmviz.types import AttentionRecord, MmvizError, Request

T = TypeVar("T")
_log = logging.getLogger(__name__)
_NPZ, _JSON = "application/x-npz", "application/json"
_CLOSED = 499
"""The status that is counted for a client that closed its connection, which nobody reads."""


@dataclass(frozen=True)
class Limits:
    """What the service accepts."""

    queue: int = 32
    """Runs that may wait or compute at once. A further one is refused."""
    workers: int = 1
    """Runs that may compute at once."""
    seconds: float = 25.0
    """Seconds for one run, the time in the queue included."""
    upload: int = 24_000_000
    """Bytes of one request."""
    upload_seconds: float = 10.0
    """Seconds within which a request must arrive."""


class Service:
    """The routes. ``backend`` decides which models there are."""

    def __init__(self, backend: Backend, limits: Limits):
        self._backend, self._limits = backend, limits
        self._queue = RunQueue(backend, limits.workers)
        self._codec_pool = ThreadPoolExecutor(2, "mmviz-codec")  # the workers only run, so that a GPU need not wait
        self._view_pool = ThreadPoolExecutor(2, "mmviz-view")
        self._waiting = 0
        self._model_ids: frozenset[str] = frozenset()
        self.registry = CollectorRegistry()
        self.responses = Counter("mmviz_requests", "Responses", ("route", "status"), registry=self.registry)
        self._run_seconds = Histogram("mmviz_run_seconds", "Seconds of a run, queue included", registry=self.registry)
        Gauge("mmviz_runs_waiting", "Runs that wait or compute", registry=self.registry).set_function(
            lambda: self._waiting
        )

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Loads the models in a thread at the start. At the end it finishes the current runs and drops the queue."""
        threading.Thread(target=self._load, daemon=True).start()
        yield
        self._model_ids = frozenset()
        self._queue.close()
        self._codec_pool.shutdown(wait=True, cancel_futures=True)
        self._view_pool.shutdown(wait=True, cancel_futures=True)

    def _load(self) -> None:
        try:
            self._model_ids = frozenset(card.id for card in self._backend.models())
        except BaseException as problem:  # the service stays alive and not ready
            _log.error("no model could be loaded: %s", type(problem).__name__)

    async def live(self, _: HttpRequest) -> Response:
        """Responds as long as the process works."""
        return _json({"live": True})

    async def ready(self, _: HttpRequest) -> Response:
        """Responds with 200 while the models are loaded and the queue has room, else with 503."""
        is_ready = bool(self._model_ids) and self._waiting < self._limits.queue
        return _json({"ready": is_ready, "waiting": self._waiting}, 200 if is_ready else 503)

    async def version(self, _: HttpRequest) -> Response:
        """Responds with the versions of mmviz and of the protocol."""
        return _json({"mmviz": mmviz.__version__, "protocol": wire.PROTOCOL})

    async def metrics(self, _: HttpRequest) -> Response:
        """Responds with metrics for Prometheus."""
        return Response(generate_latest(self.registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def models(self, _: HttpRequest) -> Response:
        """Responds with the cards of the models."""
        cards = await self._in_thread(self._view_pool, self._backend.models)
        return Response(wire.cards_to_bytes(cards), media_type=_JSON)

    async def run(self, request: HttpRequest) -> Response:
        """Responds with the record of one run. A full queue is reported before the upload is read.

        A client that closes its connection ends its run: one that waits at once, one in progress as `Backend.run` does.
        """
        if not self._model_ids:
            raise MmvizError("backend-stopping", host="")
        if self._waiting >= self._limits.queue:
            raise MmvizError("backend-busy", host="", count=self._waiting)
        self._waiting += 1
        future: Future[AttentionRecord | None] | None = None
        is_abandoned = threading.Event()  # set once no client waits for the result
        try:
            body = await self._body(request)
            start = time.perf_counter()
            run_request = await self._in_thread(self._codec_pool, lambda: self._request(body))
            future = self._queue.submit(run_request, is_abandoned.is_set)
            loop = asyncio.get_running_loop()
            future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._leave_queue))
            record = await self._within_limit(unless_disconnected(request, future))
            if record is None:
                return Response(status_code=_CLOSED)
            data = await self._in_thread(self._codec_pool, lambda: self._encoded(record))
            self._run_seconds.observe(time.perf_counter() - start)
            return Response(data, media_type=_NPZ)
        finally:
            is_abandoned.set()
            if future is None:
                self._leave_queue()
            else:
                future.cancel()  # one that waits leaves the queue at once

    def _request(self, body: bytes) -> Request:
        """Returns the request that was sent. Raises ``MmvizError`` as `wire.request_from_bytes`, ``model-unknown``."""
        request = wire.request_from_bytes(body)
        if request.model not in self._model_ids:
            raise MmvizError("model-unknown", model=request.model, known=", ".join(sorted(self._model_ids)))
        return request

    def _encoded(self, record: AttentionRecord) -> bytes:
        return wire.record_to_bytes(with_exact_size(record, self._backend))

    async def view(self, request: HttpRequest) -> Response:
        """Responds with a part of a record that is kept here."""
        view = wire.view_from_bytes(await self._body(request))
        record_id = request.path_params["record_id"]
        array = await self._in_thread(self._view_pool, lambda: self._backend.view(record_id, view))
        return Response(wire.array_to_bytes(array), media_type=_NPZ)

    async def exact(self, request: HttpRequest) -> Response:
        """Responds with the tensors behind a long record that is kept here."""
        backend, record_id = self._backend, request.path_params["record_id"]
        if not isinstance(backend, KeepsExact):
            raise MmvizError("keep-elsewhere")
        data = await self._in_thread(self._view_pool, lambda: exact_to_bytes(backend.exact(record_id)))
        return Response(data, media_type=_NPZ)

    async def forget(self, request: HttpRequest) -> Response:
        """Drops what is kept of the records named, and the caches of inputs."""
        record_ids = wire.record_ids_from_bytes(await self._body(request))
        await self._in_thread(self._view_pool, lambda: self._backend.forget_inputs(record_ids))
        return _json({})

    async def _body(self, request: HttpRequest) -> bytes:
        return await read_body(request, self._limits.upload, self._limits.upload_seconds)

    def _leave_queue(self) -> None:
        self._waiting -= 1

    async def _in_thread(self, pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await self._within_limit(asyncio.get_running_loop().run_in_executor(pool, _contain, work))

    async def _within_limit(self, future: Awaitable[T]) -> T:
        """Returns the result. Raises ``MmvizError`` (``backend-late``) where it takes too long."""
        try:
            return await asyncio.wait_for(asyncio.shield(future), self._limits.seconds)
        except TimeoutError:
            raise MmvizError("backend-late", host="", seconds=self._limits.seconds) from None


def make_app(
    backend: Backend, token: str | None = None, hosts: frozenset[str] | None = LOOPBACK, limits: Limits | None = None
) -> Guard:
    """Returns the service as an ASGI application.

    ``token`` is what ``Authorization: Bearer`` must hold, None for no check. ``hosts`` are the names that the Host
    header may hold, None for any.
    """
    service = Service(backend, limits or Limits())
    routes = [
        Route("/live", service.live),
        Route("/ready", service.ready),
        Route("/version", service.version),
        Route("/metrics", service.metrics),
        Route("/v1/models", service.models),
        Route("/v1/forget", service.forget, methods=["POST"]),
        Route("/v1/runs", service.run, methods=["POST"]),
        Route("/v1/runs/{record_id}/views", service.view, methods=["POST"]),
        Route("/v1/runs/{record_id}/exact", service.exact),
    ]

    async def handle_error(_: HttpRequest, error: Exception) -> Response:
        assert isinstance(error, MmvizError)
        return error_response(error)

    app = Starlette(routes=routes, lifespan=service.lifespan, exception_handlers={MmvizError: handle_error})
    return Guard(app, service.responses, token, hosts)


def _contain(work: Callable[[], T]) -> T:
    """Returns what ``work`` returns. What would end the event loop (``SystemExit``) becomes an ``MmvizError``."""
    try:
        return work()
    except Exception:
        raise
    except BaseException as problem:
        _log.error("a request failed: %s", type(problem).__name__)
        raise MmvizError("backend-failed", host="") from None


def _json(value: object, status: int = 200) -> Response:
    return Response(json.dumps(value), status, media_type=_JSON)
