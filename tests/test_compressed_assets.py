"""Streamlit's scripts and styles, compressed and kept: the same files, fewer bytes, and nothing else touched."""

from __future__ import annotations

import asyncio
import gzip
import http.client
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import streamlit
from processes import ROOT
from real_page import serving
from starlette.applications import Starlette
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from mmviz.app.compressed_assets import StaticAssets

SCRIPT = "/static/js/some.DmorvYxC.js"
FOREVER = "public, immutable, max-age=31536000"
BODY = b"export const numbers = [1, 2, 3];\n" * 200


class Counted:
    """A server of one answer that counts its requests."""

    def __init__(self, content_type: str = "text/javascript", cache: str = FOREVER, status: int = 200):
        self.requests = 0
        self._answer = (status, {"content-type": content_type, "cache-control": cache, "etag": '"of the file"'})

    async def answer(self, _: object) -> Response:
        """Answers any request."""
        self.requests += 1
        status, headers = self._answer
        return Response(BODY, status, headers)

    def client(self) -> TestClient:
        """Returns a client of this server behind `StaticAssets`."""
        app = Starlette(routes=[Route("/{path:path}", self.answer, methods=["GET", "POST"])])
        return TestClient(StaticAssets(app))


def test_a_script_is_read_once_and_sent_compressed() -> None:
    source = Counted()
    with source.client() as client:
        answers = [client.get(SCRIPT) for _ in range(3)]
    assert source.requests == 1
    for answer in answers:
        assert answer.content == BODY  # the client decompresses it
        assert answer.headers["content-encoding"] == "gzip" and answer.headers["cache-control"] == FOREVER
        assert int(answer.headers["content-length"]) < len(BODY) / 10
        assert answer.headers["vary"] == "accept-encoding" and "etag" not in answer.headers


def test_a_file_is_not_kept_in_part_where_its_browser_leaves(tmp_path: Path) -> None:
    """Else all others would get an empty script until the server is renewed."""
    (tmp_path / "some.js").write_bytes(BODY)
    file = Route("/{path:path}", lambda _: FileResponse(tmp_path / "some.js", headers={"cache-control": FOREVER}))
    assets, sent = StaticAssets(Starlette(routes=[file])), []

    async def leave() -> dict[str, object]:
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": SCRIPT, "query_string": b"",
             "headers": [(b"accept-encoding", b"gzip")]}  # fmt: skip
    with ThreadPoolExecutor() as pool:  # a browser of another test may have a loop in this thread
        pool.submit(asyncio.run, assets(scope, leave, send)).result(60)
    assert not sent, "nobody is there to read it"
    with TestClient(assets) as client:
        assert client.get(SCRIPT).content == BODY


def test_a_font_is_kept_as_it_is() -> None:
    source = Counted("font/woff2")
    with source.client() as client:
        answers = [client.get("/static/media/font.woff2") for _ in range(2)]
    assert source.requests == 1
    assert [answer.content for answer in answers] == [BODY, BODY]
    assert "content-encoding" not in answers[1].headers


@pytest.mark.parametrize(
    ("source", "path", "headers"),
    [
        (Counted(cache="no-cache"), "/static/manifest.json", {}),
        (Counted(status=404), SCRIPT, {}),
        (Counted(), "/media/picture.js", {}),
        (Counted(), SCRIPT, {"accept-encoding": "identity"}),
        (Counted(), SCRIPT, {"range": "bytes=0-9"}),
    ],
    ids=["may change", "missing", "of a visitor", "plain", "a part"],
)
def test_what_is_no_lasting_file_goes_through_each_time(source: Counted, path: str, headers: dict[str, str]) -> None:
    with source.client() as client:
        answers = [client.get(path, headers=headers) for _ in range(2)]
    assert source.requests == 2
    for answer in answers:
        assert answer.content == BODY and "content-encoding" not in answer.headers
        assert answer.headers["etag"] == '"of the file"'


@pytest.mark.slow
def test_the_app_sends_each_script_of_its_page_as_streamlit_has_it() -> None:
    folder = Path(streamlit.__file__).parent / "static" / "static" / "js"
    scripts = sorted(folder.glob("*.js"), key=lambda path: path.stat().st_size)[-8:]
    sent = 0
    with serving(ROOT / "app.py") as address:
        connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
        for script in scripts:
            connection.request("GET", f"/static/js/{script.name}", headers={"accept-encoding": "gzip"})
            answer = connection.getresponse()
            body = answer.read()
            assert gzip.decompress(body) == script.read_bytes()
            sent += len(body)
    assert sent < sum(script.stat().st_size for script in scripts) / 2
