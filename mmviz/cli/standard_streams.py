"""What a command prints: on terminals that lack characters, into pipes that are closed early, or to nowhere."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from mmviz.i18n.minus_sign import MINUS
from mmviz.types import MmvizError

ESCAPED = "mmviz-escaped"
"""Name of what is done with characters that an encoding lacks."""
CLOSED_PIPE = 141
"""Exit code of a command whose reader has gone, as ``| head`` does: 128 + 13, what a shell shows for SIGPIPE."""


def prepare_streams() -> None:
    """Makes standard output and standard error take every text.

    A character that the terminal's encoding lacks is printed as its escape, such as ``\\u72d7``, and a minus sign as a
    hyphen. A closed stream is replaced by one that drops what it is given, as ``print`` does by itself.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (for the whole process)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ESCAPED)


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    """Returns what stands for the first character that an encoding lacks, and where the text goes on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    if error.object[error.start] == MINUS:
        return "-", error.start + 1
    error.end = error.start + 1
    return codecs.backslashreplace_errors(error)


codecs.register_error(ESCAPED, _escape)


class ClosedPipe(Exception):
    """Nothing reads the output any more."""


@contextmanager
def checked_output() -> Iterator[None]:
    """Flushes what a command prints, so that a failure to write it is known here and not at the interpreter's exit.

    Raises `ClosedPipe`, or ``MmvizError`` (``file-unwritable``) where standard output cannot be written, such as on a
    full disk. What was not written is dropped.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
    except OSError as problem:
        if isinstance(problem, BrokenPipeError) or (os.name == "nt" and problem.errno == errno.EINVAL):
            _drop_output(sys.stdout, sys.stderr)  # both may be that pipe
            raise ClosedPipe from None
        if _can_print():  # it was another file
            raise
        _drop_output(sys.stdout)
        why = problem.strerror or str(problem)
        raise MmvizError("file-unwritable", name="standard output", why=why) from None


def _can_print() -> bool:
    try:
        print(flush=True)
    except OSError:
        return False
    return True


def _drop_output(*streams: TextIO) -> None:
    """Sends ``streams`` to nowhere, so that the interpreter does not fail to flush them at its exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
