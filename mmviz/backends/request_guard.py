"""What every request to the service passes: its headers are checked, and each failure becomes an error as JSON."""

from __future__ import annotations

import hmac
import logging

from prometheus_client import Counter
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmviz.backends import wire
from mmviz.io.error_codec import error_to_bytes
from mmviz.types import MmvizError, Notice

_log = logging.getLogger(__name__)
_PUBLIC_PATHS = ("/live", "/ready")
"""Paths that a supervisor may read without a token."""
_STATUS = {
    "wire-large": 413, "npz-large": 413, "wire-slow": 408, "wire-refused": 403, "backend-token": 401, "view-gone": 410,
    "backend-busy": 429, "backend-stopping": 503, "backend-late": 504, "backend-failed": 500, "model-unknown": 404,
    "backend-version": 400,
}  # fmt: skip
"""HTTP status by error code. Any other code is 422: the request was understood and cannot be carried out."""


class Guard:
    """Checks every request before the routes see it, and turns every failure into an error without its message.

    A request is refused for its Host or Origin header, its token, or another version of the protocol. ``responses``
    counts what is answered, by route and status.
    """

    def __init__(self, app: ASGIApp, responses: Counter, token: str | None, hosts: frozenset[str] | None):
        self._app, self._responses, self._token, self._hosts = app, responses, token, hosts

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
            await error_response(error)(scope, receive, send_counted)
        except Exception as problem:  # its message may hold what was sent
            _log.error("a request failed: %s", type(problem).__name__)
            if not has_started:
                await error_response(MmvizError("backend-failed", host=""))(scope, receive, send_counted)
        route = getattr(scope.get("endpoint"), "__name__", "other")  # one of the routes, never the requested path
        self._responses.labels(route, status).inc()

    def _check(self, request: HttpRequest) -> None:
        host = request.headers.get("host", "").lower()
        name = host[1:].partition("]")[0] if host.startswith("[") and "]" in host else host.partition(":")[0]
        if self._hosts is not None and name not in self._hosts:
            raise MmvizError("wire-refused", why=Notice("reason-host"))
        if "origin" in request.headers:
            raise MmvizError("wire-refused", why=Notice("reason-origin"))
        if request.url.path in _PUBLIC_PATHS:
            return
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._token is not None and not hmac.compare_digest(token.encode(), self._token.encode()):
            raise MmvizError("backend-token", host="")
        version = request.headers.get(wire.HEADER, str(wire.PROTOCOL))
        if version != str(wire.PROTOCOL):
            raise MmvizError("backend-version", host="", version=wire.PROTOCOL, known=version[:20])


def error_response(error: MmvizError) -> Response:
    """Returns ``error`` as JSON, with the HTTP status of its code."""
    status = _STATUS.get(error.code, 422)
    headers = {"retry-after": "1"} if status in (429, 503) else {}
    return Response(error_to_bytes(error), status, headers, "application/json")
