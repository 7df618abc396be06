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

from mmviz.cli import main, processes
from mmviz.i18n.errors_and_notices import sentence

pytestmark = pytest.mark.slow

TOKEN = "a-token-of-twenty-chars"
CLI = [sys.executable, "-m", "mmviz.cli"]
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def _handshake(port: int, host: str, origin: str) -> bytes:
    """Asks for the page's WebSocket connection under these names, and returns the first line of the answer."""
    request = (
        f"GET /_stcore/stream HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(request.encode())
        return connection.recv(200).split(b"\r\n")[0]


def test_each_mistake_on_the_command_line_has_its_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
        assert main(arguments) == 2, arguments
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1 and "secret" not in error, (arguments, error)


def test_serve_runs_until_it_is_told_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    token, port = tmp_path / "token", free_port()
    token.write_text(TOKEN + "\n")
    url = f"http://127.0.0.1:{port}"
    with running_server([*CLI, "serve", "--port", str(port), "--token-file", str(token)], f"{url}/ready") as server:
        arguments = ["explain", "--model", "toy", "--text", "left both", "--backend", url]
        assert main(arguments) == 2
        assert sentence("backend-token", host=f"127.0.0.1:{port}") in capsys.readouterr().err
        assert main([*arguments, "--token-file", str(token)]) == 0
        assert "answer: left" in capsys.readouterr().out
        server.process.terminate()
        assert server.process.wait(30) in (0, -signal.SIGTERM)
        output = server.output()
    assert f" on {url}" in output and TOKEN not in output and "left both" not in output


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_serve_ends_with_its_terminal(name: str) -> None:
    """The signals are handled whichever models are served: recorded ones start without torch."""
    port = free_port()
    code = (
        "import sys; from mmviz.cli import main; from mmviz.cli.commands import serve\n"
        "from mmviz.assets_path import assets_dir\n"
        "from mmviz.backends.replay import ReplayBackend; from mmviz.backends.server import Limits\n"
        "backend = ReplayBackend(assets_dir() / 'gallery' / 'runs')\n"
        "serve._backend = lambda _: (backend, Limits(), 'no device')\n"
        f"sys.exit(main(['serve', '--port', '{port}']))"
    )
    with running_server([sys.executable, "-c", code], f"http://127.0.0.1:{port}/ready") as server:
        os.kill(server.process.pid, getattr(signal, name))
        assert server.process.wait(30) in (0, -signal.SIGTERM, -signal.SIGINT)


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


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, int, Path]]:
    """``mmviz app`` on a port, ready, and the file that its browser writes addresses to.

    The environment names a host, which opens nothing without ``--host``.
    """
    folder, port = tmp_path_factory.mktemp("page"), free_port()
    browser, opened = folder / "browser", folder / "opened"
    browser.write_text(f"#!/bin/sh\necho $1 >> {opened}\n")
    browser.chmod(0o700)
    environment = {
        **os.environ,
        "BROWSER": f"{browser} %s",
        "STREAMLIT_SERVER_HEADLESS": "false",
        "MMVIZ_HOSTS": "lab.example",
    }
    command = [*CLI, "app", "--port", str(port)]
    with running_server(command, f"http://127.0.0.1:{port}/_stcore/health", environment) as server:
        yield server, port, opened


def test_a_browser_is_opened_unless_the_page_is_headless(page: tuple[Server, int, Path]) -> None:
    _, port, opened = page
    wait_until(opened.exists, "no browser was opened")
    wait_until(lambda: opened.read_text() == f"http://localhost:{port}\n", "another page was opened")


def test_the_page_refuses_other_hosts_and_origins_and_tells_of_ten_at_most(page: tuple[Server, int, Path]) -> None:
    server, port, _ = page
    good = f"localhost:{port}"
    for host, origin, status in (
        ("lab.example", "http://lab.example", b" 403 "),  # its name in the environment alone opens nothing
        (good, f"http://{good}", b" 101 "),
        ("evil.example", "http://evil.example", b" 403 "),
        (good, "http://evil.example", b" 403 "),
        (good, "null", b" 403 "),
    ):
        assert status in _handshake(port, host, origin), (host, origin)
    wait_until(lambda: sentence("app-refused-name", visitor="lab.example") in server.output(), "nothing was said")
    for number in range(20):
        _handshake(port, f"evil-{number}.example", "http://x.example")
    wait_until(lambda: "evil-5.example" in server.output(), "nothing was said")
    _handshake(port, "evil-20.example\x1b[31m", "http://x.example")
    output = server.output()
    assert output.count("A visitor opened the page as") == 10  # four different ones before those of x.example
    assert output.count("x.example") == 2 * 6 and "\x1b[31m" not in output


def test_the_token_and_the_names_of_the_page_may_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MMVIZ_ACCESS", "short")
    assert main(["app", "--host", "lab.example"]) == 2
    assert sentence("app-access-short", least=16) in capsys.readouterr().err
    port = free_port()
    environment = {**os.environ, "MMVIZ_ACCESS": TOKEN, "MMVIZ_HOSTS": "lab.example b.example"}
    command = [*CLI, "app", "--host", "127.0.0.1", "--port", str(port), "--headless"]
    with running_server(command, f"http://127.0.0.1:{port}/_stcore/health", environment) as server:
        assert sentence("app-access", token="MMVIZ_ACCESS") in server.output() and TOKEN not in server.output()
        assert sentence("app-behind-proxy", names="lab.example, b.example") in server.output()
        for host, status in (("b.example", b" 101 "), ("c.example", b" 403 ")):
            assert status in _handshake(port, host, f"http://{host}")
        if sys.platform == "linux":
            _end(server, port, "SIGTERM")


@linux
def test_the_streamlit_server_ends_where_the_command_is_killed(page: tuple[Server, int, Path]) -> None:
    """The last test of the page."""
    server, port, _ = page
    _end(server, port, "SIGKILL")


@linux
@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_a_server_ends_with_the_terminal_of_the_command(name: str) -> None:
    """Any server does: the signals end the command, which ends its child."""
    port = free_port()
    code = (
        "import os; from mmviz.cli import processes\n"
        f"processes.run_module('http.server', ['--bind', '127.0.0.1', '{port}'], os.environ)"
    )
    with running_server([sys.executable, "-c", code], f"http://127.0.0.1:{port}") as server:
        _end(server, port, name)


def _end(server: Server, port: int, name: str) -> None:
    """Sends a signal to the command, and waits until it and everything that it has started are gone."""
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


def test_a_command_ends_though_its_child_outlives_the_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    class Held(subprocess.Popen[bytes]):
        """A process inside a driver's call, which no signal reaches."""

        def poll(self) -> int | None:
            return None

        def wait(self, timeout: float | None = None) -> int:
            assert timeout is not None, "the command would wait for ever"
            raise subprocess.TimeoutExpired(self.args, timeout)

    monkeypatch.setattr(processes, "_signal_group", lambda process, name: None)
    process = Held([sys.executable, "-c", ""])
    processes.end_group(process)
    assert subprocess.Popen.wait(process, 60) == 0
