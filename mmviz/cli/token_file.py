"""Reads access tokens from files, so that no command line and no log ever holds one."""

from __future__ import annotations

from pathlib import Path

from mmviz.types import MmvizError

MIN_LENGTH = 16
"""Characters. A random token of this length cannot be guessed."""
_MAX_READ = 4_096
"""Characters that are read from the file at most."""


def read_token(path: Path) -> str:
    """Returns the token in the file at ``path``: one line of printable ASCII without spaces.

    Raises ``MmvizError`` (``token-file``) where the file cannot be read, or its token is shorter than `MIN_LENGTH`.
    """
    try:
        with path.open(encoding="ascii") as file:
            token = file.read(_MAX_READ).strip()
    except (OSError, ValueError):
        raise MmvizError("token-file", name=path.name, least=MIN_LENGTH) from None
    if not is_token(token):
        raise MmvizError("token-file", name=path.name, least=MIN_LENGTH)
    return token


def is_token(text: str) -> bool:
    """Returns whether a text can be an access token: printable ASCII without spaces, of at least `MIN_LENGTH`."""
    return len(text) >= MIN_LENGTH and text.isascii() and text.isprintable() and " " not in text
