"""A backend on another machine, called over HTTP with one deadline for the whole call."""

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

from mmviz.backends import LOOPBACK, Progress, Stop, ignore_progress, never_stop, run_each, wire
from mmviz.backends.circuit_breaker import CircuitBreaker
from mmviz.backends.exact_runs import ExactSizes
from mmviz.io.error_codec import error_from_bytes
from mmviz.io.exact_attention_arrays import exact_from_bytes
from mmviz.io.npz import LARGEST
from mmviz.types import AttentionRecord, Card, MmvizError, Notice, Request, View
from mmviz.types.exact_attention import ExactAttention

T = TypeVar("T")
DEADLINE, LARGE_DEADLINE = 30.0, 300.0
"""Seconds for one run or view, and for the tensors behind a record, retries included."""
FORGET_DEADLINE = 5.0
"""Seconds until inputs are forgotten, retries included: a person waits for it."""
CONNECT_TIMEOUT = 5.0
"""Seconds to open a connection."""
STOP_STEP = 0.1
"""Seconds from one look at whether a run is to be stopped to the next."""
RETRIES = 2
_RETRY_STATUS = (429, 502, 503)
_RETRY_CODES = ("backend-unreachable", "backend-busy", "backend-stopping")
_CHUNK = 65_536
_FAULTS = ("backend-unreachable", "backend-late", "backend-answer", "backend-version", "backend-busy",
           "backend-stopping", "backend-failed")  # fmt: skip
"""Error codes that concern the backend, not the request."""
UNAVAILABLE = (*_FAULTS, "backend-resting", "backend-token")
"""Error codes after which another backend may run the same request."""


