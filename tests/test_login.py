"""A page that others reach: its door, a backend elsewhere that fails and comes back, and the commands that open it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from app_page import markup, notes, now, run, visit
from serving import Slow, asked, record_of, served

from mmviz.app import login as door
from mmviz.app import session_state as state
from mmviz.app.pages.explore import page as explore
from mmviz.backends.local import LocalBackend
from mmviz.models.toy import Toy
from mmviz.types import AttentionRecord, Card, MmvizError, Modality, Notice, Request, Sample, Token

TOKEN = "a-token-of-twenty-chars"


def test_nobody_comes_in_without_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMVIZ_ACCESS", TOKEN)
    monkeypatch.setattr(door, "PAUSE", 0.0)
    page = visit()
    assert "class='word'" not in markup(page) and len(page.text_input) == 1
    page.text_input[0].set_value("a-token-of-twenty-char")
    page.button[0].click()
    run(page)
    assert "not the access token" in notes(page, "refusal")[0] and len(page.text_input) == 1
    page.text_input[0].set_value(f" {TOKEN} ")
    page.button[0].click()
    run(page)
    run(page)
    assert "class='word'" in markup(page)


def test_a_backend_that_fails_is_told_and_one_click_asks_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from mmviz.backends import remote

    explore._warmth.clear()
    with served(LocalBackend("cpu")) as url:
        works = [False]
        real = remote.RemoteBackend._once

        def once(self: remote.RemoteBackend, *given: object) -> object:
            if not works[0]:
                raise MmvizError("backend-unreachable", host=self.host, why="nothing listens there")
            return real(self, *given)

        monkeypatch.setattr(remote.RemoteBackend, "_once", once)
        monkeypatch.setattr(sys, "argv", ["run.py", "--backend", url])
        page = visit()
        host = url.removeprefix("http://")
        assert f"Runs go to {host}" in markup(page)
        page.text_input(key=state.QUESTION).set_value("How many things are there?")
        run(page)
        next(one for one in page.button if one.key == "run").click()
        run(page)
        assert "Computed on this machine instead" in "".join(notes(page, "remark"))
        assert f"of {host} in" not in markup(page) and now(page).run.record.made_by["device"] == "cpu"
        works[0] = True
        next(one for one in page.button if one.key == "backend-again").click()
        run(page)
        assert f"of {host} in" in markup(page) and "on the way there and back" in markup(page)
        assert not [one for one in page.button if one.key == "backend-again"]
    explore._warmth.clear()


class Evil(Slow):
    """A backend whose every word is markup."""

    def run(self, requests: Sequence[Request], progress: Any = None, stop: Any = None) -> tuple[AttentionRecord, ...]:
        found = record_of(EVIL)
        made = {"model": EVIL, "device": EVIL, "device_name": EVIL, "milliseconds": {"model": 1.0}, "changes": [EVIL]}
        tokens = (Token(Modality.SPECIAL, EVIL), Token(Modality.TEXT, EVIL))
        maps = (replace(found.maps[0], weights=np.full((1, 2, 2), 0.5, np.float32), name=EVIL),)
        notice = Notice("model-unknown", {"model": EVIL, "known": EVIL})
        return (replace(found, made_by=made, streams={"tokens": tokens}, maps=maps, notices=(notice,)),)

    def models(self) -> tuple[Card, ...]:
        return (replace(super().models()[0], id="trio", title=EVIL, about=EVIL),)


EVIL = "<img src=x onerror=alert(1)> [x](javascript:alert(1)) $\\frac{a}{b}$ :red[y] `z`"


def test_what_a_hostile_backend_says_stays_text(monkeypatch: pytest.MonkeyPatch) -> None:
    explore._warmth.clear()
    with served(Evil()) as url:
        monkeypatch.setattr(sys, "argv", ["run.py", "--backend", url])
        page = visit()
        page.text_input(key=state.QUESTION).set_value("How many things are there?")
        run(page)
        next(one for one in page.button if one.key == "run").click()
        run(page)
        assert now(page).run.record.answers[0].label == EVIL
        seen = markup(page)
        assert "<img src=x" not in seen and "&lt;img src=x" in seen
        marked = [one.value for kind in ("markdown", "caption") for one in page.get(kind) if hasattr(one, "value")]
        assert not [words for words in marked if "javascript:" in words or "frac" in words]
        assert "<img src=x" not in now(page).run.to_html()
    explore._warmth.clear()


def test_memory_that_runs_out_is_found_elsewhere_and_the_next_run_works(monkeypatch: pytest.MonkeyPatch) -> None:
    left = [0]

    class Short(Toy):
        def __call__(self, tensors: object) -> torch.Tensor:
            if left[0]:
                left[0] -= 1
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().__call__(tensors)

    request = Request("toy", Sample(text="left both"), relevance=True)
    backend = LocalBackend("cpu", {"toy": Short("cpu")})
    codes = []
    for failures in (0, 1, 2, 0):
        left[0] = failures
        record = backend.run([request])[0]
        assert record.answers[0].label == "left"
        codes.append([notice.code for notice in record.notices])
    assert codes == [[], ["memory-smaller"], ["memory-cpu"], []]
    own = LocalBackend("cpu", {"own:make": Short("cpu")})
    left[0] = 2
    with pytest.raises(MmvizError, match="CUDA_VISIBLE_DEVICES"):
        own.run([Request("own:make", Sample(text="left both"))])
    assert own.run([Request("own:make", Sample(text="left both"))])[0].answers[0].label == "left"


def _command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mmviz.cli", *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def test_each_mistake_on_the_command_line_has_its_sentence(tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_text("secret")
    for words, arguments in {
        "so a token is needed": ["serve", "--host", "0.0.0.0"],
        "The token file short cannot be used": ["serve", "--token-file", str(short)],
        "The token file none cannot be used": ["app", "--token-file", str(tmp_path / "none")],
        "A certificate and its key go together": ["app", "--tls-cert", str(short)],
        "is not the address of a backend": ["app", "--backend", "http://example.org"],
        "nothing listens there": ["explain", "--text", "hi", "--backend", "http://127.0.0.1:9"],
    }.items():
        found = _command(*arguments)
        assert found.returncode == 2 and words in found.stderr, (arguments, found)
        assert found.stderr.count("\n") == 1 and "secret" not in found.stderr


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _until_ready(port: int, path: str) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if b" 200 " in asked(port, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()):
                return
        except OSError:
            pass
        time.sleep(0.1)
    pytest.fail("it does not answer")


def test_serve_runs_until_it_is_told_to_stop(tmp_path: Path) -> None:
    token, port = tmp_path / "token", _free_port()
    token.write_text(TOKEN + "\n")
    command = [sys.executable, "-m", "mmviz.cli", "serve", "--port", str(port), "--token-file", str(token)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            _until_ready(port, "/ready")
            url = f"http://127.0.0.1:{port}"
            given = ["explain", "--model", "toy", "--text", "left both", "--backend", url]
            assert "does not take this token" in _command(*given).stderr
            assert "answer: left" in _command(*given, "--token-file", str(token)).stdout
        finally:
            server.terminate()
        assert server.wait(30) in (0, -15)
        said = server.stdout.read() if server.stdout else ""
    assert (
        "Serving trio, trio-reduced, crossmodal, bottleneck, late, toy on" in said
        and TOKEN not in said
        and "left both" not in said
    )


def test_the_page_refuses_other_hosts_and_origins() -> None:
    port = _free_port()
    command = [sys.executable, "-m", "mmviz.cli", "app", "--port", str(port), "--headless"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ, start_new_session=True
    ) as app:
        try:
            _until_ready(port, "/_stcore/health")
            shake = (
                "GET /_stcore/stream HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nConnection: Upgrade\r\n"
                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            good = f"localhost:{port}"
            for host, origin, status in (
                (good, f"http://{good}", b" 101 "),
                ("evil.example", "http://evil.example", b" 403 "),
                (good, "http://evil.example", b" 403 "),
            ):
                with socket.create_connection(("127.0.0.1", port), 10) as found:
                    found.sendall(shake.format(host=host, origin=origin).encode())
                    assert status in found.recv(200).split(b"\r\n")[0], (host, origin)
        finally:
            os.killpg(app.pid, 15)
