"""Opens the file of an input, or its bytes in memory, and names it in messages."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO

from mmviz.types import InputError

_MAX_NAME = 40


def open_source(source: str | Path | bytes) -> BinaryIO:
    """Opens a file, or bytes in memory, for reading; the caller closes it.

    Raises ``InputError``: ``file-missing``, ``file-folder``, ``file-unreadable`` (no permission), ``file-special`` for
    what is not a regular file, since a pipe or a device may never end.
    """
    if isinstance(source, bytes):
        return io.BytesIO(source)
    name = short_name(source)
    try:
        path = Path(source)
        if path.is_dir():
            raise InputError("file-folder", name=name)
        if path.exists() and not path.is_file():
            raise InputError("file-special", name=name)
        # opened by descriptor: soundfile would guess a format from the name ("x.raw") instead of reading the header
        return open(os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)), "rb")
    except FileNotFoundError:
        raise InputError("file-missing", name=name) from None
    except (OSError, ValueError):  # ValueError: a null character in the path
        raise InputError("file-unreadable", name=name) from None


def short_name(source: str | Path) -> str:
    """Returns the base name of a path, printable and at most 40 characters: the only part that a message may show."""
    name = "".join(c for c in Path(source).name if c.isprintable()) or "(no name)"
    return name if len(name) <= _MAX_NAME else name[: _MAX_NAME - 1] + "…"
