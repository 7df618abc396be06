"""Arrays and a JSON header in one ``.npz`` file: no pickle, and limits that are checked before anything is inflated."""

from __future__ import annotations

import io
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from mmviz.types import MmvizError

LARGEST = 1_000_000_000
"""Bytes that a file may have once inflated."""
_DIRECTORY = 1_000_000
"""Largest size of the zip directory in bytes, since each entry costs memory before it is read."""
_END = 22
"""Size of the record at the end of a zip file, in bytes."""
DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, RuntimeError, ArithmeticError,
           MemoryError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)  # fmt: skip
_ARRAY = re.compile(
    rb"\x93NUMPY(?:\x01\x00..|[\x02\x03]\x00....)"
    rb"\{'descr': '([<>|][fiub]\d{1,2})', 'fortran_order': (True|False), 'shape': \(([\d, ]{0,99})\),? ?\} *\n",
    re.DOTALL,
)
"""What stands before the numbers of an array (NEP 1), as numpy writes it. Its own reader parses that as Python, which
fails now and then in several threads of Python 3.11 (CPython issue 106905)."""


def pack_npz(
    header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], level: int = 6, stored: Collection[str] = (),
    method: int = zipfile.ZIP_DEFLATED,
) -> bytes:  # fmt: skip
    """Returns the bytes of the file, which are the same for the same values.

    ``level``: of deflate, from 0 (none) over 1 (fast) to 9 (small). Arrays whose names are ``stored`` are not deflated.
    ``method``: that of `zipfile` for the others; ``ZIP_LZMA`` is slower and smaller.
    """
    header_bytes = np.frombuffer(json.dumps(header).encode(), np.uint8)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method, compresslevel=level) as archive:
        for name, array in {"header": header_bytes, **arrays}.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # without a date
            member.compress_type = zipfile.ZIP_STORED if name in stored else method
            with archive.open(member, "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asanyarray(array), allow_pickle=False)
    return file.getvalue()


@contextmanager
def open_npz(
    source: Path | BinaryIO, code: str = "run-unreadable", largest: int = LARGEST
) -> Iterator[tuple[dict[str, Any], Arrays]]:
    """Opens a file and yields its header and its arrays, which are read on access.

    Raises ``MmvizError``: ``code`` for a damaged file, also when the damage shows inside the block; ``npz-large`` for a
    file that would inflate to more than ``largest`` bytes, before anything is inflated.
    """
    try:
        with open(source, "rb") if isinstance(source, Path) else source as file:
            check_directory(file)
            with zipfile.ZipFile(file) as archive:
                size = sum(member.file_size for member in archive.infolist())
                if size > largest:
                    raise MmvizError("npz-large", size=size / 1e6, limit=largest / 1e6)
                arrays = Arrays(archive)
                header = json.loads(arrays["header"].tobytes())
                if not isinstance(header, dict):
                    raise ValueError
                yield header, arrays
    except DAMAGE as problem:
        raise MmvizError(code) from problem


class Arrays:
    """The arrays of an open file by name, read-only."""

    def __init__(self, archive: zipfile.ZipFile):
        self._archive = archive
        self._names = set(archive.namelist())

    def __iter__(self) -> Iterator[str]:
        """Yields the names of the arrays."""
        return (name.removesuffix(".npy") for name in sorted(self._names))

    def __contains__(self, name: str) -> bool:
        return f"{name}.npy" in self._names

    def __getitem__(self, name: str) -> NDArray[Any]:
        member = self._archive.getinfo(f"{name}.npy")
        with self._archive.open(member) as entry:
            data = entry.read(member.file_size)  # without a size, zipfile inflates everything before it cuts
        return unpack_npy(data)

    def get(self, name: str) -> NDArray[Any] | None:
        """Returns the array of this name, or None."""
        return self[name] if f"{name}.npy" in self._names else None


def unpack_npy(data: bytes) -> NDArray[Any]:
    """Returns the array of numbers in the bytes of an ``.npy`` file, read-only. Raises ``ValueError``."""
    header = _ARRAY.match(data)
    if header is None:
        raise ValueError("no array of numbers")
    dtype, fortran_order, sizes = (part.decode() for part in header.groups())
    shape = tuple(int(size) for size in sizes.split(",") if size)
    order: Literal["F", "C"] = "F" if fortran_order == "True" else "C"
    return np.frombuffer(data, dtype, offset=header.end()).reshape(shape, order=order)  # fails where values lack


def check_directory(file: BinaryIO) -> None:
    """Raises ``ValueError`` where the file does not end as an ``.npz`` does, or its zip directory is too large."""
    file.seek(-_END, io.SEEK_END)
    end = file.read(_END)
    if end[:4] != b"PK\5\6" or int.from_bytes(end[12:16], "little") > _DIRECTORY:
        raise ValueError
    file.seek(0)
