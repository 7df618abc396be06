"""A hub of Hugging Face on this machine: the part of its protocol that downloads use, over HTTP."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

COMMIT = "1" * 40


@dataclass(eq=False)
class LocalHub:
    """What the hub holds, and what it was asked for."""

    files: Mapping[str, bytes]
    """The files of every repository."""
    refusal: tuple[int, str] | None = None
    """Status and error code of every response; None to serve the files."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Sizes that are told of files in place of their own."""
    fetched: list[str] = field(default_factory=list)
    """Names of the files that were downloaded."""
    address: str = ""


@contextmanager
def running_hub(hub: LocalHub) -> Iterator[LocalHub]:
    """Serves ``hub`` at its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(is_head=True)

        def do_GET(self) -> None:
            self._answer()

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _answer(self, is_head: bool = False) -> None:
            path = urlsplit(self.path).path
            if hub.refusal:
                status, code = hub.refusal
                self._send(status, b"{}", {"X-Error-Code": code}, is_head)
            elif f"/tree/{COMMIT}" in path:
                self._send(200, json.dumps([_entry(hub, name) for name in hub.files]).encode())
            elif path.startswith("/api/models/"):
                siblings = [{"rfilename": name, "size": _size(hub, name)} for name in hub.files]
                self._send(200, json.dumps({"id": "owner/name", "sha": COMMIT, "siblings": siblings}).encode())
            elif (name := path.partition(f"/resolve/{COMMIT}/")[2]) in hub.files:
                if not is_head:
                    hub.fetched.append(name)
                headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{_digest(hub.files[name])}"'}
                self._send(200, hub.files[name], headers, is_head)
            else:
                self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"}, is_head)

        def _send(
            self, status: int, body: bytes, headers: Mapping[str, str] | None = None, is_head: bool = False
        ) -> None:
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            if not is_head:
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    hub.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def _size(hub: LocalHub, name: str) -> int:
    return hub.sizes.get(name, len(hub.files[name]))


def _digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


def _entry(hub: LocalHub, name: str) -> dict[str, object]:
    return {"type": "file", "path": name, "size": _size(hub, name), "oid": _digest(hub.files[name])}
