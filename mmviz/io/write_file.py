"""Writes files that a person named, with an error in words."""

from __future__ import annotations

from pathlib import Path

from mmviz.types import MmvizError


def write_file(path: str | Path, content: bytes) -> None:
    """Writes a file. Raises ``MmvizError`` (``file-unwritable``)."""
    try:
        Path(path).write_bytes(content)
    except OSError as problem:
        why = problem.strerror or str(problem)
        raise MmvizError("file-unwritable", name=Path(path).name, why=why) from problem
