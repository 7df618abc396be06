"""What several commands share: which model runs and where, how far it is, Ctrl-C, and the files they write."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmviz.types import MmvizError

if TYPE_CHECKING:
    from mmviz.backends import Backend
    from mmviz.backends.local import LocalBackend

MODEL = "trio, toy, MODULE:FACTORY of your own, or a folder of mmviz train"


def add_where(command: argparse.ArgumentParser) -> None:
    """Add the options that say which model runs, and where."""
    command.add_argument("--model", default="trio", help=MODEL)
    command.add_argument("--backend", metavar="URL", help="where it runs: the address of an mmviz serve")
    command.add_argument("--token-file", type=Path, metavar="FILE", help="the token of that backend")


def backend_of(options: argparse.Namespace) -> Backend | None:
    """Where a run is made: the backend that was named, whose token is in a file or in MMVIZ_TOKEN; this machine with a
    model of one's own; None for the catalogue on this machine."""
    if not options.backend:
        return own(options.model)
    from mmviz.backends.access_token import read_token
    from mmviz.backends.remote import RemoteBackend

    token = read_token(options.token_file) if options.token_file else os.environ.get("MMVIZ_TOKEN")
    return RemoteBackend(options.backend, token)


def own(model: str) -> LocalBackend | None:
    """Where a model of one's own runs; None for those of the catalogue."""
    from mmviz.models import CATALOGUE

    if model in CATALOGUE:
        return None
    from mmviz.backends.local import this_machine
    from mmviz.models.custom import is_own

    return this_machine(model) if is_own(model) else None


def write(path: str, data: bytes) -> None:
    """Write a file that was asked for. Raises ``MmvizError`` (``file-unwritable``)."""
    try:
        Path(path).write_bytes(data)
    except OSError as problem:
        raise MmvizError("file-unwritable", name=Path(path).name, why=problem.strerror or str(problem)) from problem


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed; what has been done by then is kept. A second one ends the command as ever."""
    pressed = False

    def press(*_: object) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


def bar(total: int) -> Any:
    """A bar of progress, a ``tqdm``. Raises ``MmvizError`` (``extra-missing``)."""
    try:
        from tqdm import tqdm
    except ImportError as missing:
        raise MmvizError("extra-missing", extra="train") from missing
    return tqdm(total=total, dynamic_ncols=True)
