"""A reverse proxy on loopback that changes the headers of requests as nginx does, by default or with our lines."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from processes import free_port

Headers = dict[str, str]
"""Headers of a request by their names in lower case."""


def nginx_default(upstream: str, visitor: Mapping[str, str]) -> Headers:
    """What nginx does with ``proxy_pass`` alone: no upgrade, and the upstream's name as Host."""
    kept = {name: value for name, value in visitor.items() if name not in ("upgrade", "connection")}
    return {**kept, "host": upstream, "connection": "close"}


def nginx_upgrading(upstream: str, visitor: Mapping[str, str]) -> Headers:
    """The lines for WebSocket connections that the internet gives, which leave Host as nginx sets it."""
    return {**visitor, "host": upstream, "connection": "upgrade"}


def nginx_documented(_: str, visitor: Mapping[str, str]) -> Headers:
    """The lines of docs/serving.md."""
    return {**visitor, "connection": "upgrade", "x-forwarded-proto": "http"}


@contextmanager
def reverse_proxy(port: int, change: Callable[[str, Mapping[str, str]], Headers]) -> Iterator[int]:
    """Yields the port of a proxy on 127.0.0.1 in front of ``port``, whose requests have the headers of ``change``."""
    own_port, loop, is_ready = free_port(), asyncio.new_event_loop(), threading.Event()

    async def handle(visitor: asyncio.StreamReader, to_visitor: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            line, headers = _parse(await visitor.readuntil(b"\r\n\r\n"))
            server, to_server = await asyncio.open_connection("127.0.0.1", port)
            to_server.write(_join(line, change(f"127.0.0.1:{port}", headers)))
            upward = asyncio.create_task(_copy(visitor, to_server))
            status, answer = _parse(await server.readuntil(b"\r\n\r\n"))
            if " 101 " not in status:
                answer["connection"] = "close"  # so that a connection carries one request, and none is passed unchanged
            to_visitor.write(_join(status, answer))
            await asyncio.wait([upward, asyncio.create_task(_copy(server, to_visitor))])
        to_visitor.close()

    async def serve() -> None:
        async with await asyncio.start_server(handle, "127.0.0.1", own_port):
            is_ready.set()
            await asyncio.get_running_loop().create_future()

    def run() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    task = loop.create_task(serve())
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert is_ready.wait(30)
    try:
        yield own_port
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(30)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
    with suppress(OSError):
        target.close()


def _parse(head: bytes) -> tuple[str, Headers]:
    line, *fields = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    return line, {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}


def _join(line: str, headers: Mapping[str, str]) -> bytes:
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{line}\r\n{fields}\r\n".encode("latin-1")
