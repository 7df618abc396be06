"""A backend as an ASGI service: runs in a bounded queue, views of what is kept, and nothing else.

There is no field for a path or an address, no way to choose code, and nothing that a visitor sends is logged.
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
from dataclasses import dataclass, replace
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

import mmviz
from mmviz.backends import LOOPBACK, Backend, wire
from mmviz.io.error_codec import refusal_to_bytes
from mmviz.types import MmvizError

_log = logging.getLogger(__name__)
_NPZ, _JSON = "application/x-npz", "application/json"
_OPEN = ("/live", "/ready")
"""What a supervisor may ask without a token."""
_STATUS = {
    "wire-large": 413, "npz-large": 413, "wire-slow": 408, "wire-refused": 403, "backend-token": 401, "view-gone": 410,
    "backend-busy": 429, "backend-stopping": 503, "backend-late": 504, "backend-failed": 500, "model-unknown": 404,
}  # fmt: skip
"""Other refusals are 422: the request was understood, and cannot be done."""


@dataclass(frozen=True)
class Limits:
    """``waiting`` runs at most, those that compute included, of which there are ``at_once``; ``seconds`` for a run with
    its time in the queue; ``upload`` bytes, which arrive within ``upload_seconds``."""

    waiting: int = 32
    at_once: int = 1
    seconds: float = 25.0
    upload: int = 24_000_000
    upload_seconds: float = 10.0


class Service:
    """What the routes do. ``backend`` decides which models there are."""

    def __init__(self, backend: Backend, limits: Limits):
        self._backend, self._limits = backend, limits
        self._runs = ThreadPoolExecutor(limits.at_once, "mmviz-run")
        self._looks = ThreadPoolExecutor(2, "mmviz-view")
        self._waiting = 0
        self._known: frozenset[str] = frozenset()
        self.registry = CollectorRegistry()
        self.answered = Counter("mmviz_requests", "Answers", ("route", "status"), registry=self.registry)
        self._seconds = Histogram("mmviz_run_seconds", "Time of a run, with the queue", registry=self.registry)
        Gauge("mmviz_runs_waiting", "Runs in the queue and running", registry=self.registry).set_function(
            lambda: self._waiting
        )

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Models are loaded beside the first answers; at the end what runs is finished, what waits is not begun."""
        threading.Thread(target=self._load, daemon=True).start()
        yield
        self._known = frozenset()
        self._runs.shutdown(wait=True, cancel_futures=True)
        self._looks.shutdown(wait=True, cancel_futures=True)

    def _load(self) -> None:
        try:
            self._known = frozenset(card.id for card in self._backend.models())
        except Exception as problem:
            _log.error("no model could be loaded: %s", type(problem).__name__)

    async def live(self, _: HttpRequest) -> Response:
        """The process answers."""
        return _json({"live": True})

    async def ready(self, _: HttpRequest) -> Response:
        """The models are loaded, and the queue has room."""
        is_ready = bool(self._known) and self._waiting < self._limits.waiting
        return _json({"ready": is_ready, "waiting": self._waiting}, 200 if is_ready else 503)

    async def version(self, _: HttpRequest) -> Response:
        """Versions of mmviz and of the protocol."""
        return _json({"mmviz": mmviz.__version__, "protocol": wire.PROTOCOL})

    async def metrics(self, _: HttpRequest) -> Response:
        """Counters for Prometheus."""
        return Response(generate_latest(self.registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def models(self, _: HttpRequest) -> Response:
        """The cards of the models."""
        cards = await self._soon(self._looks, self._backend.models)
        return Response(wire.cards_to_bytes(cards), media_type=_JSON)

    async def run(self, request: HttpRequest) -> Response:
        """One run. Where the queue is full that is said before the upload is read."""
        if not self._known:
            raise MmvizError("backend-stopping", host="")
        if self._waiting >= self._limits.waiting:
            raise MmvizError("backend-busy", host="", count=self._waiting)
        self._waiting += 1
        given: Future[bytes] | None = None
        gone = threading.Event()  # nobody waits for it any more
        try:
            body = await _body(request, self._limits)
            came = time.perf_counter()

            def work() -> bytes:
                asked = wire.request_from_bytes(body)
                if asked.model not in self._known:
                    raise MmvizError("model-unknown", model=asked.model, known=", ".join(sorted(self._known)))
                queue = (time.perf_counter() - came) * 1e3
                found = self._backend.run([asked], stop=gone.is_set)
                if not found:
                    return b""
                made = dict(found[0].made_by)
                made["milliseconds"] = {"queue": round(queue, 2), **made.get("milliseconds", {})}
                return wire.record_to_bytes(replace(found[0], made_by=made))

            given = self._runs.submit(work)
            loop = asyncio.get_running_loop()
            given.add_done_callback(lambda _: loop.call_soon_threadsafe(self._leave))
            answer = await self._within(asyncio.wrap_future(given))
            self._seconds.observe(time.perf_counter() - came)
            return Response(answer, media_type=_NPZ)
        finally:
            gone.set()
            if given is None:
                self._leave()

    async def view(self, request: HttpRequest) -> Response:
        """A part of a run that is kept here."""
        view = wire.view_from_bytes(await _body(request, self._limits))
        record_id = request.path_params["record_id"]
        array = await self._soon(self._looks, self._backend.view, record_id, view)
        return Response(wire.array_to_bytes(array), media_type=_NPZ)

    def _leave(self) -> None:
        self._waiting -= 1

    async def _soon(self, pool: ThreadPoolExecutor, work: Callable[..., Any], *given: object) -> Any:
        return await self._within(asyncio.get_running_loop().run_in_executor(pool, work, *given))

    async def _within(self, future: Awaitable[Any]) -> Any:
        """What is computed, within the limit."""
        try:
            return await asyncio.wait_for(asyncio.shield(future), self._limits.seconds)
        except TimeoutError:
            raise MmvizError("backend-late", host="", seconds=self._limits.seconds) from None


class Guard:
    """Who may ask at all: Host and Origin, token, version; and every failure as one refusal, without its words."""

    def __init__(self, app: Starlette, service: Service, token: str | None, hosts: frozenset[str] | None):
        self._app, self._service, self._token, self._hosts = app, service, token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, has_begun = 500, False

        async def counted(message: Message) -> None:
            nonlocal status, has_begun
            if message["type"] == "http.response.start":
                status, has_begun = message["status"], True
                message["headers"] = [*message["headers"], (wire.HEADER.encode(), str(wire.PROTOCOL).encode())]
            await send(message)

        try:
            self._admit(HttpRequest(scope))
            await self._app(scope, receive, counted)
        except MmvizError as refusal:
            await _refused(refusal)(scope, receive, counted)
        except Exception as problem:  # its words may hold what was sent
            _log.error("a request failed: %s", type(problem).__name__)
            if not has_begun:
                await _refused(MmvizError("backend-failed", host=""))(scope, receive, counted)
        route = getattr(scope.get("endpoint"), "__name__", "other")  # of ours, never what a stranger asked for
        self._service.answered.labels(route, status).inc()

    def _admit(self, request: HttpRequest) -> None:
        host = request.headers.get("host", "").lower()
        name = host[1:].partition("]")[0] if host.startswith("[") and "]" in host else host.partition(":")[0]
        if self._hosts is not None and name not in self._hosts:
            raise MmvizError("wire-refused", why="the Host header names another")
        if "origin" in request.headers:
            raise MmvizError("wire-refused", why="web pages may not ask it")
        if request.url.path in _OPEN or self._token is None:
            return
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            raise MmvizError("backend-token", host="")


def make_app(
    backend: Backend, token: str | None = None, hosts: frozenset[str] | None = LOOPBACK, limits: Limits | None = None
) -> Guard:
    """The service, for any ASGI server. ``token``: what ``Authorization: Bearer`` must hold; ``hosts``: the names under
    which it may be asked, None for any."""
    service = Service(backend, limits or Limits())
    routes = [
        Route("/live", service.live),
        Route("/ready", service.ready),
        Route("/version", service.version),
        Route("/metrics", service.metrics),
        Route("/v1/models", service.models),
        Route("/v1/runs", service.run, methods=["POST"]),
        Route("/v1/runs/{record_id}/views", service.view, methods=["POST"]),
    ]

    async def refuse(_: HttpRequest, refusal: Exception) -> Response:
        assert isinstance(refusal, MmvizError)
        return _refused(refusal)

    app = Starlette(routes=routes, lifespan=service.lifespan, exception_handlers={MmvizError: refuse})
    return Guard(app, service, token, hosts)


async def _body(request: HttpRequest, limits: Limits) -> bytes:
    """What was sent. Raises ``MmvizError``: ``wire-large``, from its header where that tells; ``wire-slow``."""
    too_large = MmvizError("wire-large", limit=limits.upload / 1e6)
    told = request.headers.get("content-length", "0")
    if not told.isdigit() or int(told) > limits.upload:
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


def _refused(refusal: MmvizError) -> Response:
    status = _STATUS.get(refusal.code, 422)
    headers = {"retry-after": "1"} if status in (429, 503) else {}
    return Response(refusal_to_bytes(refusal), status, headers, _JSON)


def _json(value: object, status: int = 200) -> Response:
    return Response(json.dumps(value), status, media_type=_JSON)
