"""A backend elsewhere that is down, hangs, drips, breaks, lies or sends bombs: what the user is told, and when."""

from __future__ import annotations

import socket
import time
import zipfile
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from serving import Slow, faulty, http, record_of, served

from mmviz.backends import wire
from mmviz.backends.fallback import CODE, WithFallback
from mmviz.backends.local import LocalBackend
from mmviz.backends.remote import FAILURES, REST, Breaker, RemoteBackend
from mmviz.explain import explain
from mmviz.types import InputError, MapRef, MmvizError, Request, Rows, Sample

ASKED = Request("toy", Sample(text="left both"))
GOOD = wire.record_to_bytes(record_of("left"))


def _bomb() -> bytes:
    """A small file that says, truly, that it holds 200 MB."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.npy", b"\0" * 200_000_000)
    return file.getvalue()


def _hang(found: socket.socket) -> None:
    time.sleep(5)


def _drip(found: socket.socket) -> None:
    found.sendall(http(b"", content_length="100000")[:-4])
    for _ in range(100):
        found.sendall(b"\r\nx: y")
        time.sleep(0.05)


def _drip_body(found: socket.socket) -> None:
    found.sendall(http(b"", content_length="100000"))
    for _ in range(100):
        found.sendall(b"x")
        time.sleep(0.05)


def _sends(words: bytes) -> Callable[[socket.socket], None]:
    return lambda found: found.sendall(words)


FAULTS: dict[str, tuple[Callable[[socket.socket], None], str, int]] = {
    "hangs": (_hang, "did not answer within 1 s", 1),
    "drips its header": (_drip, "did not answer within 1 s", 1),
    "drips its body": (_drip_body, "did not answer within 1 s", 1),
    "closes": (lambda found: None, "cannot be reached (the connection broke)", 3),
    "breaks off": (_sends(http(GOOD)[:-50]), "cannot be reached (the connection broke)", 3),
    "garbage": (_sends(b"\0\1\2 what\r\n\r\n"), "an answer that mmviz cannot read (it is not HTTP)", 1),
    "no npz": (_sends(http(b"hello")), "an answer that mmviz cannot read (wire-unreadable)", 1),
    "a bomb": (_sends(http(_bomb())), "an answer that mmviz cannot read (npz-large)", 1),
    "too long": (_sends(http(b"x" * 65_000_000)), "an answer that mmviz cannot read (it is too long)", 1),
    "a web page": (_sends(http(b"<html>", mmviz_protocol="")), "(HTTP 200, not of mmviz)", 1),
    "a redirect": (_sends(http(b"", 302, location="http://127.0.0.1:1/")), "mmviz cannot read (wire-unreadable)", 1),
    "a proxy": (_sends(http(b"", 502, mmviz_protocol="")), "cannot be reached (HTTP 502)", 3),
    "another version": (_sends(http(GOOD, mmviz_protocol="2")), "speaks version 2 of the protocol, this mmviz", 1),
    "an unknown refusal": (_sends(http(b'{"kind": "MmvizError", "code": "x", "parameters": {}}', 422)), "readable", 1),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_told_within_the_deadline(fault: str) -> None:
    answer, words, times = FAULTS[fault]
    with faulty(answer) as (url, came):
        remote = RemoteBackend(url, deadline=1.0 if "1 s" in words else 10.0)
        began = time.monotonic()
        with pytest.raises(MmvizError) as refusal:
            remote.run([ASKED])
        assert words in str(refusal.value) and len(came) == times
        assert time.monotonic() - began < 3


def test_one_that_is_down_is_told_from_one_that_nobody_knows() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(MmvizError, match="nothing listens there"):
        RemoteBackend(f"http://127.0.0.1:{port}").models()
    with pytest.raises(MmvizError, match=r"no machine of this name|connection broke"):
        RemoteBackend("https://nowhere.invalid").models()


def test_what_fails_once_is_asked_again() -> None:
    turns = iter([http(b"", 503, mmviz_protocol=""), b"", http(GOOD)])
    with faulty(lambda found: found.sendall(next(turns))) as (url, came):
        assert RemoteBackend(url).run([ASKED])[0].answers[0].label == "left"
        assert len(came) == 3 and came[2] - came[1] > 0.15 and came[1] - came[0] > 0.08


def test_a_refused_input_is_not_sent_again_and_not_held_against_the_backend() -> None:
    slow = Slow()
    slow.go.set()
    with served(slow) as url:
        remote = RemoteBackend(url)
        for _ in range(FAILURES + 1):
            with pytest.raises(InputError, match="nothing to look at"):
                remote.run([Request("slow", Sample())])
        assert remote.run([Request("slow", Sample(text="hi"))])[0].answers[0].label == "hi"


def test_after_three_failures_it_is_left_alone_until_somebody_asks() -> None:
    with faulty(_sends(b"\0\r\n\r\n")) as (url, came):
        remote = RemoteBackend(url)
        for _ in range(FAILURES):
            with pytest.raises(MmvizError, match="cannot read"):
                remote.run([ASKED])
        with pytest.raises(MmvizError, match=f"failed {FAILURES} times in a row"):
            remote.run([ASKED])
        assert len(came) == FAILURES
        remote.wake()
        with pytest.raises(MmvizError, match="cannot read"):
            remote.run([ASKED])
        assert len(came) == FAILURES + 1


def test_a_breaker_lets_one_try_after_its_rest() -> None:
    now = [0.0]
    breaker = Breaker(lambda: now[0])
    for _ in range(FAILURES):
        breaker.check("h")
        breaker.note(False)
    with pytest.raises(MmvizError):
        breaker.check("h")
    now[0] = REST + 1
    breaker.check("h")
    with pytest.raises(MmvizError):  # the others wait for what the first finds
        breaker.check("h")
    breaker.note(True)
    breaker.check("h")
    breaker.check("h")


@pytest.mark.parametrize(
    "url",
    ["", "host:1", "ftp://h", "http://example.org", "https://u:p@h", "https://h/path", "https://h?x", "https://h:99999",
     "https://", "http://localhost.evil.example"],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(MmvizError, match="is not the address of a backend"):
        RemoteBackend(url)


def test_this_machine_takes_over_with_a_notice_and_gives_back() -> None:
    slow, broken = Slow(), [True]
    slow.go.set()

    def answer(found: socket.socket) -> None:
        found.sendall(b"\0\r\n\r\n" if broken[0] else http(GOOD))

    with faulty(answer) as (url, came):
        backend = WithFallback(RemoteBackend(url), lambda: LocalBackend("cpu"))
        here = backend.run([ASKED])[0]
        (notice,) = (one for one in here.notices if one.code == CODE)
        assert "Computed on this machine instead. The backend 127.0.0.1" in str(notice)
        assert "backend" not in here.made_by and here.maps[0].heads == 1
        for _ in range(FAILURES + 2):
            assert backend.run([ASKED])[0].notices[-1].code == CODE
        assert len(came) == FAILURES  # then it is left alone
        broken[0] = False
        backend.remote.wake()
        there = backend.run([ASKED])[0]
        assert there.made_by["backend"] in url and CODE not in [one.code for one in there.notices]


def test_what_the_backend_refuses_for_a_reason_is_refused() -> None:
    slow = Slow()
    slow.go.set()
    with served(slow) as url:
        backend = WithFallback(RemoteBackend(url), lambda: LocalBackend("cpu"))
        with pytest.raises(MmvizError, match="no model called 'toy'"):
            backend.run([ASKED])


def test_explain_takes_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    token = "a-token-of-twenty-chars"
    with served(LocalBackend("cpu"), token=token) as url:
        with pytest.raises(MmvizError, match="token"):
            explain(text="left both", model="toy", backend=url)
        monkeypatch.setenv("MMVIZ_TOKEN", token)
        run = explain(text="left both", model="toy", backend=url)
        assert set(run.record.made_by["milliseconds"]) == {"queue", "prepare", "model", "capture", "network"}
        assert np.allclose(run.view(Rows(MapRef("attention", 0, 0), (0,))), 0.5)
