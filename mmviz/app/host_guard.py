"""Lets visitors in under the names given alone, and tells the others in the page what to do. No Streamlit.

Streamlit refuses the WebSocket connection of a page under a name that it does not know, and that page stays empty. This
ASGI middleware decides in its place, reports each case in the terminal once, and gives the page a script that asks for
the decision and shows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from mmviz.app.allowed_hosts import Refusal, VisitorAddresses, netloc
from mmviz.app.compressed_assets import unconditional
from mmviz.app.host_refusal import refusal_html
from mmviz.app.prerendered_page import loading_html
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.language import LANGUAGES, Language, preferred_language, use_language
from mmviz.inputs.examples import load_gallery

STREAM = "/_stcore/stream"
"""Streamlit's WebSocket. The script requests the same path, which a proxy may treat apart from all others."""
SCRIPT = "/_mmviz/host_check.js"
_REFUSAL_HEADER = "x-mmviz-refusal"
"""Marks a response as the guard's own: a proxy may answer with a page of its own."""
_TAG = f'<script defer src=".{SCRIPT}"></script>'.encode()
_NOT_PAGES = ("/_stcore/", "/static/", "/media/", "/component/")
"""Paths of Streamlit that are not its page."""
_MAX_REPORTS = 10
"""Different cases that the terminal is told at most: whoever reaches the page can make them up."""


class ConnectionGuard:
    """ASGI middleware; see the module. ``addresses`` are those that the page may be opened under."""

    def __init__(self, app: ASGIApp, addresses: VisitorAddresses):
        self._app = app
        self._addresses = addresses
        self._reported: set[Refusal] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one HTTP request or WebSocket connection."""
        if scope["type"] == "websocket" and scope["path"] == STREAM:
            await self._connect(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] == STREAM:
            await self._explain(scope)(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] == SCRIPT:
            script = Path(__file__).with_name("host_check.js")
            await FileResponse(script, headers={"cache-control": "no-cache"})(scope, receive, send)
        elif _is_page(scope):
            await _send_page(self._app, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a WebSocket connection on, or refuses it; answers the script's question."""
        headers, question = Headers(scope=scope), QueryParams(scope["query_string"])
        host, origin = headers.get("host"), headers.get("origin")
        refusal = self._addresses.refusal(host, origin)
        if refusal:
            self._report(refusal)
        websocket = WebSocket(scope, receive, send)
        if "check" in question:
            await websocket.accept()
            await websocket.send_text(_message(refusal, question, headers) if refusal else "")
            await websocket.close()
        elif refusal:
            await websocket.close()
        else:
            await self._app(_renamed(scope, origin), receive, send)

    def _explain(self, scope: Scope) -> Response:
        """Returns why a request for a WebSocket connection came as a plain one: a proxy dropped its Upgrade header."""
        headers, question = Headers(scope=scope), QueryParams(scope["query_string"])
        refusal = self._addresses.refusal(headers.get("host"), question.get("origin")) or Refusal("websocket")
        self._report(Refusal("websocket"))
        return HTMLResponse(_message(refusal, question, headers), 400, {_REFUSAL_HEADER: refusal.kind})

    def _report(self, refusal: Refusal) -> None:
        if refusal not in self._reported and len(self._reported) < _MAX_REPORTS:
            self._reported.add(refusal)
            print(sentence(f"app-refused-{refusal.kind}", visitor=refusal.visitor, host=refusal.host), flush=True)


def _message(refusal: Refusal, question: Mapping[str, str], headers: Headers) -> str:
    """Returns what the page shows where a connection is refused."""
    with use_language(_language(question, headers)):
        return refusal_html(refusal)


def _placeholder(scope: Scope) -> bytes:
    """Returns what the page shows until Streamlit draws it: the recorded run that its address opens, if it is one."""
    question = QueryParams(scope["query_string"])
    is_example = "run" not in question and question.get("page", "explore") == "explore"
    known = {example.id for example in load_gallery()}
    name = question.get("example", "")
    return loading_html(
        _language(question, Headers(scope=scope)), (name if name in known else "") if is_example else None
    )


def _language(question: Mapping[str, str], headers: Headers) -> Language:
    """Returns the language that the address of a page names, else the browser's."""
    accepted = [part.partition(";")[0] for part in headers.get("accept-language", "").split(",")]
    named = next((tag for tag in LANGUAGES if tag == question.get("lang")), None)
    return named or preferred_language(accepted) or "en"


def _renamed(scope: Scope, origin: str | None) -> Scope:
    """Returns the scope with the Host header that the browser used, where a proxy changed it.

    Streamlit compares Host with Origin once more, and looks this machine's own address up in the internet where they
    differ.
    """
    headers = MutableHeaders(raw=list(scope["headers"]))
    if origin and (name := netloc(origin)):
        headers["host"] = name
    return {**scope, "headers": headers.raw}


def _is_page(scope: Scope) -> bool:
    """Returns whether a browser requests the page itself, not a part of it."""
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and not scope["path"].startswith(_NOT_PAGES)
        and "text/html" in Headers(scope=scope).get("accept", "")
    )


async def _send_page(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Sends Streamlit's page with the script in its head, and with a placeholder in its body."""
    start: Message = {}
    body = bytearray()

    async def add_script(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
            return
        body.extend(message.get("body", b""))
        if message.get("more_body"):
            return
        content = bytes(body).replace(b"</head>", _TAG + b"</head>", 1)
        if b"</body>" in content:
            placeholder = await asyncio.to_thread(_placeholder, scope)
            content = content.replace(b"</body>", placeholder + b"</body>", 1)
        answer = MutableHeaders(raw=list(start["headers"]))
        for name in ("etag", "last-modified"):  # of the file without the script
            del answer[name]
        answer["content-length"] = str(len(content))
        await send({**start, "headers": answer.raw})
        await send({"type": "http.response.body", "body": content})

    await app(unconditional(scope), receive, add_script)
