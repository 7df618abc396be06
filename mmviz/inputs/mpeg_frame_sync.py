"""Where frames of MP3, MP2 or AAC begin in a file that begins with something else, such as the rest of a frame."""

from __future__ import annotations

from typing import BinaryIO

from mmviz.inputs.audio_formats import is_adts
from mmviz.inputs.mpeg_frames import frame_length

_SEARCHED = 65_536
"""Bytes at the beginning that are searched; a frame has at most 8,191."""
_IN_A_ROW = 4
"""Frames that must follow one another, since a frame begins with few fixed bits."""


def find_frames(file: BinaryIO) -> tuple[str, int] | None:
    """Returns the format of the first frames in a row, ``MP3``, ``MP2`` or ``AAC``, and where they begin."""
    file.seek(0)
    data = file.read(2 * _SEARCHED)
    at = data.find(b"\xff")
    while 0 <= at < _SEARCHED:
        if name := _format_in_a_row(data, at):
            return name, at
        at = data.find(b"\xff", at + 1)
    return None


def _format_in_a_row(data: bytes, at: int) -> str:
    """Returns the format of the frames that begin at ``at``; empty unless several of one kind follow one another."""
    kinds = set()
    for _ in range(_IN_A_ROW):
        head = data[at : at + 7]
        if len(head) < 7:
            return ""
        if is_adts(head):
            length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
            kinds.add(("AAC", head[1], head[2] & 0xFC))
        else:
            length = frame_length(head[:4])
            kinds.add(("MP3" if head[1] & 6 == 2 else "MP2", head[1], head[2] & 0x0C))
        if length < 7 or len(kinds) > 1:
            return ""
        at += length
    return next(iter(kinds))[0]
