"""The token that lets others in: one line in a file, so that no command line or log ever holds it."""

from __future__ import annotations

from pathlib import Path

from mmviz.types import MmvizError

MIN_LENGTH = 16
"""Characters; 16 of a random token are past guessing."""


def read_token(path: Path) -> str:
    """The token in a file. Raises ``MmvizError`` (``token-file``) where there is none, or a short one."""
    try:
        with path.open(encoding="ascii") as file:
            found = file.read(4_096).strip()
    except (OSError, ValueError):
        raise MmvizError("token-file", name=path.name, least=MIN_LENGTH) from None
    if len(found) < MIN_LENGTH or not found.isprintable() or " " in found:
        raise MmvizError("token-file", name=path.name, least=MIN_LENGTH)
    return found
