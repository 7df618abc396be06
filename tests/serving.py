"""A real service on this machine for tests, and a server with every fault there is."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import uvicorn
from numpy.typing import NDArray
from processes import wait_until

from mmviz.backends import Backend, wire
from mmviz.backends.server import make_app
from mmviz.types import Answer, AttentionMap, AttentionRecord, Card, Modality, Request, Token, View


@contextmanager
def running_service(backend: Backend, **options: Any) -> Iterator[str]:
    """Yields the address of a service for ``backend`` that is ready."""
    server = uvicorn.Server(
        uvicorn.Config(make_app(backend, **options), "127.0.0.1", 0, log_level="error", http="h11", ws="none")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started, "the service did not start")
        port = server.servers[0].sockets[0].getsockname()[1]
        wait_until(lambda: _is_ready(port), "the service did not become ready")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


def _is_ready(port: int) -> bool:
    response = raw_response(port, b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    return response.startswith(b"HTTP/1.1 200")


def raw_response(port: int, request: bytes) -> bytes:
    """Returns what a server on this machine sends in return for ``request``."""
    parts = []
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.settimeout(30)
        connection.sendall(request)
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


class SlowBackend:
    """A backend whose runs last until ``release`` is set. The answer of each is the text of its request."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.started = 0

    def wait(self, stop: Callable[[], bool]) -> bool:
        """Waits until ``release`` is set. Returns whether the run goes on then."""
        self.release.wait(20)
        return True

    def models(self) -> tuple[Card, ...]:
        return (Card("slow", "Slow", "Waits.", True, ("yes",), "0" * 64),)

    def run(
        self, requests: Sequence[Request], progress: Any = None, stop: Callable[[], bool] = lambda: False
    ) -> tuple[AttentionRecord, ...]:
        if stop():
            return ()
        self.started += 1
        if not self.wait(stop):
            return ()
        return tuple(text_record(request.sample.text or "") for request in requests)

    def view(self, record_id: str, view: View) -> NDArray[np.float32]:
        return np.zeros((1, 1), np.float32)

    def forget_inputs(self, record_ids: Sequence[str]) -> None:
        """Keeps nothing."""


def text_record(text: str) -> AttentionRecord:
    """Returns a record of one token, whose answer is ``text``."""
    attn_map = AttentionMap(
        weights=np.ones((1, 1, 1), np.float32), name="one", layer=0, queries="tokens", keys="tokens", dtype="float32"
    )
    made_by = {"model": "slow", "device": "cpu", "milliseconds": {"model": 1.0}}
    return AttentionRecord(
        id="a1", streams={"tokens": (Token(Modality.SPECIAL, "x"),)}, maps=(attn_map,), answers=(Answer(text, 1.0),),
        made_by=made_by, notices=(),
    )  # fmt: skip


@contextmanager
def faulty_server(respond: Callable[[socket.socket], None]) -> Iterator[tuple[str, list[float]]]:
    """Yields the address of a server that calls ``respond`` for each connection, and the times of the connections."""
    times: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                times.append(time.monotonic())
                threading.Thread(target=handle, args=(connection,), daemon=True).start()

        def handle(connection: socket.socket) -> None:
            with connection:
                try:
                    connection.settimeout(5)
                    _read_request(connection)
                    respond(connection)
                except OSError:
                    pass  # the client closed the connection

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", times
        listener.close()


def _read_request(connection: socket.socket) -> None:
    """Reads one request: a connection closed with unread data is reset, and the response may be lost."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _receive(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
    while len(body) < int((lengths or [b"0"])[0]):
        body += _receive(connection)


def _receive(connection: socket.socket) -> bytes:
    data = connection.recv(65_536)
    if not data:
        raise ConnectionResetError
    return data


def http_response(body: bytes, status: int = 200, **headers: str) -> bytes:
    """Returns an HTTP response with the header of this protocol's version, unless ``headers`` replace it.

    The connection ends with it, as uvicorn answers a client that wants no other response.
    """
    fields = {"mmviz_protocol": str(wire.PROTOCOL), "content_length": str(len(body)), "connection": "close", **headers}
    lines = [f"HTTP/1.1 {status} X", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items() if value)]
    return "\r\n".join([*lines, "", ""]).encode() + body
