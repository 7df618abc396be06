"""The body of a request to the service, and whether its client still waits."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import TypeVar

from starlette.requests import Request as HttpRequest

from mmviz.types import MmvizError

T = TypeVar("T")


async def read_body(request: HttpRequest, largest: int, seconds: float) -> bytes:
    """Returns the body, of at most ``largest`` bytes, once it has arrived within ``seconds``.

    Raises ``MmvizError``: ``wire-large``, from the header alone where possible; ``wire-slow``.
    """
    too_large = MmvizError("wire-large", limit=largest / 1e6)
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > largest:
        raise too_large
    parts, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size > largest:
                    raise too_large
                parts.append(part)
    except TimeoutError:
        raise MmvizError("wire-slow", seconds=seconds) from None
    return b"".join(parts)


async def unless_disconnected(request: HttpRequest, future: Future[T]) -> T | None:
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
