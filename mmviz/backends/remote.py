"""A backend on another machine, asked over HTTP: within one deadline, and with every way to fail told apart."""

from __future__ import annotations

import http.client
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from mmviz.backends import LOOPBACK, Progress, Stop, never, one_by_one, quiet, wire
from mmviz.io.error_codec import refusal_from_bytes
from mmviz.types import AttentionRecord, Card, MmvizError, Request, View

T = TypeVar("T")
DEADLINE = 30.0
"""Seconds for one run or view, retries included."""
CONNECT = 5.0
RETRIES = 2
FAILURES = 3
"""So many calls that fail in a row open the breaker, for `REST` seconds."""
REST = 15.0
_AGAIN = (429, 502, 503)
_CHUNK = 65_536
_DOWN = ("backend-unreachable", "backend-late", "backend-answer", "backend-version", "backend-busy", "backend-stopping",
         "backend-failed")  # fmt: skip
"""Refusals that say something of the backend, not of the request."""
GONE = (*_DOWN, "backend-resting", "backend-token")
"""Refusals after which another backend may be asked."""


class RemoteBackend:
    """``mmviz serve`` at ``url``, ``https://HOST:PORT``; ``token`` as it was started with.

    What comes back is checked as any run is; no redirect is followed, no proxy used. Certificates are checked against
    those of the system, or of SSL_CERT_FILE. Raises ``MmvizError`` (``backend-url``).
    """

    def __init__(self, url: str, token: str | None = None, deadline: float = DEADLINE):
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise MmvizError("backend-url", url=url) from None
        is_plain = parts.scheme == "http" and parts.hostname in LOOPBACK
        rest = (parts.path.rstrip("/"), parts.query, parts.fragment, parts.username or parts.password or "")
        if not parts.hostname or any(rest) or not (is_plain or parts.scheme == "https"):
            raise MmvizError("backend-url", url=url)
        self._name, self._port = parts.hostname, port or (80 if is_plain else 443)
        self._context = None if is_plain else ssl.create_default_context()
        self.host = parts.netloc
        self._token, self._deadline = token, deadline
        self._breaker = Breaker()

    def models(self) -> tuple[Card, ...]:
        """Cards of the models that the backend was started with."""
        return self._ask("GET", "/v1/models", None, wire.cards_from_bytes)

    def run(
        self, requests: Sequence[Request], progress: Progress = quiet, stop: Stop = never
    ) -> tuple[AttentionRecord, ...]:
        """One record a request, in order; fewer where ``stop`` said so between two of them.

        ``made_by`` says which backend it was, and how long the way there and back took. Raises ``MmvizError``.
        """
        return one_by_one(requests, self._run, progress, stop)

    def view(self, record_id: str, view: View) -> NDArray[np.float32]:
        """A part of a record that the backend made and still keeps. Raises ``MmvizError``, ``CaptureError``."""
        if not record_id.isalnum():
            raise MmvizError("view-gone")
        return self._ask("POST", f"/v1/runs/{record_id}/views", wire.view_to_bytes(view), wire.array_from_bytes)

    def wake(self) -> None:
        """Ask again at once, however often it failed."""
        self._breaker.note(True)

    def _run(self, request: Request) -> AttentionRecord:
        body, began = wire.request_to_bytes(request), time.perf_counter()
        record = self._ask("POST", "/v1/runs", body, wire.record_from_bytes)
        times = dict(record.made_by.get("milliseconds", {}))
        spent = (time.perf_counter() - began) * 1e3
        times["network"] = round(max(0.0, spent - sum(float(one) for one in times.values())), 2)
        return replace(record, made_by={**record.made_by, "backend": self.host, "milliseconds": times})

    def _ask(self, method: str, path: str, body: bytes | None, read: Callable[[bytes], T]) -> T:
        """One call, at most `RETRIES` times again. Runs change nothing there, so that each may be sent again."""
        self._breaker.check(self.host)
        ends = time.monotonic() + self._deadline
        for turn in range(RETRIES + 1):
            try:
                found = self._once(method, path, body, read, ends)
            except MmvizError as refusal:
                wait = random.uniform(0.5, 1.5) * 0.2 * 2**turn
                is_over = turn == RETRIES or time.monotonic() + wait > ends
                if is_over or refusal.code not in ("backend-unreachable", "backend-busy", "backend-stopping"):
                    self._breaker.note(refusal.code not in _DOWN)
                    raise
                time.sleep(wait)
            else:
                self._breaker.note(True)
                return found
        raise AssertionError  # the last turn returns or raises

    def _once(self, method: str, path: str, body: bytes | None, read: Callable[[bytes], T], ends: float) -> T:
        connection = http.client.HTTPConnection(self._name, self._port)
        is_late = threading.Event()

        def cut() -> None:  # whatever the other side drips, the reader wakes up
            is_late.set()
            if connection.sock is not None:
                _shut(connection.sock)

        clock = threading.Timer(max(0.0, ends - time.monotonic()), cut)
        clock.daemon = True
        clock.start()
        try:
            self._connect(connection, ends)
            answer = self._send(connection, method, path, body)
            data = _read(answer)
        except (OSError, http.client.HTTPException) as problem:
            if is_late.is_set() or time.monotonic() >= ends:
                raise MmvizError("backend-late", host=self.host, seconds=self._deadline) from None
            if isinstance(problem, http.client.HTTPException) and not isinstance(
                problem, http.client.RemoteDisconnected | http.client.IncompleteRead
            ):
                raise MmvizError("backend-answer", host=self.host, why="it is not HTTP") from None
            raise MmvizError("backend-unreachable", host=self.host, why=_why(problem)) from None
        finally:
            clock.cancel()
            connection.close()
        if is_late.is_set():
            raise MmvizError("backend-late", host=self.host, seconds=self._deadline)
        return self._understood(answer, data, read)

    def _connect(self, connection: http.client.HTTPConnection, ends: float) -> None:
        left = max(0.01, ends - time.monotonic())
        found = socket.create_connection((self._name, self._port), min(CONNECT, left))
        connection.sock = found
        if self._context is not None:
            wrapped = self._context.wrap_socket(found, server_hostname=self._name, do_handshake_on_connect=False)
            connection.sock = wrapped
            wrapped.do_handshake()
        connection.sock.settimeout(max(0.01, ends - time.monotonic()))

    def _send(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None
    ) -> http.client.HTTPResponse:
        headers = {wire.HEADER: str(wire.PROTOCOL), "accept-encoding": "identity", "connection": "close"}
        if self._token is not None:
            headers["authorization"] = f"Bearer {self._token}"
        try:
            connection.request(method, path, body, headers)
        except (BrokenPipeError, ConnectionResetError):  # refused before all was sent: the answer may be there
            return connection.getresponse()
        return connection.getresponse()

    def _understood(self, answer: http.client.HTTPResponse, data: bytes | None, read: Callable[[bytes], T]) -> T:
        """The answer, or the refusal it holds."""
        version = answer.headers.get(wire.HEADER)
        if version is None:
            if answer.status in _AGAIN:  # a proxy before a backend that is down
                raise MmvizError("backend-unreachable", host=self.host, why=f"HTTP {answer.status}")
            raise MmvizError("backend-answer", host=self.host, why=f"HTTP {answer.status}, not of mmviz")
        if version != str(wire.PROTOCOL):
            raise MmvizError("backend-version", host=self.host, found=version[:20], known=wire.PROTOCOL)
        if data is None:
            raise MmvizError("backend-answer", host=self.host, why="it is too long")
        try:
            if answer.status == 200:
                return read(data)
            refusal = refusal_from_bytes(data, "wire-unreadable", host=self.host)
        except MmvizError as problem:
            raise MmvizError("backend-answer", host=self.host, why=problem.code) from None
        raise refusal


