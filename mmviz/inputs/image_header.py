"""What the bytes of a picture file say before a pixel is decoded: its format, its size, and whether mmviz takes it."""

from __future__ import annotations

import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import ImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from mmviz.types import InputError

MOST_PIXELS = 25_000_000
LONGEST_SIDE = 8_192
MOST_ASPECT = 50

_OTHER_FORMATS = {
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"%PDF": "PDF",
    b"<svg": "SVG",
    b"<?xml": "SVG",
    b"8BPS": "Photoshop",
}
_BOX_FORMATS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC"}
_warnings_lock = threading.Lock()


@contextmanager
def quiet() -> Iterator[None]:
    """No decoder warnings. Python's filters belong to the process, so two threads must not swap them at once."""
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_header(file: BinaryIO) -> ImageFile.ImageFile:
    """The picture in ``file`` with its size checked and nothing decoded."""
    start = file.read(32)
    file.seek(0)
    if not start:
        raise InputError("picture-empty")
    plugin: type[ImageFile.ImageFile]
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        plugin = PngImageFile
    elif start.startswith(b"\xff\xd8\xff"):
        plugin = JpegImageFile
    elif start.startswith((b"GIF87a", b"GIF89a")):
        plugin = GifImageFile
        _check_gif(file)  # Pillow makes room for its first frame when it opens a GIF file
        file.seek(0)
    elif start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        plugin = WebPImageFile
        check_size(*_webp_size(start))  # Pillow makes room for the whole canvas when it opens a WebP file
    else:
        raise _wrong_format(start)
    try:
        # the plugin itself, not Image.open: that refuses big pictures in its own words
        with quiet():
            image = plugin(file)
    except Exception as error:  # hostile bytes make the plugins fail in many ways; all mean the same to the user
        raise InputError("picture-damaged") from error
    check_size(*image.size)
    return image


def _webp_size(start: bytes) -> tuple[int, int]:
    """Width and height from the first 30 bytes of a WebP file."""
    kind = start[12:16]
    try:
        if kind == b"VP8X":
            return int.from_bytes(start[24:27], "little") + 1, int.from_bytes(start[27:30], "little") + 1
        if kind == b"VP8L":
            bits = struct.unpack_from("<I", start, 21)[0]
            return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
        if kind == b"VP8 ":
            width, height = struct.unpack_from("<HH", start, 26)
            return width & 0x3FFF, height & 0x3FFF
    except struct.error:
        pass
    raise InputError("picture-damaged")


def _check_gif(file: BinaryIO) -> None:
    """Size of the screen and of the first frame, and that block follows upon block up to the end."""
    start = file.read(13)
    if len(start) < 13:
        raise InputError("picture-damaged")
    screen, flags = struct.unpack_from("<HH", start, 6), start[10]
    check_size(*screen)
    file.seek(_palette(flags), 1)
    frames = 0
    while (kind := file.read(1)) != b";":
        if kind == b",":
            frame = file.read(9)
            if len(frame) < 9:
                raise InputError("picture-damaged")
            left, top, width, height, flags = struct.unpack("<HHHHB", frame)
            if frames == 0:
                check_size(max(screen[0], left + width), max(screen[1], top + height))
            file.seek(_palette(flags) + 1, 1)
            frames += 1
        elif kind == b"!":
            file.seek(1, 1)
        else:
            raise InputError("picture-damaged")
        while length := file.read(1):
            if length == b"\0":
                break
            file.seek(length[0], 1)
    if frames == 0:
        raise InputError("picture-empty")


def _palette(flags: int) -> int:
    """Bytes of the palette that ``flags`` announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _wrong_format(start: bytes) -> InputError:
    found = _BOX_FORMATS.get(start[8:12]) if start[4:8] == b"ftyp" else None
    for magic, name in _OTHER_FORMATS.items():
        if start.lstrip().startswith(magic):
            found = name
    return InputError("picture-format", found=found) if found else InputError("picture-unknown")


def check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise InputError("picture-empty")
    if max(width, height) > LONGEST_SIDE:
        raise InputError("picture-side", width=width, height=height, limit=LONGEST_SIDE)
    if width * height > MOST_PIXELS:
        raise InputError("picture-pixels", width=width, height=height, limit=MOST_PIXELS // 1_000_000)
    if max(width, height) > MOST_ASPECT * min(width, height):
        raise InputError("picture-narrow", width=width, height=height, limit=MOST_ASPECT)
