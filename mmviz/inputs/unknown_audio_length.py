"""Files of sounds whose program could not go back to fill in a length, shown to decoders as if it had."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, BinaryIO, cast

_RF64_SIZES = 12
"""Where the chunk ``ds64`` of an RF64 file begins: name, length, then the sizes of the file and of its samples."""
_W64_HEAD, _W64_CHUNK = 40, 24
"""Bytes of a W64 file before its first chunk, and of the name and length of each chunk."""
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_UNKNOWN_64 = 1 << 62
"""Lengths of 64 bits from here on stand for an unknown one."""
_MAX_CHUNKS = 1_000


class AudioView(io.RawIOBase):
    """A file from ``start`` to ``end``, read with other bytes at some places.

    Decoders seek by the lengths that a header declares. A place outside the file, which a file refuses, is its end or
    beginning here, so that they find no more data there.

    Args:
        file: file that can be read and sought.
        start: bytes at its beginning that are left out.
        end: where it ends; None for the end of the file.
        patches: by place in the view, the bytes that are read there.
    """

    def __init__(
        self, file: BinaryIO, start: int = 0, end: int | None = None, patches: Mapping[int, bytes] | None = None
    ):
        self._file, self._start, self._patches = file, start, dict(patches or {})
        size = file.seek(0, 2)
        self._size = max(0, min(size, size if end is None else end) - start)
        self._at = 0

    def readable(self) -> bool:
        """Returns True; nothing can be written to it."""
        return True

    def seekable(self) -> bool:
        """Returns True, whatever the file is read from."""
        return True

    def tell(self) -> int:
        """Returns the place of the next byte, from the beginning of the view."""
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        """Moves to a byte of the view, or to its nearest end; returns the place. ``whence`` as in `io.IOBase.seek`."""
        origin = (0, self._at, self._size)[whence]
        self._at = min(max(0, origin + offset), self._size)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fills ``buffer`` with the next bytes and returns how many there were; 0 at the end."""
        target = memoryview(buffer).cast("B")
        self._file.seek(self._start + self._at)
        data = bytearray(self._file.read(min(len(target), self._size - self._at)))
        for place, patch in self._patches.items():
            first = place - self._at
            for index in range(max(0, first), min(len(data), first + len(patch))):
                data[index] = patch[index - first]
        target[: len(data)] = data
        self._at += len(data)
        return len(data)


def with_lengths(file: BinaryIO, kind: str) -> tuple[BinaryIO, str]:
    """Returns a view of a file in which no length is missing that libsndfile needs, and the format of the view.

    An RF64 file from a pipe, whose 64-bit sizes are 0, is shown as the WAV from a pipe that it could have been, and a
    W64 file gets the sizes that it has.
    """
    if kind == "RF64":
        file.seek(_RF64_SIZES)
        head = file.read(24)
        is_unknown = head[:4] == b"ds64" and int.from_bytes(head[16:24], "little") in (0, (1 << 64) - 1)
        return (_view(file, {0: b"RIFF\xff\xff\xff\xff"}), "WAV") if is_unknown else (file, kind)
    return (_view(file, _w64_sizes(file)) if kind == "W64" else file), kind


def _view(file: BinaryIO, patches: Mapping[int, bytes]) -> BinaryIO:
    return cast("BinaryIO", AudioView(file, patches=patches))


def _w64_sizes(file: BinaryIO) -> dict[int, bytes]:
    """Returns what to read instead of the unknown sizes of a W64 file and of its samples, by their places."""
    size = file.seek(0, 2)
    file.seek(16)
    patches = {}
    if not 0 < int.from_bytes(file.read(8), "little") < _UNKNOWN_64:
        patches[16] = size.to_bytes(8, "little")
    at = _W64_HEAD
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        head = file.read(_W64_CHUNK)
        length = int.from_bytes(head[16:], "little")
        if head[:16] == _W64_DATA and not _W64_CHUNK < length < _UNKNOWN_64:
            patches[at + 16] = (size - at).to_bytes(8, "little")
        if len(head) < _W64_CHUNK or head[:16] == _W64_DATA or not _W64_CHUNK <= length < _UNKNOWN_64:
            break
        at += (length + 7) // 8 * 8
    return patches