class Breaker:
    """Leaves a backend alone for `REST` seconds after `FAILURES` calls that failed in a row; then one may try."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._failures, self._until = 0, 0.0
        self._lock = threading.Lock()

    def check(self, host: str) -> None:
        """Raises ``MmvizError`` (``backend-resting``) while the backend is left alone."""
        with self._lock:
            left = self._until - self._clock()
            if left > 0:
                raise MmvizError("backend-resting", host=host, count=self._failures, seconds=left)
            if self._failures >= FAILURES:
                self._until = self._clock() + REST  # the others wait for what this one finds

    def note(self, is_well: bool) -> None:
        """How a call went."""
        with self._lock:
            self._failures = 0 if is_well else self._failures + 1
            self._until = self._clock() + REST if self._failures >= FAILURES else 0.0


def _read(answer: http.client.HTTPResponse) -> bytes | None:
    """The body; None where it is longer than any that inflates to as much as is taken."""
    parts, size = [], 0
    while part := answer.read(_CHUNK):
        size += len(part)
        if size > wire.INFLATED:
            return None
        parts.append(part)
    if answer.length:
        raise http.client.IncompleteRead(b"", answer.length)
    return b"".join(parts)


def _shut(sock: socket.socket) -> None:
    with suppress(OSError):  # it was closed already
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _why(problem: Exception) -> str:
    if isinstance(problem, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {problem.verify_message}"
    if isinstance(problem, socket.gaierror):
        return "no machine of this name is known"
    if isinstance(problem, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(problem, TimeoutError):
        return "it does not answer"
    return "the connection broke"