class RemoteBackend:
    """A client of ``mmviz serve`` at ``url``: ``https://HOST:PORT``, or ``http://HOST:PORT`` on this machine.

    ``token`` is the one that the server was started with. ``deadline`` is in seconds. Responses are checked as any
    saved run is. No redirect is followed and no proxy is used. Certificates are verified against those of the system,
    or of SSL_CERT_FILE. Raises ``MmvizError`` (``backend-url``) for any other address.
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
        self._breaker, self._sizes = CircuitBreaker(), ExactSizes()

    def models(self) -> tuple[Card, ...]:
        """Returns the cards of the models that the server was started with."""
        return self._call("GET", "/v1/models", None, wire.cards_from_bytes)

    def run(
        self, requests: Sequence[Request], progress: Progress = ignore_progress, stop: Stop = never_stop
    ) -> tuple[AttentionRecord, ...]:
        """See `Backend.run`. ``made_by`` holds the backend's host and the time spent on the network.

        A run in progress also ends where ``stop`` returns True: the connection is closed, which the server notices.
        """
        return run_each(requests, lambda request: self._run(request, stop), progress, stop)

    def view(self, record_id: str, view: View) -> NDArray[np.float32]:
        """See `Backend.view`. Raises ``CaptureError`` for a part that the record does not have."""
        if not record_id.isalnum():
            raise MmvizError("view-gone")
        return self._call("POST", f"/v1/runs/{record_id}/views", wire.view_to_bytes(view), wire.array_from_bytes)

    def forget_inputs(self, record_ids: Sequence[str]) -> None:
        """See `Backend.forget_inputs`.

        Raises ``MmvizError`` where the server does not confirm it within `FORGET_DEADLINE`.
        """
        body = wire.record_ids_to_bytes(record_ids)
        self._call("POST", "/v1/forget", body, lambda _: None, seconds=FORGET_DEADLINE)

    def exact(self, record_id: str) -> ExactAttention:
        """See `mmviz.backends.KeepsExact`."""
        self.exact_nbytes(record_id)
        return self._call(
            "GET", f"/v1/runs/{record_id}/exact", None, lambda data: exact_from_bytes(data, "wire-unreadable"),
            largest=LARGEST, seconds=LARGE_DEADLINE,
        )  # fmt: skip

    def exact_nbytes(self, record_id: str) -> int:
        """See `mmviz.backends.KeepsExact`. The server tells the size with the record."""
        return self._sizes.of(record_id)

    def reset(self) -> None:
        """Closes the circuit breaker, so that the next call is sent whatever happened before."""
        self._breaker.note(True)

    def _run(self, request: Request, stop: Stop) -> AttentionRecord | None:
        body, start = wire.request_to_bytes(request), time.perf_counter()
        try:
            record = self._call("POST", "/v1/runs", body, wire.record_from_bytes, stop)
        except _Stopped:
            return None
        record = self._sizes.without_size(record)
        milliseconds = dict(record.made_by.get("milliseconds", {}))
        elapsed = (time.perf_counter() - start) * 1e3
        milliseconds["network"] = round(max(0.0, elapsed - sum(float(stage) for stage in milliseconds.values())), 2)
        return replace(record, made_by={**record.made_by, "backend": self.host, "milliseconds": milliseconds})

    def _call(
        self, method: str, path: str, body: bytes | None, read: Callable[[bytes], T], stop: Stop = never_stop,
        largest: int = wire.MAX_INFLATED, seconds: float | None = None,
    ) -> T:  # fmt: skip
        """Sends one call, with up to `RETRIES` retries. A run changes nothing there, so it may be sent again.

        ``largest``: bytes that the response may have; ``seconds`` that all may take, retries included (None: the
        deadline of the backend). Raises ``_Stopped`` where ``stop`` ended it.
        """
        self._breaker.check(self.host)
        seconds = self._deadline if seconds is None else seconds
        end = time.monotonic() + seconds
        for attempt in range(RETRIES + 1):
            try:
                result = self._send_once(method, path, body, read, end, stop, largest, seconds)
            except MmvizError as error:
                delay = random.uniform(0.5, 1.5) * 0.2 * 2**attempt
                is_last = attempt == RETRIES or time.monotonic() + delay > end
                if is_last or error.code not in _RETRY_CODES:
                    self._breaker.note(error.code not in _FAULTS)
                    raise
                time.sleep(delay)
            else:
                self._breaker.note(True)
                return result
        raise AssertionError  # the last attempt returns or raises

    def _send_once(
        self, method: str, path: str, body: bytes | None, read: Callable[[bytes], T], end: float, stop: Stop,
        largest: int, seconds: float,
    ) -> T:  # fmt: skip
        connection = http.client.HTTPConnection(self._name, self._port)
        watch = _Watch(end, stop)
        try:
            self._connect(connection, watch, end)
            response = self._send(connection, method, path, body)
            data = _read_body(response, largest)
        except (OSError, http.client.HTTPException) as problem:
            watch.check()
            if watch.is_late or time.monotonic() >= end:
                raise MmvizError("backend-late", host=self.host, seconds=seconds) from None
            if isinstance(problem, http.client.HTTPException) and not isinstance(
                problem, http.client.RemoteDisconnected | http.client.IncompleteRead
            ):
                raise MmvizError("backend-answer", host=self.host, why=Notice("reason-not-http")) from None
            raise MmvizError("backend-unreachable", host=self.host, why=_reason(problem)) from None
        finally:
            watch.finish()
            connection.close()
        watch.check()
        if watch.is_late:
            raise MmvizError("backend-late", host=self.host, seconds=seconds)
        return self._parse(response, data, read)

    def _connect(self, connection: http.client.HTTPConnection, watch: _Watch, end: float) -> None:
        timeout = max(0.01, end - time.monotonic())
        plain = socket.create_connection((self._name, self._port), min(CONNECT_TIMEOUT, timeout))
        connection.sock = plain
        watch.cuts(plain)
        if self._context is not None:
            encrypted = self._context.wrap_socket(plain, server_hostname=self._name, do_handshake_on_connect=False)
            connection.sock = encrypted
            watch.cuts(encrypted)  # the plain socket has handed its connection over
            encrypted.do_handshake()
        connection.sock.settimeout(max(0.01, end - time.monotonic()))

    def _send(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None
    ) -> http.client.HTTPResponse:
        headers = {wire.HEADER: str(wire.PROTOCOL), "accept-encoding": "identity", "connection": "close"}
        if self._token is not None:
            headers["authorization"] = f"Bearer {self._token}"
        try:
            connection.request(method, path, body, headers)
        except (BrokenPipeError, ConnectionResetError):  # refused before all was sent: the response may be there
            return connection.getresponse()
        return connection.getresponse()

    def _parse(self, response: http.client.HTTPResponse, data: bytes | None, read: Callable[[bytes], T]) -> T:
        """Returns what the response holds. Raises the error that it holds, or ``backend-answer``."""
        version = response.headers.get(wire.HEADER)
        if version is None:
            if response.status in _RETRY_STATUS:  # a proxy in front of a backend that is down
                raise MmvizError("backend-unreachable", host=self.host, why=f"HTTP {response.status}")
            raise MmvizError(
                "backend-answer", host=self.host, why=Notice("reason-not-mmviz", {"status": response.status})
            )
        if version != str(wire.PROTOCOL):
            raise MmvizError("backend-version", host=self.host, version=version[:20], known=wire.PROTOCOL)
        if data is None:
            raise MmvizError("backend-answer", host=self.host, why=Notice("reason-too-long"))
        try:
            if response.status == 200:
                return read(data)
            error = error_from_bytes(data, "wire-unreadable", host=self.host)
        except MmvizError as problem:
            raise MmvizError("backend-answer", host=self.host, why=problem.code) from None
        raise error


class _Stopped(Exception):
    """The caller stopped the call."""


class _Watch:
    """Cuts a connection at the ``end`` of its time, and where ``stop`` returns True.

    That wakes the reader even where the server sends a byte now and then.
    """

    def __init__(self, end: float, stop: Stop):
        self._end, self._stop = end, stop
        self._sock: socket.socket | None = None
        self._finished = threading.Event()
        self.is_late, self._is_stopped = False, False
        threading.Thread(target=self._run, daemon=True).start()

    def check(self) -> None:
        """Raises ``_Stopped`` where the call was stopped."""
        if self._is_stopped:
            raise _Stopped

    def cuts(self, sock: socket.socket) -> None:
        """Names the socket to cut: `http.client` forgets its own once the header of the last response is there."""
        self._sock = sock
        if self.is_late or self._is_stopped:  # while there was none
            _shut_down(sock)

    def finish(self) -> None:
        """Ends the watch: the call is over."""
        self._finished.set()

    def _run(self) -> None:
        step = None if self._stop is never_stop else STOP_STEP
        while not self.is_late and not self._is_stopped:
            left = max(0.0, self._end - time.monotonic())
            if self._finished.wait(left if step is None else min(left, step)):
                return
            self._is_stopped = self._stop()
            self.is_late = time.monotonic() >= self._end
        if self._sock is not None:
            _shut_down(self._sock)


def _read_body(response: http.client.HTTPResponse, largest: int) -> bytes | None:
    """Returns the body, or None where it is longer than any that may be inflated, ``largest`` bytes."""
    parts, size = [], 0
    while part := response.read(_CHUNK):
        size += len(part)
        if size > largest:
            return None
        parts.append(part)
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    return b"".join(parts)


def _shut_down(sock: socket.socket) -> None:
    with suppress(OSError):  # it is closed already
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _reason(problem: Exception) -> Notice:
    if isinstance(problem, ssl.SSLCertVerificationError):
        return Notice("reason-certificate", {"problem": problem.verify_message})
    if isinstance(problem, socket.gaierror):
        return Notice("reason-no-machine")
    if isinstance(problem, ConnectionRefusedError):
        return Notice("reason-nothing-listens")
    if isinstance(problem, TimeoutError):
        return Notice("reason-no-answer")
    return Notice("reason-connection-broke")
