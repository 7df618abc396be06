"""``mmviz app`` and ``mmviz serve``: what they refuse, and that nothing of them outlives them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from processes import Server, descendants, free_port, is_running, running_server, wait_until

from mmviz.cli import processes
from mmviz.i18n.errors_and_notices import sentence

pytestmark = pytest.mark.slow

TOKEN = "a-token-of-twenty-chars"
CLI = [sys.executable, "-m", "mmviz.cli"]
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def _run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CLI, *arguments], capture_output=True, text=True, timeout=120, check=False, env=env)


def _handshake(port: int, host: str, origin: str) -> bytes:
    """Asks for the page's WebSocket connection under these names, and returns the first line of the answer."""
    request = (
        f"GET /_stcore/stream HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(request.encode())
        return connection.recv(200).split(b"\r\n")[0]


def test_each_mistake_on_the_command_line_has_its_sentence(tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_text("secret")
    closed = f"http://127.0.0.1:{free_port()}"
    mistakes = {
        sentence("token-needed", host="0.0.0.0"): ["serve", "--host", "0.0.0.0"],
        sentence("token-file", name="short", least=16): ["serve", "--token-file", str(short)],
        sentence("token-file", name="none", least=16): [
            "app",
            "--backend",
            closed,
            "--token-file",
            str(tmp_path / "none"),
        ],
        sentence("tls-pair"): ["app", "--tls-cert", str(short)],
        sentence("app-host", host="http://lab.example:80"): ["app", "--host", "http://lab.example:80"],
        sentence("backend-url", url="http://example.org"): ["app", "--backend", "http://example.org"],
        "nothing listens there": ["explain", "--text", "hi", "--backend", closed],
    }
    for words, arguments in mistakes.items():
        done = _run(*arguments)
        assert done.returncode == 2 and words in done.stderr, (arguments, done)
        assert done.stderr.count("\n") == 1 and "secret" not in done.stderr


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_serve_runs_until_it_is_told_to_end(name: str, tmp_path: Path) -> None:
    token, port = tmp_path / "token", free_port()
    token.write_text(TOKEN + "\n")
    url = f"http://127.0.0.1:{port}"
    with running_server([*CLI, "serve", "--port", str(port), "--token-file", str(token)], f"{url}/ready") as server:
        arguments = ["explain", "--model", "toy", "--text", "left both", "--backend", url]
        if name == "SIGTERM":  # once is enough
            assert sentence("backend-token", host=f"127.0.0.1:{port}") in _run(*arguments).stderr
            assert "answer: left" in _run(*arguments, "--token-file", str(token)).stdout
        os.kill(server.process.pid, getattr(signal, name))
        assert server.process.wait(30) in (0, -signal.SIGTERM, -signal.SIGINT)
        output = server.output()
    assert f" on {url}" in output and TOKEN not in output and "left both" not in output


def test_serve_ends_for_certain_where_a_run_does_not(tmp_path: Path) -> None:
    (tmp_path / "endless_model.py").write_text(
        "import slow_model, time\n"
        "def make():\n"
        "    model = slow_model.make()\n"
        "    model.module.register_forward_pre_hook(lambda *_: (print('running', flush=True), time.sleep(1_000)))\n"
        "    return model\n"
    )
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(Path(__file__).parent)))}
    arguments = ["serve", "--port", str(port), "--model", "endless_model:make"]
    code = f"import sys; from mmviz.cli import main, serve; serve.GRACE = 1.0; sys.exit(main({arguments!r}))"
    url = f"http://127.0.0.1:{port}"
    with running_server([sys.executable, "-c", code], f"{url}/ready", environment) as server:
        command = [*CLI, "explain", "--model", "endless_model:make", "--text", "hi", "--backend", url]
        client = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: "running" in server.output(), "the run did not start")
            server.process.terminate()
            assert server.process.wait(30) == 1
        finally:
            client.kill()
            client.wait(10)


@pytest.fixture
def app() -> Iterator[tuple[Server, int]]:
    """``mmviz app`` on a port, ready."""
    port = free_port()
    command = [*CLI, "app", "--port", str(port), "--headless"]
    with running_server(command, f"http://127.0.0.1:{port}/_stcore/health") as server:
        yield server, port


def test_the_page_refuses_other_hosts_and_origins(app: tuple[Server, int]) -> None:
    _, port = app
    good = f"localhost:{port}"
    for host, origin, status in (
        (good, f"http://{good}", b" 101 "),
        ("evil.example", "http://evil.example", b" 403 "),
        (good, "http://evil.example", b" 403 "),
        (good, "null", b" 403 "),
    ):
        assert status in _handshake(port, host, origin), (host, origin)


