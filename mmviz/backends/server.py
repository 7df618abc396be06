"""A backend as an ASGI service: runs in a bounded queue, and views of the records that are kept.

No route takes a path, an address or code, and nothing that a client sends is logged.
"""

from __future__ import annotations

import asyncio
import hmac
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
from starlette.types import Message, Receive, Scope, Send

import mmviz
from mmviz.backends import LOOPBACK, Backend, KeepsExact, wire
from mmviz.backends.exact_keeper import with_exact_size
from mmviz.backends.run_queue import RunQueue
from mmviz.io.error_codec import error_to_bytes
from mmviz.io.exact_arrays import exact_to_bytes
from mmviz.types import AttentionRecord, MmvizError, Request

T = TypeVar("T")
_log = logging.getLogger(__name__)
_NPZ, _JSON = "application/x-npz", "application/json"
_CLOSED = 499
"""The status that is counted for a client that closed its connection, which nobody reads."""
_PUBLIC_PATHS = ("/live", "/ready")
"""Paths that a supervisor may read without a token."""
_STATUS = {
    "wire-large": 413, "npz-large": 413, "wire-slow": 408, "wire-refused": 403, "backend-token": 401, "view-gone": 410,
    "backend-busy": 429, "backend-stopping": 503, "backend-late": 504, "backend-failed": 500, "model-unknown": 404,
    "backend-version": 400,
}  # fmt: skip
"""HTTP status by error code. Any other code is 422: the request was understood and cannot be carried out."""


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
            body = await _read_body(request, self._limits)
            start = time.perf_counter()
            run_request = await self._in_thread(self._codec_pool, lambda: self._request(body))
            future = self._queue.submit(run_request, is_abandoned.is_set)
            loop = asyncio.get_running_loop()
            future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._leave_queue))
            record = await self._within_limit(_unless_disconnected(request, future))
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
        view = wire.view_from_bytes(await _read_body(request, self._limits))
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


class Guard:
    """Checks every request before the routes see it, and turns every failure into an error without its message.

    A request is refused for its Host or Origin header, its token, or another version of the protocol.
    """

    def __init__(self, app: Starlette, service: Service, token: str | None, hosts: frozenset[str] | None):
        self._app, self._service, self._token, self._hosts = app, service, token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, has_started = 500, False

        async def send_counted(message: Message) -> None:
            nonlocal status, has_started
            if message["type"] == "http.response.start":
                status, has_started = message["status"], True
                message["headers"] = [*message["headers"], (wire.HEADER.encode(), str(wire.PROTOCOL).encode())]
            await send(message)

        try:
            self._check(HttpRequest(scope))
            await self._app(scope, receive, send_counted)
        except MmvizError as error:
            await _error_response(error)(scope, receive, send_counted)
        except Exception as problem:  # its message may hold what was sent
            _log.error("a request failed: %s", type(problem).__name__)
            if not has_started:
                await _error_response(MmvizError("backend-failed", host=""))(scope, receive, send_counted)
        route = getattr(scope.get("endpoint"), "__name__", "other")  # one of the routes, never the requested path
        self._service.responses.labels(route, status).inc()

    def _check(self, request: HttpRequest) -> None:
        host = request.headers.get("host", "").lower()
        name = host[1:].partition("]")[0] if host.startswith("[") and "]" in host else host.partition(":")[0]
        if self._hosts is not None and name not in self._hosts:
            raise MmvizError("wire-refused", why="the Host header names another")
        if "origin" in request.headers:
            raise MmvizError("wire-refused", why="web pages may not call it")
        if request.url.path in _PUBLIC_PATHS:
            return
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._token is not None and not hmac.compare_digest(token.encode(), self._token.encode()):
            raise MmvizError("backend-token", host="")
        version = request.headers.get(wire.HEADER, str(wire.PROTOCOL))
        if version != str(wire.PROTOCOL):
            raise MmvizError("backend-version", host="", version=wire.PROTOCOL, known=version[:20])


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
        Route("/v1/runs", service.run, methods=["POST"]),
        Route("/v1/runs/{record_id}/views", service.view, methods=["POST"]),
        Route("/v1/runs/{record_id}/exact", service.exact),
    ]

    async def handle_error(_: HttpRequest, error: Exception) -> Response:
        assert isinstance(error, MmvizError)
        return _error_response(error)

    app = Starlette(routes=routes, lifespan=service.lifespan, exception_handlers={MmvizError: handle_error})
    return Guard(app, service, token, hosts)


def _contain(work: Callable[[], T]) -> T:
    """Returns what ``work`` returns. What would end the event loop (``SystemExit``) becomes an ``MmvizError``."""
    try:
        return work()
    except Exception:
        raise
    except BaseException as problem:
        _log.error("a request failed: %s", type(problem).__name__)
        raise MmvizError("backend-failed", host="") from None


async def _read_body(request: HttpRequest, limits: Limits) -> bytes:
    """Returns the body. Raises ``MmvizError``: ``wire-large``, from the header alone where possible; ``wire-slow``."""
    too_large = MmvizError("wire-large", limit=limits.upload / 1e6)
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > limits.upload:
        raise too_large
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.upload_seconds):
            async for part in request.stream():
                size += len(part)
                if size > limits.upload:
                    raise too_large
                parts.append(part)
    except TimeoutError:
        raise MmvizError("wire-slow", seconds=limits.upload_seconds) from None
    return b"".join(parts)


async def _unless_disconnected(
    request: HttpRequest, future: Future[AttentionRecord | None]
) -> AttentionRecord | None:  # fmt: skip
    """Returns the result of ``future``; None where the client of ``request`` closes its connection before."""
    result = asyncio.wrap_future(future)
    closing = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((result, closing), return_when=asyncio.FIRST_COMPLETED)
        return result.result() if result.done() else None
    finally:
        closing.cancel()
        result.cancel()  # nothing where it is there already


async def _disconnected(request: HttpRequest) -> None:
    """Returns once the client has closed its connection; its body has been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _error_response(error: MmvizError) -> Response:
    status = _STATUS.get(error.code, 422)
    headers = {"retry-after": "1"} if status in (429, 503) else {}
    return Response(error_to_bytes(error), status, headers, _JSON)


def _json(value: object, status: int = 200) -> Response:
    return Response(json.dumps(value), status, media_type=_JSON)
