"""Runs a module in a child process, see `mmviz.cli.processes`.

``python -m mmviz.cli.child_main MODULE [ARGUMENT ...]``
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def end_with_parent() -> None:
    """Waits until standard input is closed, which is when the parent process ends, then kills this process group."""
    try:
        while os.read(0, 1_024):
            pass
    finally:
        if os.name == "posix" and os.getpgid(0) == os.getpid():  # a group of its own
            os.killpg(0, signal.SIGKILL)
        os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
