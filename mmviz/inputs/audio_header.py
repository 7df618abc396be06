"""What the bytes of a sound file say before a sample is decoded: its format, its promised length, its proper end."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from mmviz.types import InputError

_PLAIN_WAV = (1, 3, 6, 7, 0xFFFE)
"""Tags of WAV formats in which every sample has its own bytes."""
_UNKNOWN_SIZE = 0x7FFF_0000
"""Programs that write WAV into a pipe put this or more as the size, for want of a better one."""
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
"""Layer III of MPEG 2 or 2.5, and of MPEG 1, by the bits in the header; 0 where a header says nothing or nonsense."""
_MOST_PARTS = 100_000
"""A minute of video and sound has about 20,000; a file of nothing but empty parts must not take minutes."""


def known_format(file: BinaryIO) -> str:
    """``WAV``, ``FLAC``, ``OGG``, ``MP3``, ``AAC``, ``MP4`` or ``WEBM``, by the first bytes.

    Raises ``InputError``: an empty file, or another format.
    """
    file.seek(0)
    start = file.read(16)
    if not start:
        raise InputError("sound-empty")
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
    raise InputError("sound-format")


def is_whole(file: BinaryIO, kind: str) -> bool:
    """False where the end of the sound is missing, or (MP3) was not reached: ``file`` stands where decoding ended."""
    read, size = file.tell(), file.seek(0, 2)
    if kind == "WAV":
        file.seek(4)
        promised = int.from_bytes(file.read(4), "little")
        return promised >= _UNKNOWN_SIZE or promised + 8 <= size
    if kind == "MP3":  # without a length in it libsndfile guesses one, and stops there (a tag may follow the sound)
        return size - read <= max(4_096, size // 20) and _mp3_is_whole(file, size)
    if kind == "OGG":
        return _ogg_is_whole(file, size)
    if kind == "MP4":
        return _mp4_is_whole(file, size)
    if kind == "AAC":
        return _adts_is_whole(file, size)
    if kind == "WEBM":
        return all(length is None or body + length <= size for _, body, length in _webm_parts(file, size))
    return True


def wav_samples(file: BinaryIO) -> int | None:
    """Samples per channel that a WAV header promises: libsndfile quietly trims the number to what is there."""
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
    """The length in the header of a WebM file, in seconds; a browser that records puts none there."""
    nanoseconds, duration = 1_000_000, None
    for name, body, length in _webm_parts(file, file.seek(0, 2)):
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
    """Where an ID3v2 tag ends: its length is four times seven bits, and may be followed by a footer of 10 bytes."""
    length = 0
    for byte in start[6:10]:
        length = length << 7 | byte & 0x7F
    return 10 + length + (10 if len(start) > 5 and start[5] & 0x10 else 0)


def _first_frame(file: BinaryIO) -> int:
    """Where the sound of an MP3 or AAC file begins: after its tag, if it has one."""
    file.seek(0)
    start = file.read(10)
    return _after_tag(start) if start.startswith(b"ID3") else 0


def _is_adts(start: bytes) -> bool:
    return len(start) > 1 and start[0] == 0xFF and start[1] & 0xF6 == 0xF0


def _ogg_is_whole(file: BinaryIO, size: int) -> bool:
    """Whether the last page says that it is the last, and is all there; a page is at most 65,307 bytes."""
    file.seek(max(0, size - 65_536))
    tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if not page.startswith(b"OggS") or len(page) < 27 or len(page) < 27 + page[26]:
        return False
    return page[5] & 4 != 0 and len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])


def _mp3_is_whole(file: BinaryIO, size: int) -> bool:
    """Whether the last frame in an unbroken row of frames is all there."""
    at = _first_frame(file)
    while at < size:
        file.seek(at)
        head = file.read(4)
        if len(head) < 4:
            return False
        if head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
            return True  # a tag, or something else after the sound
        is_first = head[1] & 0x18 == 0x18  # MPEG 1; 2 and 2.5 have other tables
        kilobits = _MP3_KILOBITS[is_first][head[2] >> 4]
        rate = _MP3_RATES.get((head[1] >> 3 & 3, head[2] >> 2 & 3), 0)
        if not kilobits or not rate:
            return True
        at += (144_000 if is_first else 72_000) * kilobits // rate + (head[2] >> 1 & 1)
    return at == size


def _adts_is_whole(file: BinaryIO, size: int) -> bool:
    """Whether frame follows upon frame up to the end, or up to a tag of 128 bytes."""
    at = _first_frame(file)
    while at < size:
        file.seek(at)
        head = file.read(7)
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5 if len(head) == 7 and _is_adts(head) else 0
        if length < 7:
            return head.startswith(b"TAG") and size - at == 128
        at += length
    return at == size


def _mp4_is_whole(file: BinaryIO, size: int) -> bool:
    """Whether box follows upon box up to the end."""
    at = 0
    for _ in range(_MOST_PARTS):
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


def _webm_parts(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int | None]]:
    """Name, start and length (None: unknown) of every part in turn; what is no part has the name "" and no end."""
    at = 0
    for _ in range(_MOST_PARTS):
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
