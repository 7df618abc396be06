"""A real service on loopback, and one that fails in every way there is."""

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

from mmviz.backends import Backend
from mmviz.backends.server import make_app
from mmviz.types import (
    Answer,
    AttentionMap,
    AttentionRecord,
    Card,
    Modality,
    Request,
    Token,
    View,
)


@contextmanager
def served(backend: Backend, **options: Any) -> Iterator[str]:
    """The address of a service for ``backend`` that is ready."""
    server = uvicorn.Server(
        uvicorn.Config(make_app(backend, **options), "127.0.0.1", 0, log_level="error", http="h11", ws="none")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    while not _is_ready(port):
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


def _is_ready(port: int) -> bool:
    return asked(port, b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").startswith(
        b"HTTP/1.1 200"
    )


def asked(port: int, words: bytes) -> bytes:
    """What a server on loopback answers to these bytes."""
    parts = []
    with socket.create_connection(("127.0.0.1", port), 10) as found:
        found.sendall(words)
        while part := found.recv(65_536):
            parts.append(part)
    return b"".join(parts)


class Slow:
    """A backend whose runs last until ``go`` is set; each answers with the text it was asked."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = 0

    def models(self) -> tuple[Card, ...]:
        return (Card("slow", "Slow", "Waits.", True, ("yes",), "0" * 64),)

    def run(
        self, requests: Sequence[Request], progress: Any = None, stop: Callable[[], bool] = lambda: False
    ) -> tuple[AttentionRecord, ...]:
        if stop():
            return ()
        self.begun += 1
        self.go.wait(20)
        return tuple(record_of(request.sample.text or "") for request in requests)

    def view(self, record_id: str, view: View) -> NDArray[np.float32]:
        return np.zeros((1, 1), np.float32)


def record_of(text: str) -> AttentionRecord:
    """A record of one token, which answers ``text``."""
    found = AttentionMap(weights=np.ones((1, 1, 1), np.float32), name="one", layer=0, queries="tokens", keys="tokens",
                         dtype="float32")  # fmt: skip
    made = {"model": "slow", "device": "cpu", "milliseconds": {"model": 1.0}}
    return AttentionRecord(
        id="a1", streams={"tokens": (Token(Modality.SPECIAL, "x"),)}, maps=(found,), answers=(Answer(text, 1.0),),
        made_by=made, notices=(),
    )  # fmt: skip


@contextmanager
def faulty(answer: Callable[[socket.socket], None]) -> Iterator[tuple[str, list[float]]]:
    """The address of a server that does with each connection what ``answer`` does; and when each came."""
    came: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    found, _ = listening.accept()
                except OSError:
                    return
                came.append(time.monotonic())
                threading.Thread(target=one, args=(found,), daemon=True).start()

        def one(found: socket.socket) -> None:
            with found:
                try:
                    found.settimeout(5)
                    _take(found)
                    answer(found)
                except OSError:
                    pass  # the other side had enough

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", came
        listening.close()


def _take(found: socket.socket) -> None:
    """Read one request: what is closed with some of it unread is reset, and the answer may be lost."""
    taken = b""
    while b"\r\n\r\n" not in taken:
        taken += found.recv(65_536)
    head, _, body = taken.partition(b"\r\n\r\n")
    told = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
    while len(body) < int((told or [b"0"])[0]):
        body += found.recv(65_536)


def http(body: bytes, status: int = 200, **headers: str) -> bytes:
    """An answer in HTTP, of this protocol's version unless ``headers`` say otherwise."""
    said = {"mmviz_protocol": "1", "content_length": str(len(body)), **headers}
    lines = [f"HTTP/1.1 {status} X", *(f"{name.replace('_', '-')}: {value}" for name, value in said.items() if value)]
    return "\r\n".join([*lines, "", ""]).encode() + body
