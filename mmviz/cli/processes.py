"""A server in a child process that never outlives the command that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

GRACE = 5.0
"""Seconds between the request to end and the kill."""
_END_SIGNALS = ("SIGTERM", "SIGHUP")
"""Signals that end a command beside SIGINT, which is ``KeyboardInterrupt``. SIGHUP: the terminal was closed."""


def run_module(module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs a Python module with ``arguments`` in a child process, until either process ends; returns its exit code.

    The child leads a process group of its own. However this process ends, the whole group ends with it: on SIGTERM,
    SIGINT and SIGHUP it is asked to, and killed after `GRACE` seconds; where this process is killed,
    `mmviz.cli.child_main` notices that its standard input is closed. That works on every platform, unlike Linux's
    PR_SET_PDEATHSIG, which also spares the child's own children.
    """
    command = [sys.executable, "-m", "mmviz.cli.child_main", module, *arguments]
    group = {"process_group": 0} if os.name == "posix" else {}
    with _exit_on_signals():
        process = subprocess.Popen(command, stdin=subprocess.PIPE, env=dict(environment), **group)  # type: ignore[call-overload]
        try:
            return int(process.wait())
        finally:
            with _ignored_signals():
                end_group(process)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends the process group that ``process`` leads: SIGTERM, then SIGKILL after `GRACE` seconds."""
    if process.poll() is None:
        _signal_group(process, "SIGTERM")
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    _signal_group(process, "SIGKILL")
    with suppress(subprocess.TimeoutExpired):  # one that a driver holds ends later than that
        process.wait(GRACE)


def _signal_group(process: subprocess.Popen[bytes], name: str) -> None:
    with suppress(ProcessLookupError, PermissionError):  # all have ended
        if os.name == "posix":
            os.killpg(process.pid, getattr(signal, name))
        elif process.poll() is None:
            process.kill()


@contextmanager
def _exit_on_signals() -> Iterator[None]:
    """Turns `_END_SIGNALS` into ``SystemExit``, so that ``finally`` blocks run."""

    def leave(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    numbers = [getattr(signal, name) for name in _END_SIGNALS if hasattr(signal, name)]
    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _ignored_signals() -> Iterator[None]:
    """Ignores all signals that end a command, so that a second Ctrl-C leaves no process behind."""
    numbers = [getattr(signal, name) for name in (*_END_SIGNALS, "SIGINT") if hasattr(signal, name)]
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
