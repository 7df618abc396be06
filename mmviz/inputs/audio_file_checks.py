"""What the bytes of an audio file tell before it is decoded: format, declared length, and whether its end is there."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from mmviz.types import InputError

_PLAIN_WAV = (1, 3, 6, 7, 0xFFFE)
"""Tags of uncompressed WAV formats."""
_UNKNOWN_SIZE = 0x7FFF_0000
"""Programs that write WAV to a pipe declare this size or more, since they do not know it yet."""
_SEGMENT, _INFO, _CLUSTER = b"\x18\x53\x80\x67", b"\x15\x49\xa9\x66", b"\x1f\x43\xb6\x75"
_DURATION, _TIMESTAMP_SCALE = b"\x44\x89", b"\x2a\xd7\xb1"
_MP3_KILOBITS = (
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
)
_MP3_RATES = {
    (version, index): rate // divisor
    for version, divisor in ((3, 1), (2, 2), (0, 4))
    for index, rate in enumerate((44_100, 48_000, 32_000))
}
"""Bit rates (MPEG 2 and 2.5, then MPEG 1) and sampling rates of layer III, by bits of the header; 0: none."""
_MAX_ELEMENTS = 100_000
"""Elements of a container that are read; a minute of video has about 20,000. Bounds the time for a hostile file."""


def audio_format(file: BinaryIO) -> str:
    """Returns ``WAV``, ``FLAC``, ``OGG``, ``MP3``, ``AAC``, ``MP4`` or ``WEBM``, by the first bytes.

    Raises ``InputError``: ``audio-empty``, ``audio-format``.
    """
    file.seek(0)
    start = file.read(16)
    if not start:
        raise InputError("audio-empty")
    if start.startswith(b"RIFF") and start[8:12] == b"WAVE":
        return "WAV"
    if start.startswith(b"fLaC"):
        return "FLAC"
    if start.startswith(b"OggS"):
        return "OGG"
    if start[4:8] == b"ftyp":
        return "MP4"
    if start.startswith(b"\x1a\x45\xdf\xa3"):
        return "WEBM"
    if start.startswith(b"ID3"):
        file.seek(_after_tag(start))
        return "AAC" if _is_adts(file.read(2)) else "MP3"
    if _is_adts(start):
        return "AAC"
    if start[0] == 0xFF and len(start) > 1 and start[1] & 0xE6 == 0xE2:
        return "MP3"
    raise InputError("audio-format")


def is_complete(file: BinaryIO, kind: str) -> bool:
    """Returns whether the end of the audio is there and, for MP3, decoding (up to the current position) reached it."""
    read, size = file.tell(), file.seek(0, 2)
    if kind == "WAV":
        file.seek(4)
        promised = int.from_bytes(file.read(4), "little")
        return promised >= _UNKNOWN_SIZE or promised + 8 <= size
    if kind == "MP3":  # libsndfile guesses a missing length and stops there (a tag may follow the audio)
        return size - read <= max(4_096, size // 20) and _mp3_is_complete(file, size)
    if kind == "OGG":
        return _ogg_is_complete(file, size)
    if kind == "MP4":
        return _mp4_is_complete(file, size)
    if kind == "AAC":
        return _adts_is_complete(file, size)
    if kind == "WEBM":
        return all(length is None or body + length <= size for _, body, length in _webm_elements(file, size))
    return True


def wav_frames(file: BinaryIO) -> int | None:
    """Returns the samples per channel that a WAV header declares, which libsndfile silently trims to what is there.

    None where the header declares no usable number.
    """
    file.seek(12)
    frame = 0
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        if name == b"fmt ":
            fields = file.read(16)
            if len(fields) < 16:
                return None
            tag, frame = struct.unpack_from("<H", fields)[0], struct.unpack_from("<H", fields, 12)[0]
            if tag not in _PLAIN_WAV:
                return None  # compressed: a block is not a sample
            file.seek(size - 16 + size % 2, 1)
        elif name == b"data":
            return None if frame == 0 or size == 0 or size >= _UNKNOWN_SIZE else int(size // frame)
        else:
            file.seek(size + size % 2, 1)
    return None


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


def _after_tag(start: bytes) -> int:
    """Returns where an ID3v2 tag ends: its length has four times seven bits, and a footer of 10 bytes may follow."""
    length = 0
    for byte in start[6:10]:
        length = length << 7 | byte & 0x7F
    return 10 + length + (10 if len(start) > 5 and start[5] & 0x10 else 0)


def _first_frame(file: BinaryIO) -> int:
    """Returns where the audio of an MP3 or AAC file begins: after its tag, if it has one."""
    file.seek(0)
    start = file.read(10)
    return _after_tag(start) if start.startswith(b"ID3") else 0


def _is_adts(start: bytes) -> bool:
    return len(start) > 1 and start[0] == 0xFF and start[1] & 0xF6 == 0xF0


def _ogg_is_complete(file: BinaryIO, size: int) -> bool:
    """Returns whether the last page is marked as the last and is complete; a page has at most 65,307 bytes."""
    file.seek(max(0, size - 65_536))
    tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if not page.startswith(b"OggS") or len(page) < 27 or len(page) < 27 + page[26]:
        return False
    return page[5] & 4 != 0 and len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])


def _mp3_is_complete(file: BinaryIO, size: int) -> bool:
    """Returns whether the last frame of an unbroken sequence of frames is complete."""
    at = _first_frame(file)
    while at < size:
        file.seek(at)
        head = file.read(4)
        if len(head) < 4:
            return False
        if head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
            return True  # a tag, or something else after the audio
        is_mpeg1 = head[1] & 0x18 == 0x18  # MPEG 2 and 2.5 have other tables
        kilobits = _MP3_KILOBITS[is_mpeg1][head[2] >> 4]
        rate = _MP3_RATES.get((head[1] >> 3 & 3, head[2] >> 2 & 3), 0)
        if not kilobits or not rate:
            return True
        at += (144_000 if is_mpeg1 else 72_000) * kilobits // rate + (head[2] >> 1 & 1)
    return at == size


def _adts_is_complete(file: BinaryIO, size: int) -> bool:
    """Returns whether frames follow one another up to the end, or up to a tag of 128 bytes."""
    at = _first_frame(file)
    while at < size:
        file.seek(at)
        head = file.read(7)
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5 if len(head) == 7 and _is_adts(head) else 0
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
