"""A remote backend that is down, hangs, drips, breaks, lies or sends bombs: which error is raised, and when."""

from __future__ import annotations

import select
import socket
import threading
import zipfile
from collections.abc import Callable, Sequence
from io import BytesIO

import numpy as np
import pytest
from serving import SlowBackend, faulty_server, http_response, running_service, text_record

from mmviz.backends import wire
from mmviz.backends.circuit_breaker import FAILURES, REST, CircuitBreaker
from mmviz.backends.fallback import CODE, FallbackBackend
from mmviz.backends.local import LocalBackend
from mmviz.backends.remote import RemoteBackend
from mmviz.explain import explain
from mmviz.types import InputError, MapRef, MmvizError, Request, Rows, Sample

pytestmark = pytest.mark.slow

TOY = Request("toy", Sample(text="left both"))
RECORD = wire.record_to_bytes(text_record("left"))
NOT_HTTP = b"\0\r\n\r\n"
Respond = Callable[[socket.socket], None]
SOON = 4.0
"""Seconds in which a call is cut on a loaded machine; what the faulty server sends takes 5."""


def _bomb() -> bytes:
    """Returns a small file that inflates to 200 MB, and says so."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.npy", b"\0" * 200_000_000)
    return file.getvalue()


def _has_hung_up(connection: socket.socket, seconds: float) -> bool:
    """Waits until the client has closed its connection, and returns whether it has within ``seconds``."""
    return bool(select.select([connection], [], [], seconds)[0])


def _hang(connection: socket.socket) -> None:
    _has_hung_up(connection, 5)


def _drip(connection: socket.socket) -> None:
    connection.sendall(http_response(b"", content_length="100000")[:-4])
    for _ in range(100):
        connection.sendall(b"\r\nx: y")
        if _has_hung_up(connection, 0.05):
            break


def _drip_body(connection: socket.socket, report: Callable[[int], None] = lambda sent: None) -> None:
    connection.sendall(http_response(b"", content_length="100000"))
    for sent in range(100):
        report(sent)
        connection.sendall(b"x")
        if _has_hung_up(connection, 0.05):
            break


def _send(data: bytes) -> Respond:
    return lambda connection: connection.sendall(data)


UNKNOWN_ERROR = b'{"kind": "MmvizError", "code": "x", "parameters": {}}'
FAULTS: dict[str, tuple[Respond, str, str, int]] = {
    "hangs": (_hang, "backend-late", "", 1),
    "drips its header": (_drip, "backend-late", "", 1),
    "drips its body": (_drip_body, "backend-late", "", 1),
    "closes": (lambda connection: None, "backend-unreachable", "the connection broke", 3),
    "breaks off": (_send(http_response(RECORD)[:-50]), "backend-unreachable", "the connection broke", 3),
    "garbage": (_send(b"\0\1\2 what\r\n\r\n"), "backend-answer", "it is not HTTP", 1),
    "no npz": (_send(http_response(b"hello")), "backend-answer", "wire-unreadable", 1),
    "a bomb": (lambda connection: _send(http_response(_bomb()))(connection), "backend-answer", "npz-large", 1),
    "too long": (_send(http_response(b"x" * 65_000_000)), "backend-answer", "it is too long", 1),
    "a web page": (_send(http_response(b"<html>", mmviz_protocol="")), "backend-answer", "HTTP 200, not from mmviz", 1),
    "a redirect": (_send(http_response(b"", 302, location="http://127.0.0.1:1/")), "backend-answer",
                   "wire-unreadable", 1),
    "a proxy": (_send(http_response(b"", 502, mmviz_protocol="")), "backend-unreachable", "HTTP 502", 3),
    "another version": (_send(http_response(RECORD, mmviz_protocol="1")), "backend-version", "1", 1),
    "an unknown error": (_send(http_response(UNKNOWN_ERROR, 422)), "backend-answer", "wire-unreadable", 1),
}  # fmt: skip
"""What the server does, the error code, the reason in it, and the number of attempts."""


def test_a_stop_ends_an_answer_while_its_body_arrives() -> None:
    has_begun = threading.Event()
    parts: list[int] = []

    def respond(connection: socket.socket) -> None:
        def report(sent: int) -> None:
            parts.append(sent)
            if sent == 10:
                has_begun.set()

        _drip_body(connection, report)

    with faulty_server(respond) as (url, _):
        assert RemoteBackend(url, deadline=20.0).run([TOY], stop=has_begun.is_set) == ()
    assert len(parts) < 100, "it does not wait for the rest of the body"


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_error(fault: str) -> None:
    respond, code, reason, attempts = FAULTS[fault]
    with faulty_server(respond) as (url, times):
        remote = RemoteBackend(url, deadline=1.0 if code == "backend-late" else 20.0)
        with pytest.raises(MmvizError) as error:
            remote.run([TOY])
        assert error.value.code == code and len(times) == attempts
        assert reason in (str(error.value.parameters.get("why", "")), error.value.parameters.get("version", ""))


def test_a_late_answer_names_the_time_that_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmviz.backends.remote.LARGE_DEADLINE", 0.6)
    with faulty_server(_hang) as (url, _):
        remote = RemoteBackend(url, deadline=0.3)
        monkeypatch.setattr(remote, "exact_nbytes", lambda record_id: 1)
        for ask, seconds in ((remote.models, 0.3), (lambda: remote.exact("a"), 0.6)):
            with pytest.raises(MmvizError) as error:
                ask()
            assert (error.value.code, error.value.parameters["seconds"]) == ("backend-late", seconds)


def test_a_host_that_is_down_and_one_that_does_not_exist_differ() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(MmvizError, match="nothing listens there"):
        RemoteBackend(f"http://127.0.0.1:{port}").models()
    with pytest.raises(MmvizError, match=r"no machine of this name|connection broke"):
        RemoteBackend("https://nowhere.invalid").models()


def test_a_call_that_fails_is_sent_again_after_a_growing_delay() -> None:
    responses = iter([http_response(b"", 503, mmviz_protocol=""), b"", http_response(RECORD)])
    with faulty_server(lambda connection: connection.sendall(next(responses))) as (url, times):
        assert RemoteBackend(url).run([TOY])[0].answers[0].label == "left"
        assert len(times) == 3 and times[2] - times[1] > 0.15 and times[1] - times[0] > 0.08


def test_a_refused_input_is_not_sent_again_and_is_no_fault_of_the_backend() -> None:
    backend = SlowBackend()
    backend.release.set()
    with running_service(backend) as url:
        remote = RemoteBackend(url)
        for _ in range(FAILURES + 1):
            with pytest.raises(InputError) as error:
                remote.run([Request("slow", Sample())])
            assert error.value.code == "input-none"
        assert remote.run([Request("slow", Sample(text="hi"))])[0].answers[0].label == "hi"


def test_after_three_failures_the_backend_is_left_alone_until_a_reset() -> None:
    with faulty_server(_send(NOT_HTTP)) as (url, times):
        remote = RemoteBackend(url)

        def code() -> str:
            with pytest.raises(MmvizError) as error:
                remote.run([TOY])
            return error.value.code

        assert [code() for _ in range(FAILURES + 1)] == ["backend-answer"] * FAILURES + ["backend-resting"]
        assert len(times) == FAILURES
        remote.reset()
        assert code() == "backend-answer" and len(times) == FAILURES + 1


def test_the_circuit_breaker_lets_one_call_through_after_its_rest() -> None:
    now = [0.0]
    breaker = CircuitBreaker(lambda: now[0])
    for _ in range(FAILURES):
        breaker.check("h")
        breaker.note(False)
    with pytest.raises(MmvizError):
        breaker.check("h")
    now[0] = REST + 1
    breaker.check("h")
    with pytest.raises(MmvizError):  # other calls wait for the result of the first
        breaker.check("h")
    breaker.note(True)
    breaker.check("h")
    breaker.check("h")


@pytest.mark.parametrize(
    "url",
    ["", "host:1", "ftp://h", "http://example.org", "https://u:p@h", "https://h/path", "https://h?x", "https://h:99999",
     "https://", "http://localhost.evil.example"],
)  # fmt: skip
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(MmvizError) as error:
        RemoteBackend(url)
    assert error.value.code == "backend-url"


def test_this_machine_takes_over_with_a_notice_until_the_backend_is_back() -> None:
    is_broken, forgotten = [True], []

    class Local(LocalBackend):
        def forget_inputs(self, record_ids: Sequence[str]) -> None:
            forgotten.extend(record_ids)

    def respond(connection: socket.socket) -> None:
        connection.sendall(NOT_HTTP if is_broken[0] else http_response(RECORD))

    with faulty_server(respond) as (url, times):
        backend = FallbackBackend(RemoteBackend(url), lambda: Local("cpu"))
        local_record = backend.run([TOY])[0]
        (notice,) = (notice for notice in local_record.notices if notice.code == CODE)
        assert "127.0.0.1" in str(notice.parameters["why"])
        assert "backend" not in local_record.made_by and local_record.maps[0].heads == 1
        for _ in range(FAILURES + 2):
            assert backend.run([TOY])[0].notices[-1].code == CODE
        assert len(times) == FAILURES  # then the remote backend is left alone
        with pytest.raises(MmvizError) as error:
            backend.forget_inputs([local_record.id])
        assert error.value.code == "backend-resting" and forgotten == [local_record.id], "what is here is forgotten"
        is_broken[0] = False
        backend.remote.reset()
        remote_record = backend.run([TOY])[0]
        assert remote_record.made_by["backend"] in url
        assert CODE not in [notice.code for notice in remote_record.notices]


def test_an_error_of_the_request_itself_is_not_run_here() -> None:
    slow = SlowBackend()
    slow.release.set()
    with running_service(slow) as url:
        backend = FallbackBackend(RemoteBackend(url), lambda: LocalBackend("cpu"))
        with pytest.raises(MmvizError) as error:
            backend.run([TOY])
        assert error.value.code == "model-unknown"


def test_explain_takes_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    token = "a-token-of-twenty-chars"
    with running_service(LocalBackend("cpu"), token=token) as url:
        with pytest.raises(MmvizError) as error:
            explain(text="left both", model="toy", backend=url)
        assert error.value.code == "backend-token"
        monkeypatch.setenv("MMVIZ_TOKEN", token)
        run = explain(text="left both", model="toy", backend=url)
        assert set(run.record.made_by["milliseconds"]) == {"queue", "prepare", "model", "capture", "network"}
        assert np.allclose(run.view(Rows(MapRef("attention", 0, 0), (0,))), 0.5)
