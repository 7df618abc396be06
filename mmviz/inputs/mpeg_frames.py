"""The frames of an MP3 or MP2 file (ISO 11172-3), counted before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from mmviz.inputs.audio_formats import after_tags

_KILOBITS = {
    (3, True): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    (2, True): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 0),
    (3, False): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
    (2, False): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
}
"""Bit rates by layer and whether it is MPEG 1, by the index in a frame's header; 0: none."""
_RATES = {
    (version, index): rate // divisor
    for version, divisor in ((3, 1), (2, 2), (0, 4))
    for index, rate in enumerate((44_100, 48_000, 32_000))
}
"""Sampling rates in Hz by version and index, as in a frame's header."""
_MAX_FRAMES = 100_000
"""Frames that are counted, at least a quarter of an hour. Bounds the time for a hostile file."""


@dataclass(frozen=True)
class MpegFrames:
    """An unbroken sequence of frames."""

    seconds: float
    """Length of the frames that are whole, without the one that declares the length; 0 without any."""
    is_complete: bool
    """Whether the last frame is whole; a tag may follow."""
    is_length_declared: bool
    """Whether the first frame declares the number of frames, and no more than that number follow."""


@dataclass(frozen=True)
class _Header:
    length: int
    """Bytes of the frame."""
    seconds: float
    tag_at: int
    """Where the count of frames is in the frame, if it has one."""


def count_frames(file: BinaryIO) -> MpegFrames:
    """Counts the frames of an MP3 or MP2 file."""
    size = file.seek(0, 2)
    at = start = after_tags(file)
    seconds, count, declared, is_complete = 0.0, 0, None, True
    for _ in range(_MAX_FRAMES):
        file.seek(at)
        head = file.read(4)
        if head.startswith(b"ID3"):  # another file was appended
            at = after_tags(file, at)
            continue
        header = _parse_header(head)
        if header is None:
            is_complete = at >= size or len(head) == 4  # a tag follows, or what the decoder has to find its way in
            break
        if at + header.length > size:
            is_complete = False
            break
        if at == start:
            declared = _declared_frames(file.read(header.length - 4), header.tag_at)
        if at > start or declared is None:
            seconds, count = seconds + header.seconds, count + 1
        at += header.length
    return MpegFrames(seconds, is_complete, declared is not None and count <= declared)


def frame_length(head: bytes) -> int:
    """Returns the bytes of the frame that the four bytes ``head`` begin; 0 where they begin none."""
    header = _parse_header(head)
    return 0 if header is None else header.length


def _parse_header(head: bytes) -> _Header | None:
    """Returns what the four bytes of a frame's header tell; None for any others."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    layer, version, is_mono = 4 - (head[1] >> 1 & 3), head[1] >> 3 & 3, head[3] >> 6 == 3
    is_mpeg1 = version == 3
    kilobits = _KILOBITS.get((layer, is_mpeg1), (0,) * 16)[head[2] >> 4]
    rate = _RATES.get((version, head[2] >> 2 & 3), 0)
    if not kilobits or not rate:
        return None
    samples = 1_152 if layer == 2 or is_mpeg1 else 576
    length = samples * 125 * kilobits // rate + (head[2] >> 1 & 1)
    side_information = (17 if is_mono else 32) if is_mpeg1 else (9 if is_mono else 17)
    return _Header(length, samples / rate, side_information)


def _declared_frames(frame: bytes, tag_at: int) -> int | None:
    """Returns the number of frames in a tag of Xing and LAME; ``frame`` begins after the header."""
    tag = frame[tag_at : tag_at + 12]
    if tag[:4] not in (b"Xing", b"Info") or len(tag) < 12:
        return None
    return int.from_bytes(tag[8:12], "big") if tag[7] & 1 else None
