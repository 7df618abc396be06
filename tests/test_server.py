"""The service: access, refusals, the bounded queue, views, and the end without loss."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from long_model import make as make_long
from processes import wait_until
from serving import SlowBackend, raw_response, running_service

from mmviz.backends import wire
from mmviz.backends.local import LocalBackend
from mmviz.backends.remote import RemoteBackend
from mmviz.backends.server import Limits
from mmviz.io.npz import pack_npz
from mmviz.types import CaptureError, InputError, MapRef, MmvizError, Request, Rows, Sample, Zoom

pytestmark = pytest.mark.slow

TOKEN = "a-token-of-twenty-chars"


def _call(url: str, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    """Returns status and body of the response."""
    fields = {"Host": "localhost", "Connection": "close", "Content_Length": str(len(body)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    port = urlsplit(url).port
    assert port is not None
    response = raw_response(port, f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body)
    head, _, content = response.partition(b"\r\n\r\n")
    return int(head.split()[1]), content


def _error(response: tuple[int, bytes]) -> tuple[int, str]:
    """Returns status and error code."""
    return response[0], json.loads(response[1])["code"]


def _waiting(url: str) -> int:
    return int(json.loads(_call(url, "/ready")[1])["waiting"])


@pytest.fixture(scope="module")
def url() -> Any:
    with running_service(LocalBackend("cpu")) as address:
        yield address


def test_other_hosts_and_web_pages_are_refused(url: str) -> None:
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "", "[::1"):
        assert _error(_call(url, "/version", Host=host)) == (403, "wire-refused"), host
    assert _error(_call(url, "/version", Origin="https://evil.example")) == (403, "wire-refused")
    for host in ("localhost", "127.0.0.1:8600", "[::1]:8600", "LOCALHOST"):
        assert _call(url, "/version", Host=host)[0] == 200, host


def test_liveness_version_and_metrics_are_reported(url: str) -> None:
    assert json.loads(_call(url, "/live")[1]) == {"live": True}
    assert json.loads(_call(url, "/version")[1])["protocol"] == wire.PROTOCOL
    RemoteBackend(url).run([Request("toy", Sample(text="left both"))])
    metrics = _call(url, "/metrics")[1].decode()
    assert 'mmviz_requests_total{route="run",status="200"}' in metrics and "mmviz_run_seconds_count" in metrics


def test_a_client_of_another_protocol_version_is_refused(url: str) -> None:
    body = wire.request_to_bytes(Request("toy", Sample(text="left both")))
    assert _call(url, "/v1/runs", "POST", body, mmviz_protocol=str(wire.PROTOCOL))[0] == 200
    assert _error(_call(url, "/v1/runs", "POST", body, mmviz_protocol="1")) == (400, "backend-version")
    assert _call(url, "/live", mmviz_protocol="1")[0] == 200


def test_a_token_is_needed_for_all_but_liveness_and_readiness() -> None:
    with running_service(SlowBackend(), token=TOKEN) as url:
        assert _call(url, "/live")[0] == 200 and _call(url, "/ready")[0] == 200
        for path in ("/version", "/metrics", "/v1/models", "/v1/runs", "/elsewhere"):
            assert _error(_call(url, path)) == (401, "backend-token")
            assert _error(_call(url, path, Authorization="Bearer wrong")) == (401, "backend-token")
        assert _call(url, "/version", Authorization=f"Bearer {TOKEN}")[0] == 200
        assert [card.id for card in RemoteBackend(url, TOKEN).models()] == ["slow"]
        with pytest.raises(MmvizError) as error:
            RemoteBackend(url, "another-of-twenty-chars").models()
        assert error.value.code == "backend-token" and error.value.parameters["host"] == urlsplit(url).netloc


def test_there_are_no_other_routes(url: str) -> None:
    for path in ("/", "/admin", "/docs", "/openapi.json", "/v1/runs/../../etc/passwd", "/v1"):
        assert _call(url, path)[0] == 404, path
    assert _call(url, "/v1/runs")[0] == 405


def test_an_upload_that_is_too_large_is_refused_by_its_header_and_without_one(url: str) -> None:
    # nothing follows the header: a server that read the body first would time out and respond with 408
    assert _error(_call(url, "/v1/runs", "POST", Content_Length="24000001")) == (413, "wire-large")
    with running_service(SlowBackend(), limits=Limits(upload=1_000)) as small:
        chunk = b"400\r\n" + b"x" * 1_024 + b"\r\n0\r\n\r\n"
        head = b"POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        port = urlsplit(small).port
        assert port is not None and raw_response(port, head + chunk).startswith(b"HTTP/1.1 413")


def test_an_upload_that_does_not_arrive_is_given_up() -> None:
    with running_service(SlowBackend(), limits=Limits(upload_seconds=0.3)) as url:
        assert _error(_call(url, "/v1/runs", "POST", Content_Length="500")) == (408, "wire-slow")
        assert _waiting(url) == 0


REQUEST: dict[str, Any] = {
    "protocol": wire.PROTOCOL, "model": "trio", "changes": [], "seed": 0, "relevance": False, "maps": True,
    "norms": False, "integrated": False, "depends_on": False, "steps": False, "towers": False, "lens": False,
    "sweep": [], "pairs": [], "answer": [], "answer_part": [],
    "options": [], "text": "hi", "image": None, "audio": None,
    "sample_notices": [],
}  # fmt: skip
"""The header of a good request."""
PIXELS, WAVE = np.zeros((4, 4, 3), np.uint8), np.zeros(8_000, np.float32)
HUGE_IMAGE, LOW_RATE = {"width": "9", "height": 1e9}, {"rate": 8_000, "seconds": 1}


def sheet(parts: list[dict[str, list[float]]]) -> bytes:
    """Returns a request with pictures on a sheet of four pixels a side."""
    image = {"width": 4, "height": 4, "parts": parts}
    return pack_npz(REQUEST | {"model": "toy", "image": image}, {"image": PIXELS})


CELLS = [(x, y) for y in range(4) for x in range(4)]
FRAME = [0, 0, 4, 4]
BAD_BODIES = {
    "nothing": b"", "junk": b"junk", "an empty archive": b"PK\5\6" + b"\0" * 18, "an empty header": pack_npz({}, {}),
    "protocol alone": pack_npz({"protocol": wire.PROTOCOL}, {}),
    "another protocol": pack_npz(REQUEST | {"protocol": wire.PROTOCOL - 1}, {}),
    "text": pack_npz(REQUEST | {"text": 5}, {}),
    "unknown change": pack_npz(REQUEST | {"changes": [{"kind": "Run", "path": "x"}]}, {}),
    "unknown baseline": pack_npz(REQUEST | {"changes": [
        {"kind": "ReplaceInput", "modality": "image", "baseline": "x", "locations": []}]}, {}),
    "seed": pack_npz(REQUEST | {"seed": -1}, {}),
    "sweep": pack_npz(REQUEST | {"sweep": [[]] * (wire.MAX_SWEEP + 1)}, {}),
    "image": pack_npz(REQUEST | {"image": HUGE_IMAGE}, {"image": PIXELS}),
    "too many pictures": sheet([{"picture": [0, 0, 4, 4, 1]}] * 17),
    "pictures that overlap": sheet([{"picture": [0, 0, 3, 4, 1]}, {"picture": [2, 3, 4, 4, 2]}]),
    "an empty picture": sheet([{"picture": [0, 0, 2, 4, 1]}, {"picture": [2, 0, 2, 4, 2]}]),
    "a frame of no time": sheet([{"video": [*FRAME, 0, 0]}]),
    "a frame that ends before it begins": sheet([{"video": [*FRAME, 2, 1]}]),
    "a frame before the video": sheet([{"video": [*FRAME, -1, 1]}]),
    "a frame without end": sheet([{"video": [*FRAME, 0, float("inf")]}]),
    "a frame shorter than any": sheet([{"video": [*FRAME, 0, 1e-9]}]),
    "audio": pack_npz(REQUEST | {"audio": LOW_RATE}, {"audio": WAVE}),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_body_that_is_no_request_is_refused(url: str, name: str) -> None:
    assert _error(_call(url, "/v1/runs", "POST", BAD_BODIES[name])) == (422, "wire-unreadable")


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'"a1"', b"[" * 9_999, b'["%s"]' % (b"a" * 9_999)])
def test_records_to_forget_are_named_by_their_ids(url: str, body: bytes) -> None:
    assert _error(_call(url, "/v1/forget", "POST", body)) == (422, "wire-unreadable")


def test_the_header_of_the_bad_requests_is_good_otherwise(url: str) -> None:
    assert _call(url, "/v1/runs", "POST", pack_npz(REQUEST, {}))[0] == 200


def test_pictures_that_fill_a_sheet_are_taken(url: str) -> None:
    parts = [{"picture": [x, y, x + 1, y + 1, number + 1]} for number, (x, y) in enumerate(CELLS)]
    for body in (sheet(parts), sheet([{"video": [0, 0, 2, 4, 0, 0.5]}, {"video": [2, 0, 4, 4, 0.5, 1]}])):
        assert _error(_call(url, "/v1/runs", "POST", body)) == (422, "several-inputs"), "the model takes one picture"


def test_inputs_are_checked_again(url: str) -> None:
    for sample, code in ((Sample(text="x" * 100_000), "text-long"), (Sample(), "input-none")):
        with pytest.raises(InputError) as error:
            RemoteBackend(url).run([Request("trio", sample)])
        assert error.value.code == code


def test_a_full_queue_refuses_and_loses_nothing() -> None:
    backend = SlowBackend()
    with running_service(backend, limits=Limits(queue=3)) as url, ThreadPoolExecutor(8) as pool:
        body = wire.request_to_bytes(Request("slow", Sample(text="hi")))
        responses = [pool.submit(_call, url, "/v1/runs", "POST", body) for _ in range(3)]
        wait_until(lambda: _waiting(url) == 3, "the queue did not fill")
        # no run has been released: a response that waited for one would be a 504
        assert _error(_call(url, "/v1/runs", "POST", body)) == (429, "backend-busy")
        assert _call(url, "/ready")[0] == 503 and _call(url, "/live")[0] == 200
        backend.release.set()
        assert [response.result(60)[0] for response in responses] == [200] * 3
        assert _call(url, "/v1/runs", "POST", body)[0] == 200


def test_a_run_that_lasts_too_long_is_given_up_and_those_behind_it_never_start() -> None:
    backend = SlowBackend()
    with running_service(backend, limits=Limits(seconds=0.4)) as url, ThreadPoolExecutor(2) as pool:
        body = wire.request_to_bytes(Request("slow", Sample(text="hi")))
        responses = list(pool.map(lambda _: _call(url, "/v1/runs", "POST", body), range(2), timeout=60))
        assert [_error(response) for response in responses] == [(504, "backend-late")] * 2
        wait_until(lambda: _waiting(url) == 1, "the one that computes still holds its place, the other one left")
        backend.release.set()
        wait_until(lambda: _waiting(url) == 0, "the queue did not empty")
        assert backend.started == 1 and _call(url, "/v1/runs", "POST", body)[0] == 200


def test_a_run_in_progress_is_finished_at_the_end() -> None:
    backend = SlowBackend()
    with ThreadPoolExecutor(1) as pool:
        with running_service(backend) as url:
            body = wire.request_to_bytes(Request("slow", Sample(text="hi")))
            response = pool.submit(_call, url, "/v1/runs", "POST", body)
            wait_until(lambda: backend.started == 1, "the run did not start")
            threading.Timer(0.5, backend.release.set).start()
        assert response.result(20)[0] == 200


@pytest.mark.parametrize("kind", [RuntimeError, SystemExit, KeyboardInterrupt])
def test_an_error_of_the_model_reveals_nothing_and_the_service_goes_on(
    kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    class BrokenBackend(SlowBackend):
        def run(self, requests: object, progress: object = None, stop: object = None) -> tuple[()]:
            raise kind("the text was: a secret")

        def view(self, record_id: object, view: object) -> Any:
            raise kind("a secret")

    with running_service(BrokenBackend()) as url:
        body = wire.request_to_bytes(Request("slow", Sample(text="a secret")))
        view = wire.view_to_bytes(Rows(MapRef("attention", 0), (0,)))
        for path, data in (("/v1/runs", body), ("/v1/runs/0/views", view)):
            status, content = _call(url, path, "POST", data)
            assert status == 500 and b"secret" not in content and "secret" not in caplog.text
        assert kind.__name__ in caplog.text and _call(url, "/ready")[0] == 200


def test_twenty_clients_at_once_get_their_own_records() -> None:
    backend = SlowBackend()
    backend.release.set()
    with running_service(backend, limits=Limits(queue=64)) as url, ThreadPoolExecutor(20) as pool:
        texts = [f"client {k % 20}, run {k // 20}" for k in range(200)]
        records = pool.map(lambda text: RemoteBackend(url).run([Request("slow", Sample(text=text))])[0], texts)
        assert [record.answers[0].label for record in records] == texts


def test_views_of_a_long_record_equal_those_of_the_backend() -> None:
    local = LocalBackend("cpu", {"long": make_long()})
    with running_service(local) as url:
        remote = RemoteBackend(url)
        record = remote.run([Request("long", Sample(text="x"))])[0]
        assert record.is_long and record.made_by["backend"] == urlsplit(url).netloc
        ref = MapRef("attention", 0, 0)
        for view in (Rows(ref, (3, 5)), Zoom(MapRef("attention", 0), (0, 8, 16), (0, 4, 32))):
            assert np.array_equal(remote.view(record.id, view), local.view(record.id, view))
        with pytest.raises(CaptureError) as error:
            remote.view(record.id, Rows(ref, (99_999,)))
        assert error.value.code == "view-tokens"
        for record_id in ("0" * 32, "../../live", "a/b"):
            with pytest.raises(MmvizError) as gone:
                remote.view(record_id, Rows(ref, (1,)))
            assert gone.value.code == "view-gone"
        other = remote.run([Request("long", Sample(text="y"))])[0]
        remote.forget_inputs((record.id, "unknown"))
        assert remote.view(other.id, Rows(ref, (1,))).shape[0] == 1, "the run of another stays"
        for backend in (remote, local):
            with pytest.raises(MmvizError) as forgotten:
                backend.view(record.id, Rows(ref, (1,)))
            assert forgotten.value.code == "view-gone"
