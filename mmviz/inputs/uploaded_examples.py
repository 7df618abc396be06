"""The files of a folder of examples that a visitor sends: one .zip file, or several files. They stay in memory."""

from __future__ import annotations

import io
import re
import stat
import zipfile
import zlib
from collections.abc import Sequence

from mmviz.inputs.example_folder_files import composed, printable_name
from mmviz.types import InputError, Notice

MAX_FILES = 4_000
"""Files at once: of a thousand examples, each with an image, a sound, a text and an answer."""
MAX_BYTES = 300_000_000
"""Bytes of all files, once unpacked."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What any other method of compression needs of memory is not bounded by what it unpacks."""
_PART = 1 << 20
_PROBLEMS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)
"""What a broken or hostile archive raises."""


def files_of(uploads: Sequence[tuple[str, bytes]]) -> dict[str, bytes]:
    """Returns the contents of the files by their paths within the folder, without the folder that all of them lie in.

    ``uploads``: the names and contents of one .zip file, or of the files of one folder, whose names may be paths.
    Files and folders whose names begin with a dot are left out, and so is what a Mac adds to an archive. A .zip file
    within another stays packed. Raises ``InputError``: ``archive-unreadable``, ``archive-name`` for an absolute path or
    one that leads out of the folder, ``archive-twice``, ``archive-many`` (see `MAX_FILES`), ``archive-large`` (see
    `MAX_BYTES`, which is also checked while a file is unpacked), ``archive-mixed``.
    """
    archives = [content for name, content in uploads if name.lower().endswith(".zip")]
    if archives and len(uploads) > 1:
        raise InputError("archive-mixed")
    if archives:
        files = _unpacked(archives[0])
    else:
        _check_count(len(uploads))
        files = {}
        for name, content in uploads:
            _add(files, _path(name), content)
        if sum(map(len, files.values())) > MAX_BYTES:
            raise InputError("archive-large", megabytes=MAX_BYTES / 1e6)
    return _without_common_folder(files)


def _unpacked(data: bytes) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            _check_count(len(entries))
            left = MAX_BYTES
            for entry in entries:
                path = _path(entry.filename)
                if path is None:
                    continue
                if entry.flag_bits & 1:
                    raise _unreadable("reason-password")
                if entry.compress_type not in _METHODS:
                    raise _unreadable("reason-compression")
                if stat.S_ISLNK(entry.external_attr >> 16):
                    raise _unreadable("reason-link")
                content = _content(archive, entry, left)
                left -= len(content)
                _add(files, path, content)
    except InputError:
        raise
    except _PROBLEMS:
        raise _unreadable("reason-damaged") from None
    return files


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    """Returns what is unpacked of an entry, at most ``most`` bytes, whatever size it claims to have."""
    parts, size = [], 0
    with archive.open(entry) as file:
        while part := file.read(_PART):
            size += len(part)
            if size > most:
                raise InputError("archive-large", megabytes=MAX_BYTES / 1e6)
            parts.append(part)
    return b"".join(parts)


def _path(name: str) -> str | None:
    """Returns the path within the folder; None for what is not looked at. Raises ``InputError`` (``archive-name``)."""
    path = name.replace("\\", "/")  # as some programs on Windows write it
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", path) or "\0" in path:
        raise InputError("archive-name", name=printable_name(name))
    parts = [part for part in parts if part not in ("", ".")]
    if not parts or parts[0] == "__MACOSX" or any(part.startswith(".") for part in parts):
        return None
    return composed("/".join(parts))


def _add(files: dict[str, bytes], path: str | None, content: bytes) -> None:
    if path in files:
        raise InputError("archive-twice", name=printable_name(path))
    if path is not None:
        files[path] = content


def _without_common_folder(files: dict[str, bytes]) -> dict[str, bytes]:
    while True:
        folders = {path.partition("/")[0] for path in files}
        if len(folders) != 1 or not all("/" in path for path in files):
            return files
        files = {path.partition("/")[2]: content for path, content in files.items()}


def _check_count(count: int) -> None:
    if count > MAX_FILES:
        raise InputError("archive-many", count=count, limit=MAX_FILES)


def _unreadable(reason: str) -> InputError:
    return InputError("archive-unreadable", why=Notice(reason))
