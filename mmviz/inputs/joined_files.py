"""Files of FLAC and OGG that were put one after another, where decoders read the first one alone."""

from __future__ import annotations

from typing import BinaryIO, cast

from mmviz.inputs.audio_formats import after_tags
from mmviz.inputs.unknown_audio_length import AudioView

_STREAM_INFO = (b"fLaC\0\0\0\x22", b"fLaC\x80\0\0\x22")
"""The first bytes of a FLAC file: its name, and the head of the block that comes first, which may be the only one."""
_BLOCK = 1 << 20
_MAX_PAGES = 100_000
_MAX_FILES = 1_000
_FIRST_PAGE = 2
"""Flag of the first page of each track of an OGG file; those of all tracks come before any other."""


def joined_files(file: BinaryIO, kind: str) -> list[BinaryIO]:
    """Returns the files of format ``kind`` that were put one after another in ``file``, mostly it alone."""
    find_starts = {"FLAC": _flac_starts, "OGG": _ogg_starts}.get(kind)
    starts = [] if find_starts is None else find_starts(file)[:_MAX_FILES]
    if len(starts) < 2:
        return [file]
    ends = [*starts[1:], file.seek(0, 2)]
    return [cast("BinaryIO", AudioView(file, start, end)) for start, end in zip(starts, ends, strict=True)]


def _flac_starts(file: BinaryIO) -> list[int]:
    at = after_tags(file)
    file.seek(at)
    starts, kept = [at], b""
    at += 1
    file.seek(at)
    while block := file.read(_BLOCK):
        data = kept + block
        for name in _STREAM_INFO:
            place = data.find(name)
            while place >= 0:
                starts.append(at - len(kept) + place)
                place = data.find(name, place + 1)
        kept = data[-len(_STREAM_INFO[0]) + 1 :]
        at += len(block)
    return sorted(starts)


def _ogg_starts(file: BinaryIO) -> list[int]:
    starts, at, was_first = [], 0, False
    for _ in range(_MAX_PAGES):
        file.seek(at)
        head = file.read(27)
        if len(head) < 27 or not head.startswith(b"OggS"):
            break
        is_first = head[5] & _FIRST_PAGE != 0
        if is_first and not was_first:
            starts.append(at)
        was_first = is_first
        at += 27 + head[26] + sum(file.read(head[26]))
    return starts