def test_the_token_and_the_names_of_the_page_may_come_from_the_environment() -> None:
    short = _run("app", "--host", "lab.example", env={**os.environ, "MMVIZ_ACCESS": "short"})
    assert short.returncode == 2 and sentence("app-access-short", least=16) in short.stderr
    port = free_port()
    environment = {**os.environ, "MMVIZ_ACCESS": TOKEN, "MMVIZ_HOSTS": "lab.example b.example"}
    command = [*CLI, "app", "--host", "127.0.0.1", "--port", str(port), "--headless"]
    with running_server(command, f"http://127.0.0.1:{port}/_stcore/health", environment) as server:
        assert sentence("app-access", token="MMVIZ_ACCESS") in server.output() and TOKEN not in server.output()
        assert sentence("app-behind-proxy", names="lab.example, b.example") in server.output()
        for host, status in (("b.example", b" 101 "), ("c.example", b" 403 ")):
            assert status in _handshake(port, host, f"http://{host}")


def test_names_in_the_environment_alone_open_nothing() -> None:
    port = free_port()
    command = [*CLI, "app", "--port", str(port), "--headless"]
    environment = {**os.environ, "MMVIZ_HOSTS": "lab.example"}
    with running_server(command, f"http://127.0.0.1:{port}/_stcore/health", environment) as server:
        assert b" 403 " in _handshake(port, "lab.example", "http://lab.example")
        assert sentence("app-refused-name", visitor="lab.example") in server.output()


def test_the_terminal_is_told_of_ten_names_at_most(app: tuple[Server, int]) -> None:
    server, port = app
    for number in range(20):
        _handshake(port, f"evil-{number}.example", "http://x.example")
    wait_until(lambda: "evil-9.example" in server.output(), "nothing was said")
    _handshake(port, "evil-20.example\x1b[31m", "http://x.example")
    assert server.output().count("x.example") == 2 * 10 and "\x1b[31m" not in server.output()


def test_a_browser_is_opened_unless_the_page_is_headless(tmp_path: Path) -> None:
    browser, opened, port = tmp_path / "browser", tmp_path / "opened", free_port()
    browser.write_text(f"#!/bin/sh\necho $1 >> {opened}\n")
    browser.chmod(0o700)
    environment = {**os.environ, "BROWSER": f"{browser} %s", "STREAMLIT_SERVER_HEADLESS": "false"}
    command = [*CLI, "app", "--port", str(port)]
    with running_server(command, f"http://127.0.0.1:{port}/_stcore/health", environment):
        wait_until(opened.exists, "no browser was opened")
        wait_until(lambda: opened.read_text() == f"http://localhost:{port}\n", "another page was opened")


@linux
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGKILL"])
def test_the_streamlit_server_ends_with_the_command(name: str, app: tuple[Server, int]) -> None:
    server, port = app
    children = descendants(server.process.pid)
    assert children
    os.kill(server.process.pid, getattr(signal, name))
    server.process.wait(30)
    wait_until(lambda: not any(map(is_running, children)), f"{children} went on after {name}", 30)
    wait_until(lambda: not _accepts(port), "the port stayed open", 30)  # threads of a killed process end after it


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True


@linux
def test_a_child_that_ignores_the_request_to_end_is_killed_with_its_own_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    (tmp_path / "stubborn.py").write_text(
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal, time; "
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}\\n')\n"
        "time.sleep(1000)\n"
    )
    code = (
        "import os; from mmviz.cli import processes; processes.GRACE = 0.5; "
        "processes.run_module('stubborn', [], os.environ)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(Path(__file__).parent.parent)))}
    command = subprocess.Popen([sys.executable, "-c", code], env=environment, process_group=0)
    children: list[int] = []
    try:
        wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"), "the child did not start")
        children = [int(pid) for pid in pids.read_text().split()]
        command.terminate()
        assert command.wait(30) == 128 + signal.SIGTERM
        wait_until(lambda: not any(map(is_running, children)), f"{children} went on", 10)
    finally:
        for pid in (command.pid, *children):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        command.wait(10)


def test_the_exit_code_of_the_child_is_that_of_the_command() -> None:
    assert processes.run_module("this", [], os.environ) == 0
    assert processes.run_module("a_module_that_does_not_exist", [], os.environ) == 1
