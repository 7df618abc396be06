"""The service: who may ask, what is refused at once, a queue that is bounded, views, and an end without loss."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import numpy as np
import pytest
from long_model import make as make_long
from serving import Slow, asked, served

from mmviz.backends import wire
from mmviz.backends.local import LocalBackend
from mmviz.backends.remote import RemoteBackend
from mmviz.backends.server import Limits
from mmviz.io.npz import pack_npz
from mmviz.models.custom import CustomModel
from mmviz.types import InputError, MapRef, MmvizError, Request, Rows, Sample, Zoom

TOKEN = "a-token-of-twenty-chars"


def _ask(url: str, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    said = {"Host": "localhost", "Connection": "close", "Content_Length": str(len(body)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in said.items())
    answer = asked(urlsplit(url).port, f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body)
    head, _, rest = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), rest


def _code(found: tuple[int, bytes]) -> tuple[int, str]:
    return found[0], json.loads(found[1])["code"]


@pytest.fixture(scope="module")
def url() -> str:
    with served(LocalBackend("cpu")) as found:
        yield found


def test_other_hosts_and_web_pages_are_refused(url: str) -> None:
    for evil in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "", "[::1"):
        assert _code(_ask(url, "/version", Host=evil)) == (403, "wire-refused"), evil
    assert _code(_ask(url, "/version", Origin="https://evil.example")) == (403, "wire-refused")
    for good in ("localhost", "127.0.0.1:8600", "[::1]:8600", "LOCALHOST"):
        assert _ask(url, "/version", Host=good)[0] == 200, good


def test_it_tells_that_it_lives_its_version_and_its_counters(url: str) -> None:
    assert json.loads(_ask(url, "/live")[1]) == {"live": True}
    assert json.loads(_ask(url, "/version")[1])["protocol"] == wire.PROTOCOL
    RemoteBackend(url).run([Request("toy", Sample(text="left both"))])
    counted = _ask(url, "/metrics")[1].decode()
    assert 'mmviz_requests_total{route="run",status="200"}' in counted and "mmviz_run_seconds_count" in counted


def test_a_token_is_needed_for_all_but_life_and_readiness() -> None:
    with served(Slow(), token=TOKEN) as url:
        assert _ask(url, "/live")[0] == 200 and _ask(url, "/ready")[0] == 200
        for path in ("/version", "/metrics", "/v1/models", "/v1/runs", "/elsewhere"):
            assert _code(_ask(url, path)) == (401, "backend-token")
            assert _code(_ask(url, path, Authorization="Bearer wrong")) == (401, "backend-token")
        assert _ask(url, "/version", Authorization=f"Bearer {TOKEN}")[0] == 200
        assert [card.id for card in RemoteBackend(url, TOKEN).models()] == ["slow"]
        with pytest.raises(MmvizError, match=r"127\.0\.0\.1:\d+ does not take this token"):
            RemoteBackend(url, "another-of-twenty-chars").models()


def test_there_are_no_other_routes(url: str) -> None:
    for path in ("/", "/admin", "/docs", "/openapi.json", "/v1/runs/../../etc/passwd", "/v1"):
        assert _ask(url, path)[0] == 404, path
    assert _ask(url, "/v1/runs")[0] == 405


def test_too_large_is_refused_from_its_header_and_without_one(url: str) -> None:
    began = time.monotonic()
    assert _code(_ask(url, "/v1/runs", "POST", Content_Length="24000001")) == (413, "wire-large")
    assert time.monotonic() - began < 5  # nothing of it was waited for
    with served(Slow(), limits=Limits(upload=1_000)) as small:
        chunked = b"400\r\n" + b"x" * 1_024 + b"\r\n0\r\n\r\n"
        lines = b"POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert asked(urlsplit(small).port, lines + chunked).startswith(b"HTTP/1.1 413")


def test_an_upload_that_does_not_come_is_given_up() -> None:
    with served(Slow(), limits=Limits(upload_seconds=0.3)) as url:
        assert _code(_ask(url, "/v1/runs", "POST", Content_Length="500")) == (408, "wire-slow")
        assert json.loads(_ask(url, "/ready")[1])["waiting"] == 0


@pytest.mark.parametrize(
    "body",
    [
        b"", b"junk", b"PK\5\6" + b"\0" * 18, pack_npz({}, {}), pack_npz({"protocol": 1}, {}),
        pack_npz({"model": "trio", "changes": [], "seed": 0, "relevance": False, "text": 5, "image": None,
                "audio": None, "sample_notices": []}, {}),
        pack_npz({"model": "trio", "changes": [{"kind": "Run", "path": "x"}], "seed": 0, "relevance": False,
                "text": "hi", "image": None, "audio": None, "sample_notices": []}, {}),
        pack_npz({"model": "trio", "changes": [], "seed": -1, "relevance": False, "text": "hi", "image": None,
                "audio": None, "sample_notices": []}, {}),
        pack_npz({"model": "trio", "changes": [], "seed": 0, "relevance": False, "text": "hi",
                "image": {"width": "9", "height": 1e9}, "audio": None, "sample_notices": []},
               {"image": np.zeros((4, 4, 3), np.uint8)}),
        pack_npz({"model": "trio", "changes": [], "seed": 0, "relevance": False, "text": "hi", "image": None,
                "audio": {"rate": 8_000, "seconds": 1}, "sample_notices": []}, {"audio": np.zeros(8_000, np.float32)}),
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(url: str, body: bytes) -> None:
    assert _code(_ask(url, "/v1/runs", "POST", body)) == (422, "wire-unreadable")


def test_inputs_are_checked_again(url: str) -> None:
    whole = Request("trio", Sample(text="x" * 100_000))
    with pytest.raises(InputError, match="characters; mmviz takes at most"):
        RemoteBackend(url).run([whole])
    with pytest.raises(InputError, match="nothing to look at"):
        RemoteBackend(url).run([Request("trio", Sample())])


def test_a_full_queue_says_so_at_once_and_loses_nothing() -> None:
    slow = Slow()
    with served(slow, limits=Limits(waiting=3)) as url, ThreadPoolExecutor(8) as pool:
        body = wire.request_to_bytes(Request("slow", Sample(text="hi")))
        first = [pool.submit(_ask, url, "/v1/runs", "POST", body) for _ in range(3)]
        while json.loads(_ask(url, "/ready")[1])["waiting"] < 3:
            time.sleep(0.01)
        began = time.monotonic()
        assert _code(_ask(url, "/v1/runs", "POST", body)) == (429, "backend-busy")
        assert time.monotonic() - began < 1
        assert _ask(url, "/ready")[0] == 503 and _ask(url, "/live")[0] == 200
        slow.go.set()
        assert [one.result()[0] for one in first] == [200] * 3
        assert _ask(url, "/v1/runs", "POST", body)[0] == 200


def test_a_run_that_lasts_too_long_is_given_up_and_those_behind_it_are_not_begun() -> None:
    slow = Slow()
    with served(slow, limits=Limits(seconds=0.4)) as url, ThreadPoolExecutor(2) as pool:
        body = wire.request_to_bytes(Request("slow", Sample(text="hi")))
        found = list(pool.map(lambda _: _ask(url, "/v1/runs", "POST", body), range(2)))
        assert [_code(one) for one in found] == [(504, "backend-late")] * 2
        assert json.loads(_ask(url, "/ready")[1])["waiting"] == 2  # the one that computes still fills its place
        slow.go.set()
        while json.loads(_ask(url, "/ready")[1])["waiting"]:
            time.sleep(0.01)
        assert slow.begun == 1 and _ask(url, "/v1/runs", "POST", body)[0] == 200


def test_the_end_finishes_what_runs() -> None:
    slow = Slow()
    found: list[int] = []
    with served(slow) as url:
        body = wire.request_to_bytes(Request("slow", Sample(text="hi")))
        thread = threading.Thread(target=lambda: found.append(_ask(url, "/v1/runs", "POST", body)[0]))
        thread.start()
        while not slow.begun:
            time.sleep(0.01)
        threading.Timer(0.5, slow.go.set).start()
    thread.join(10)
    assert found == [200]


def test_an_error_of_the_model_says_nothing_of_what_was_sent(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Slow):
        def run(self, requests: object, progress: object = None, stop: object = None) -> tuple[()]:
            raise RuntimeError("the text was: a secret")

    with served(Broken()) as url:
        body = wire.request_to_bytes(Request("slow", Sample(text="a secret")))
        status, answer = _ask(url, "/v1/runs", "POST", body)
        assert status == 500 and b"secret" not in answer and "secret" not in caplog.text
        assert "RuntimeError" in caplog.text and _ask(url, "/ready")[0] == 200


def test_twenty_at_once_are_never_mixed_up() -> None:
    slow = Slow()
    slow.go.set()
    with served(slow, limits=Limits(waiting=64)) as url, ThreadPoolExecutor(20) as pool:
        texts = [f"visitor {k % 20}, run {k // 20}" for k in range(200)]
        found = pool.map(lambda text: RemoteBackend(url).run([Request("slow", Sample(text=text))])[0], texts)
        assert [record.answers[0].label for record in found] == texts


def test_views_of_a_long_run_are_those_of_the_machine_that_made_it() -> None:
    yours: CustomModel = make_long()
    here = LocalBackend("cpu", {"long": yours})
    with served(here) as url:
        there = RemoteBackend(url)
        record = there.run([Request("long", Sample(text="x"))])[0]
        assert record.is_long and record.made_by["backend"] == urlsplit(url).netloc
        for view in (Rows(MapRef("attention", 0, 0), (3, 5)), Zoom(0, None, (0, 8, 16), (0, 4, 32))):
            assert np.array_equal(there.view(record.id, view), here.view(record.id, view))
        with pytest.raises(MmvizError, match="There is no token 99999"):
            there.view(record.id, Rows(MapRef("attention", 0, 0), (99_999,)))
        for gone in ("0" * 32, "../../live", "a/b"):
            with pytest.raises(MmvizError, match="no longer kept"):
                there.view(gone, Rows(MapRef("attention", 0, 0), (1,)))
