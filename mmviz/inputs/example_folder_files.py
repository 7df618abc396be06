"""The files of a folder of examples: on disk, or in memory, where a visitor has sent them."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from mmviz.i18n.unicode_display import one_line
from mmviz.inputs.unread_files import unread_reason
from mmviz.types import InputError, MmvizError

Source = Path | bytes
"""A file: its path, or its content."""
_MAX_NAME = 255


class ExampleFiles(Protocol):
    """The files of one folder."""

    def names(self) -> list[str]:
        """Returns the names of what lies in the folder itself, files and others."""
        ...

    def has(self, name: str) -> bool:
        """Returns whether a file of this name lies in the folder itself."""
        ...

    def file(self, name: str, example: str) -> Source:
        """Returns the file of this name, which may lie in a folder inside.

        Raises ``MmvizError``, which names the example: ``examples-file`` where there is none, ``examples-outside``
        where it lies outside the folder.
        """
        ...

    def unread_reason(self, name: str) -> InputError:
        """Returns why what has this name is no example by itself."""
        ...


class FilesOnDisk:
    """A folder on this machine; ``folder`` is resolved."""

    def __init__(self, folder: Path):
        self._folder = folder

    def names(self) -> list[str]:
        """See `ExampleFiles.names`."""
        return [path.name for path in self._folder.iterdir()]

    def has(self, name: str) -> bool:
        """See `ExampleFiles.has`."""
        return (self._folder / name).is_file()

    def file(self, name: str, example: str) -> Path:
        """See `ExampleFiles.file`. Links are followed before it is told whether the file lies outside."""
        folder = self._folder
        try:
            path = (folder / name).resolve()
            if not path.exists() and path.parent.is_relative_to(folder) and path.parent.is_dir():
                same = (file for file in path.parent.iterdir() if composed(file.name) == composed(path.name))
                path = next((file.resolve() for file in same), path)  # the name in another Unicode form
            is_inside, is_file = path.is_relative_to(folder), path.is_file()
        except (OSError, ValueError, RuntimeError):  # too long a name, a null character, a loop of links
            is_inside, is_file = True, False
        if not is_inside:
            raise MmvizError("examples-outside", example=example, file=printable_name(name))
        if not is_file:
            raise MmvizError("examples-file", example=example, file=printable_name(name))
        return path

    def unread_reason(self, name: str) -> InputError:
        """See `ExampleFiles.unread_reason`."""
        return unread_reason(self._folder / name)


class FilesInMemory:
    """Files by their paths within the folder, whose parts are separated by "/". Nothing is written to disk."""

    def __init__(self, files: Mapping[str, bytes]):
        self._files = {composed(name): content for name, content in files.items()}

    def names(self) -> list[str]:
        """See `ExampleFiles.names`."""
        return list(dict.fromkeys(name.partition("/")[0] for name in self._files))

    def has(self, name: str) -> bool:
        """See `ExampleFiles.has`."""
        return composed(name) in self._files

    def file(self, name: str, example: str) -> bytes:
        """See `ExampleFiles.file`."""
        path = posixpath.normpath(composed(name))
        if path.startswith("/") or path.split("/")[0] == "..":
            raise MmvizError("examples-outside", example=example, file=printable_name(name))
        if path not in self._files:
            raise MmvizError("examples-file", example=example, file=printable_name(name))
        return self._files[path]

    def unread_reason(self, name: str) -> InputError:
        """See `ExampleFiles.unread_reason`."""
        return InputError("examples-ending" if self.has(name) else "examples-folder-inside")


def beginning(file: Source, count: int, name: str) -> bytes:
    """Returns the first ``count`` bytes of a file, which errors call ``name``.

    Raises ``InputError`` (``file-unreadable``).
    """
    if isinstance(file, bytes):
        return file[:count]
    try:
        with file.open("rb") as opened:
            return opened.read(count)
    except OSError:
        raise InputError("file-unreadable", name=name) from None


def composed(name: str) -> str:
    """Returns ``name`` in Unicode's form NFC: a Mac may write the accent of an é as a character of its own."""
    return unicodedata.normalize("NFC", name)


def printable_name(name: str) -> str:
    """Returns ``name`` on one line, without invisible characters, at most 255 characters long."""
    printable = one_line(name) or "(no name)"
    return printable if len(printable) <= _MAX_NAME else printable[: _MAX_NAME - 1] + "…"
