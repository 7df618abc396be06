"""What the bytes of an image file tell before it is decoded: format and size, and whether mmviz accepts them."""

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

MAX_PIXELS = 25_000_000
MAX_SIDE = 8_192
MAX_ASPECT_RATIO = 50

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
def ignore_warnings() -> Iterator[None]:
    """Silences decoder warnings. Warning filters belong to the process, so one thread at a time may change them."""
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_header(file: BinaryIO) -> ImageFile.ImageFile:
    """Returns the image in ``file``, its size checked, nothing decoded. Raises ``InputError`` for a bad header."""
    start = file.read(32)
    file.seek(0)
    if not start:
        raise InputError("image-empty")
    plugin: type[ImageFile.ImageFile]
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        plugin = PngImageFile
    elif start.startswith(b"\xff\xd8\xff"):
        plugin = JpegImageFile
    elif start.startswith((b"GIF87a", b"GIF89a")):
        plugin = GifImageFile
        _check_gif(file)  # Pillow allocates the first frame when it opens a GIF file
        file.seek(0)
    elif start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        plugin = WebPImageFile
        check_size(*_webp_size(start))  # Pillow allocates the whole canvas when it opens a WebP file
    else:
        raise _wrong_format(start)
    try:
        # the plugin itself, since Image.open refuses large images with its own message
        with ignore_warnings():
            image = plugin(file)
    except Exception as error:  # hostile bytes make the plugins fail in many ways; all mean the same to the user
        raise InputError("image-damaged") from error
    check_size(*image.size)
    return image


def _webp_size(start: bytes) -> tuple[int, int]:
    """Returns width and height from the first 30 bytes of a WebP file."""
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
    raise InputError("image-damaged")


def _check_gif(file: BinaryIO) -> None:
    """Checks the size of the screen and of the first frame, and that blocks follow one another up to the end."""
    start = file.read(13)
    if len(start) < 13:
        raise InputError("image-damaged")
    screen, flags = struct.unpack_from("<HH", start, 6), start[10]
    check_size(*screen)
    file.seek(_palette(flags), 1)
    frames = 0
    while (kind := file.read(1)) != b";":
        if kind == b",":
            frame = file.read(9)
            if len(frame) < 9:
                raise InputError("image-damaged")
            left, top, width, height, flags = struct.unpack("<HHHHB", frame)
            if frames == 0:
                check_size(max(screen[0], left + width), max(screen[1], top + height))
            file.seek(_palette(flags) + 1, 1)
            frames += 1
        elif kind == b"!":
            file.seek(1, 1)
        else:
            raise InputError("image-damaged")
        while length := file.read(1):
            if length == b"\0":
                break
            file.seek(length[0], 1)
    if frames == 0:
        raise InputError("image-empty")


def _palette(flags: int) -> int:
    """Returns the size in bytes of the palette that ``flags`` declare."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _wrong_format(start: bytes) -> InputError:
    format_name = _BOX_FORMATS.get(start[8:12]) if start[4:8] == b"ftyp" else None
    for magic, name in _OTHER_FORMATS.items():
        if start.lstrip().startswith(magic):
            format_name = name
    return InputError("image-format", format=format_name) if format_name else InputError("image-unknown")


def check_size(width: int, height: int) -> None:
    """Raises ``InputError``: ``image-empty``, ``image-side``, ``image-pixels``, ``image-narrow``."""
    if width < 1 or height < 1:
        raise InputError("image-empty")
    if max(width, height) > MAX_SIDE:
        raise InputError("image-side", width=width, height=height, limit=MAX_SIDE)
    if width * height > MAX_PIXELS:
        raise InputError("image-pixels", width=width, height=height, limit=MAX_PIXELS // 1_000_000)
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise InputError("image-narrow", width=width, height=height, limit=MAX_ASPECT_RATIO)
