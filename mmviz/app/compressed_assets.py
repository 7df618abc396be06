"""Sends the scripts and styles of Streamlit's page compressed, from memory. No Streamlit.

Streamlit reads each of about a hundred files anew for every visitor and sends them as they are, 3 MB, since a proxy is
meant to compress them. On a slow line without such a proxy that is most of the time until the page draws anything.
"""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_COMPRESSED = ("text/", "application/javascript", "application/json")
"""Types that are compressed; fonts and pictures are already."""
_CONDITIONS = ("accept-encoding", "if-none-match", "if-modified-since", "range")
"""Headers that would have a file compressed, in parts, or not sent at all."""
_MAX_BYTES = 32_000_000
"""Bytes that are kept at most, about all that Streamlit has."""


@dataclass(frozen=True)
class _Asset:
    """A file as it is sent."""

    body: bytes
    """The content, compressed where ``headers`` say so."""
    headers: dict[str, str]
    """The headers of the answer."""


class StaticAssets:
    """ASGI middleware; see the module. It keeps files alone whose address names their content, which never changes."""

    def __init__(self, app: ASGIApp):
        self._app = app
        self._assets: dict[str, _Asset] = {}
        self._size = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if not _is_asset(scope):
            await self._app(scope, receive, send)
            return
        asset = self._assets.get(scope["path"]) or await self._read(scope, receive, send)
        if asset is not None:
            await Response(asset.body, headers=asset.headers)(scope, receive, send)

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> _Asset | None:
        """Returns a file from Streamlit, which is kept; None where another answer was sent, or the browser left."""
        start: Message = {}
        body = bytearray()
        is_whole = False  # the file is read no further once its browser has left

        async def gather(message: Message) -> None:
            nonlocal is_whole
            if message["type"] == "http.response.start":
                start.update(message)
                if not _is_kept(message):
                    await send(message)
            elif _is_kept(start):
                body.extend(message.get("body", b""))
                is_whole = not message.get("more_body", False)
            else:
                await send(message)

        await self._app(unconditional(scope), receive, gather)
        if not (is_whole and _is_kept(start)):
            return None
        asset = await asyncio.to_thread(_packed, Headers(raw=start["headers"]), bytes(body))
        if self._size + len(asset.body) <= _MAX_BYTES and scope["path"] not in self._assets:
            self._assets[scope["path"]] = asset
            self._size += len(asset.body)
        return asset


def unconditional(scope: Scope) -> Scope:
    """Returns a request that is answered with the whole content as it is."""
    headers = MutableHeaders(raw=list(scope["headers"]))
    for name in _CONDITIONS:
        del headers[name]
    return {**scope, "headers": headers.raw}


def _is_asset(scope: Scope) -> bool:
    """Returns whether a request is for a whole file of Streamlit's page, by a browser that reads compressed ones."""
    if scope["type"] != "http" or scope["method"] != "GET" or "/static/" not in scope["path"]:
        return False
    headers = Headers(scope=scope)
    return "gzip" in headers.get("accept-encoding", "") and "range" not in headers


def _is_kept(start: Message) -> bool:
    """Returns whether an answer is a file that never changes under its address."""
    return start["status"] == 200 and "immutable" in Headers(raw=start["headers"]).get("cache-control", "")


def _packed(headers: Headers, body: bytes) -> _Asset:
    """Returns a file as it is sent from now on."""
    kept = {name: headers[name] for name in ("content-type", "cache-control") if name in headers}
    if headers.get("content-type", "").startswith(_COMPRESSED):
        body = gzip.compress(body, mtime=0)
        kept |= {"content-encoding": "gzip", "vary": "accept-encoding"}
    return _Asset(body, kept)
