"""Restricts a capture to some modules, by glob patterns on their paths."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from mmviz.types import CaptureError

_LISTED = 12
"""Module paths that an error lists."""


class ModuleFilter:
    """Tells which modules take part in a capture.

    A pattern that matches a module (`fnmatch`, case-sensitive; ``*`` matches dots as well) applies to the modules in
    it, too. Raises ``CaptureError`` (``capture-pattern``) for a pattern that matches none of ``paths``.
    """

    def __init__(self, only: str | Sequence[str], exclude: str | Sequence[str], paths: Iterable[str]):
        self.only, self.exclude = _as_tuple(only), _as_tuple(exclude)
        self._selected: dict[str, bool] = {}
        check_patterns((*self.only, *self.exclude), paths)

    def selects(self, path: str) -> bool:
        """Returns whether the module at ``path`` takes part: it matches ``only``, if given, and not ``exclude``."""
        if path not in self._selected:
            is_chosen = not self.only or _matches(path, self.only)
            self._selected[path] = is_chosen and not _matches(path, self.exclude)
        return self._selected[path]


def check_patterns(patterns: Iterable[str], paths: Iterable[str]) -> None:
    """Raises ``CaptureError`` (``capture-pattern``) for a pattern that matches none of ``paths``."""
    paths = list(paths)
    for pattern in patterns:
        if not any(fnmatchcase(path, pattern) for path in paths):
            near = difflib.get_close_matches(pattern, paths, _LISTED, cutoff=0)
            known = ", ".join(near) + (", …" if len(paths) > len(near) else "")
            raise CaptureError("capture-pattern", pattern=pattern, known=known)


def _matches(path: str, patterns: Sequence[str]) -> bool:
    """Returns whether a pattern matches a module or a module around it."""
    names = path.split(".")
    parents = [".".join(names[: depth + 1]) for depth in range(len(names))]
    return any(fnmatchcase(parent, pattern) for parent in parents for pattern in patterns)


def _as_tuple(patterns: str | Sequence[str]) -> tuple[str, ...]:
    return (patterns,) if isinstance(patterns, str) else tuple(patterns)
