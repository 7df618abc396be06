"""What the bytes of an audio file tell before it is decoded: declared length, and whether its end is there."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from mmviz.inputs.audio_formats import after_tags, is_adts
from mmviz.inputs.mpeg_frames import count_frames

_PLAIN_WAV = (1, 3, 6, 7, 0xFFFE)
"""Tags of uncompressed WAV formats."""
_NO_SIZE = 0xFFFF_FFFF
_UNKNOWN_SIZE = 0x7FFF_0000
"""Programs that write WAV to a pipe declare this size or more, since they do not know it yet."""
_MAX_ASF_HEADER = 65_536
_SEGMENT, _INFO, _CLUSTER = b"\x18\x53\x80\x67", b"\x15\x49\xa9\x66", b"\x1f\x43\xb6\x75"
_DURATION, _TIMESTAMP_SCALE = b"\x44\x89", b"\x2a\xd7\xb1"
_AMR_FRAMES = {
    b"#!AMR\n": (13, 14, 16, 18, 20, 21, 27, 32, 6, 6, 6, 6, 1, 1, 1, 1),
    b"#!AMR-WB\n": (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 1, 1, 1, 1, 1, 1),
}
"""Bytes of a frame by its type (RFC 4867), for narrow and wide band."""
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_MAX_ELEMENTS = 100_000
"""Elements of a container that are read; a minute of video has about 20,000. Bounds the time for a hostile file."""


def is_complete(file: BinaryIO, kind: str) -> bool:
    """Returns whether the end of the audio is there, as far as the format ``kind`` tells."""
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(24)
    if kind in ("WAV", "AIFF", "RF64"):
        promised = int.from_bytes(head[4:8], "big" if kind == "AIFF" else "little")
        if kind == "RF64" and promised == _NO_SIZE:
            promised = int.from_bytes(head[20:24] + file.read(4), "little")  # RIFF size in the first chunk, ds64
        if kind == "WAV" and not has_length(file, kind):  # the samples end where the file does, if that has a length
            return promised + 8 == size
        return promised + 8 <= size or (kind == "WAV" and promised >= _UNKNOWN_SIZE)
    if kind == "W64":
        return int.from_bytes(head[16:24], "little") <= size
    if kind == "AU":
        length = int.from_bytes(head[8:12], "big")
        return length == _NO_SIZE or int.from_bytes(head[4:8], "big") + length <= size
    if kind in ("MP3", "MP2"):
        return count_frames(file).is_complete
    checks = {
        "OGG": _ogg_is_complete, "MP4": _mp4_is_complete, "AAC": _adts_is_complete, "WEBM": _webm_is_complete,
        "AMR": _amr_is_complete, "ASF": _asf_is_complete, "CAF": _caf_is_complete,
    }  # fmt: skip
    return checks[kind](file, size) if kind in checks else True


def has_length(file: BinaryIO, kind: str) -> bool:
    """Returns whether a file declares its length, which libsndfile relies on.

    FLAC from a pipe does not, nor does MP3 without a tag of Xing or LAME, or with more frames than its tag says (two
    files put together), nor WAV of a recorder that was stopped before it wrote the length.
    """
    if kind == "MP3":
        return count_frames(file).is_length_declared
    if kind == "FLAC":
        file.seek(after_tags(file))
        stream_info = file.read(26)[18:]  # the number of samples has 36 bits
        return int.from_bytes(stream_info, "big") & (1 << 36) - 1 != 0
    if kind == "WAV":
        size = file.seek(0, 2)
        frame, data, length = _wav_layout(file)
        return not (frame and data and length == 0 and data < size) or _are_chunks(file, data, size)
    return True


def wav_frames(file: BinaryIO) -> int | None:
    """Returns the samples per channel that a WAV header declares, which libsndfile silently trims to what is there.

    None where the header declares no usable number.
    """
    frame, _, length = _wav_layout(file)
    return None if frame == 0 or length == 0 or length >= _UNKNOWN_SIZE else length // frame


def _wav_layout(file: BinaryIO) -> tuple[int, int, int]:
    """Returns the bytes of a sample of all channels, where the samples begin, and their bytes; 0 for what is unknown.

    A block of compressed audio is not a sample.
    """
    file.seek(12)
    frame = 0
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        if name == b"fmt ":
            fields = file.read(16)
            if len(fields) < 16:
                break
            tag, frame = struct.unpack_from("<H", fields)[0], struct.unpack_from("<H", fields, 12)[0]
            if tag not in _PLAIN_WAV:
                break
            file.seek(size - 16 + size % 2, 1)
        elif name == b"data":
            return frame, file.tell(), size
        else:
            file.seek(size + size % 2, 1)
    return 0, 0, 0


def _are_chunks(file: BinaryIO, at: int, size: int) -> bool:
    """Returns whether chunks of a WAV file follow one another from ``at`` up to the end, as behind no samples."""
    for _ in range(_MAX_ELEMENTS):
        if at >= size:
            break
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or not head[:4].isascii() or not head[:4].decode().isprintable():
            return False
        length = int.from_bytes(head[4:], "little")
        at += 8 + length + length % 2
    return at in (size, size + 1)  # some programs leave out the last byte of padding


def webm_seconds(file: BinaryIO) -> float | None:
    """Returns the length in the header of a WebM file in seconds; None where it has none, as in browser recordings."""
    nanoseconds, duration = 1_000_000, None
    for name, body, length in _webm_elements(file, file.seek(0, 2)):
        if name == _CLUSTER:
            break
        file.seek(body)
        if name == _TIMESTAMP_SCALE and length is not None and 1 <= length <= 8:
            nanoseconds = int.from_bytes(file.read(length), "big")
        elif name == _DURATION and length in (4, 8):
            value = file.read(length)
            duration = struct.unpack(">f" if length == 4 else ">d", value)[0] if len(value) == length else None
    if duration is None or not 0 < duration * nanoseconds < 1e18:  # written so that NaN fails
        return None
    return float(duration * nanoseconds / 1e9)


def asf_seconds(file: BinaryIO) -> float | None:
    """Returns the length in the header of a WMA file in seconds; None where it has none, as from a pipe."""
    file.seek(0)
    head = file.read(_MAX_ASF_HEADER)
    at = head.find(_ASF_PROPERTIES) + 64
    if at < 64 or len(head) < at + 28 or head[at + 24] & 1:  # a flag of live files, whose other fields mean nothing
        return None
    ticks, _, preroll = struct.unpack_from("<QQQ", head, at)
    seconds = float(ticks / 1e7 - preroll / 1e3)
    return seconds if 0 < seconds < 1e9 else None


def _ogg_is_complete(file: BinaryIO, size: int) -> bool:
    """Returns whether the last page is marked as the last and is complete; a page has at most 65,307 bytes."""
    file.seek(max(0, size - 65_536))
    tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if not page.startswith(b"OggS") or len(page) < 27 or len(page) < 27 + page[26]:
        return False
    return page[5] & 4 != 0 and len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])


def _adts_is_complete(file: BinaryIO, size: int) -> bool:
    """Returns whether frames follow one another up to the end, or up to a tag of 128 bytes."""
    at = after_tags(file)
    while at < size:
        file.seek(at)
        head = file.read(7)
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5 if len(head) == 7 and is_adts(head) else 0
        if length < 7:
            return head.startswith(b"TAG") and size - at == 128
        at += length
    return at == size


def _mp4_is_complete(file: BinaryIO, size: int) -> bool:
    """Returns whether boxes follow one another up to the end."""
    at = 0
    for _ in range(_MAX_ELEMENTS):
        if at >= size:
            break
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if len(head) < 8 or (length != 0 and length < 8):
            return False
        at = at + length if length else size  # 0: up to the end of the file
    return at == size


def _amr_is_complete(file: BinaryIO, size: int) -> bool:
    """Returns whether frames follow one another up to the end."""
    file.seek(0)
    data = file.read(_MAX_ELEMENTS * 64)
    magic = next((magic for magic in _AMR_FRAMES if data.startswith(magic)), b"")
    at, lengths = len(magic), _AMR_FRAMES.get(magic, (1,) * 16)
    while at < len(data):
        at += lengths[data[at] >> 3 & 15]
    return at == size


def _asf_is_complete(file: BinaryIO, size: int) -> bool:
    """Returns whether the file is as long as its header says; a live one does not say it."""
    file.seek(0)
    head = file.read(_MAX_ASF_HEADER)
    at = head.find(_ASF_PROPERTIES) + 40
    promised, is_live = int.from_bytes(head[at : at + 8], "little"), head[at + 48 : at + 49] in (b"\1", b"\3")
    return at < 40 or is_live or promised <= size


def _caf_is_complete(file: BinaryIO, size: int) -> bool:
    """Returns whether chunks follow one another up to the end; the last one may have no length."""
    at = 8
    for _ in range(_MAX_ELEMENTS):
        if at + 12 > size:  # some programs add a byte
            break
        file.seek(at)
        head = file.read(12)
        length = int.from_bytes(head[4:], "big", signed=True)
        if length < 0:
            return True
        at += 12 + length
    return at <= size


def _webm_is_complete(file: BinaryIO, size: int) -> bool:
    """Returns whether every element ends in the file."""
    return all(length is None or body + length <= size for _, body, length in _webm_elements(file, size))


def _webm_elements(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int | None]]:
    """Yields name, start and length (None: unknown) of each element; what is no element has the name "" and no end."""
    at = 0
    for _ in range(_MAX_ELEMENTS):
        if at >= size:
            return
        file.seek(at)
        head = file.read(12)
        name_length = 9 - head[0].bit_length()
        width = 9 - head[name_length].bit_length() if name_length <= 4 and len(head) > name_length else 9
        body = name_length + width
        if width > 8 or len(head) < body:
            yield b"", at, size
            return
        name, unknown = head[:name_length], (1 << 7 * width) - 1
        length: int | None = int.from_bytes(head[name_length:body], "big") & unknown
        if length == unknown:
            length = None
        yield name, at + body, length
        if name in (_SEGMENT, _INFO, _CLUSTER):
            at += body
        elif length is None:
            return
        else:
            at += body + length
