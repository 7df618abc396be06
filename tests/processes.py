"""Programs that tests start: each is waited for with a deadline, and ends with everything that it started."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DEADLINE = 120.0
"""Seconds. A slow machine may take long to load torch."""
GRACE = 15.0
"""Seconds between SIGTERM and SIGKILL."""


def wait_until(check: Callable[[], bool], message: str, seconds: float = DEADLINE) -> None:
    """Waits until ``check`` returns True, and fails the test with ``message`` after ``seconds``."""
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            pytest.fail(f"{message} within {seconds:g} s")
        time.sleep(0.02)


def free_port() -> int:
    """Returns a TCP port of this machine that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running_server(command: Sequence[str], url: str, env: dict[str, str] | None = None) -> Iterator[Server]:
    """Starts a server in a process group of its own, and yields it once ``url`` responds with 200.

    At the end the group is sent SIGTERM, and killed after `GRACE` seconds.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0
        )
        running = Server(process, output.fileno())
        try:
            wait_until(lambda: _responds(url) or _has_ended(running), f"{url} did not respond")
            yield running
        finally:
            running.end()


class Server:
    """A server that a test started. Its standard output and errors go to one file."""

    def __init__(self, process: subprocess.Popen[bytes], output: int):
        self.process = process
        self._output = output

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ends the process group and returns the exit code. It may be called again."""
        self._signal(number)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE)
        self._signal(signal.SIGKILL)
        return self.process.wait(GRACE)

    def output(self) -> str:
        """Returns what the server has printed so far."""
        return os.pread(self._output, 10_000_000, 0).decode(errors="replace")

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


def _has_ended(running: Server) -> bool:
    if running.process.poll() is not None:
        pytest.fail(f"the server ended by itself:\n{running.output()[-2_000:]}")
    return False


def _responds(url: str) -> bool:
    context = ssl._create_unverified_context() if url.startswith("https:") else None  # the certificate is the test's
    try:
        with urllib.request.urlopen(url, timeout=5, context=context):
            return True
    except OSError:
        return False


def descendants(pid: int) -> list[int]:
    """Returns the ids of all processes below a process (Linux)."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if fields[0] != "Z":  # a zombie has ended
                parents[int(stat.parent.name)] = int(fields[1])
    below: list[int] = []
    level = {pid}
    while level := {child for child, parent in parents.items() if parent in level}:
        below += level
    return below


def is_running(pid: int) -> bool:
    """Returns whether a process exists and is no zombie (Linux)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
