"""Matplotlib's default settings while a figure is drawn, so that no figure depends on the settings of the caller.

Import this module before any other of Matplotlib: it works where the caller's settings stop Matplotlib itself.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _import_matplotlib() -> None:
    """Imports Matplotlib, without the caller's settings where they are wrong: it reads them while it is imported.

    Wrong are an unknown backend in ``MPLBACKEND`` (``ValueError``), and a ``matplotlibrc`` or style that is not UTF-8
    (``UnicodeDecodeError``) or cannot be opened (``OSError``).
    """
    try:
        importlib.import_module("matplotlib.style")
    except (OSError, ValueError):
        for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
            del sys.modules[name]  # parts of the package that failed
        with _no_settings():
            importlib.import_module("matplotlib.style")


@contextmanager
def _no_settings() -> Iterator[None]:
    """Hides every setting for Matplotlib; the only way past a file in the working directory is to leave it."""
    names = ("MPLBACKEND", "MATPLOTLIBRC", "MPLCONFIGDIR")
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "matplotlibrc").touch()  # the first that Matplotlib looks for is in the working directory
            os.environ["MPLCONFIGDIR"] = folder  # styles of one's own
            with contextlib.chdir(folder):
                yield
    finally:
        del os.environ["MPLCONFIGDIR"]
        os.environ.update(before)


_import_matplotlib()

# isort: split

from matplotlib import style  # noqa: E402

_DRAWING = threading.RLock()
"""Matplotlib's settings are those of the whole process: without a lock, a second thread would take the defaults for
the caller's settings, and leave them behind."""


@contextmanager
def default_settings() -> Iterator[None]:
    """Sets Matplotlib's settings to its defaults, and puts the caller's back at the end. One thread at a time."""
    with _DRAWING, style.context("default"):
        yield
