"""What the bytes of an image file tell before it is decoded: format and size, and whether mmviz accepts them."""

from __future__ import annotations

import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import ImageFile, features
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from mmviz.inputs.decoder_failure import unexpected_errors
from mmviz.inputs.image_formats import RAW, START, image_format
from mmviz.types import InputError

MAX_PIXELS = 25_000_000
MAX_SIDE = 8_192
MAX_ASPECT_RATIO = 50

_PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "PNG": PngImageFile,
    "JPEG": JpegImageFile,
    "GIF": GifImageFile,
    "WebP": WebPImageFile,
    "TIFF": TiffImageFile,
    "BMP": BmpImageFile,
}
_LIBRARY_FORMATS = ("AVIF", "HEIC")
"""Formats whose decoder is a library that an installation may lack."""
_DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, OverflowError, RuntimeError, struct.error, zlib.error,
)  # fmt: skip
"""What Pillow's plugins, libavif and libheif raise for bytes that they cannot read."""
_UNSUPPORTED = ("unsupported", "not supported", "unknown pixel mode", "unknown data organization", "not yet supported")
"""Words of decoders for a kind of file that they do not know, which is whole nevertheless."""
_MAX_META, _PADDING = 4_000_000, 64
"""Bytes of the box that describes the images of a file, and pixels by which a coder enlarges an image at most."""
_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 322, 323
_BITS_PER_SAMPLE, _SAMPLES_PER_PIXEL, _PLANAR_CONFIGURATION = 258, 277, 284
_MAX_SAMPLES = 6
"""Channels of a TIFF that Pillow decodes."""
_STRUCTURE = (273, 278, 279, 324, 325)
"""Tags that say where the pixels lie; the decoder takes them for numbers."""
_DNG_VERSION, _COLOUR_FILTER, _PHOTOMETRIC, _SUBFILE_TYPE, _SUB_IMAGES = 50_706, 32_803, 262, 254, 330
_warnings_lock = threading.Lock()


@contextmanager
def ignore_warnings() -> Iterator[None]:
    """Silences decoder warnings. Warning filters belong to the process, so one thread at a time may change them."""
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def decoding(format_name: str) -> Iterator[None]:
    """Turns what a decoder raises for the bytes that it was given into ``InputError``."""
    with unexpected_errors("pillow-heif" if format_name in ("HEIC", "HEIF") else "pillow", "PNG"):
        try:
            yield
        except _DECODER_ERRORS as error:
            if isinstance(error.__cause__, TypeError):  # a fault of code, which Pillow disguises as one of the file
                raise error.__cause__ from None
            if any(word in str(error).lower() for word in _UNSUPPORTED):
                raise InputError("image-variant", format=format_name) from error
            raise InputError("image-damaged") from error


def read_header(file: BinaryIO) -> ImageFile.ImageFile:
    """Returns the image in ``file``, its size checked, nothing decoded. Raises ``InputError`` for a bad header."""
    start = file.read(START)
    file.seek(0)
    if not start:
        raise InputError("image-empty")
    name = image_format(start)
    if name in _LIBRARY_FORMATS:
        plugin = _library_plugin(name)
    elif name in _PLUGINS:
        plugin = _PLUGINS[name]
    else:
        raise InputError("image-format", format=name) if name else InputError("image-unknown")
    if name == "GIF":
        _check_gif(file)  # Pillow allocates the first frame when it opens a GIF file
    elif name == "WebP":
        check_size(*_webp_size(start))  # Pillow allocates the whole canvas when it opens a WebP file
    elif name == "TIFF":
        _check_tiff(file)
    elif name in _LIBRARY_FORMATS:
        _check_coded_sizes(file)
    file.seek(0)
    with decoding(name), ignore_warnings():
        # the plugin itself, since Image.open refuses large images with its own message
        image = plugin(file)
    check_size(*image.size)
    if name == "PNG" and (codes := re.search(rb"\x00\x00\x00\x04cICP(.)(.)", start, re.DOTALL)):  # Pillow leaves it out
        image.info["nclx_profile"] = {"color_primaries": codes[1][0], "transfer_characteristics": codes[2][0]}
    return image


def _library_plugin(name: str) -> type[ImageFile.ImageFile]:
    """Returns the plugin for AVIF or HEIC. Raises ``InputError`` where this installation cannot decode it."""
    if name == "AVIF" and features.check("avif"):
        from PIL.AvifImagePlugin import AvifImageFile

        return AvifImageFile
    if name == "HEIC":
        try:
            from pillow_heif.as_plugin import HeifImageFile
        except ImportError:
            raise InputError("image-decoder", format=name) from None
        return HeifImageFile
    raise InputError("image-decoder", format=name)


def _check_coded_sizes(file: BinaryIO) -> None:
    """Checks the sizes that an AVIF or HEIC file declares for its images before any cropping (boxes ``ispe``)."""
    for box in re.finditer(rb"ispe\0{4}(.{8})", _meta_box(file), re.DOTALL):
        width, height = struct.unpack(">II", box[1])
        if max(width, height) > MAX_SIDE + _PADDING:
            raise InputError("image-side", width=width, height=height, limit=MAX_SIDE)
        if (width - _PADDING) * (height - _PADDING) > MAX_PIXELS:
            raise InputError("image-pixels", width=width, height=height, limit=MAX_PIXELS // 1_000_000)


def has_rotation(file: BinaryIO) -> bool:
    """Returns whether a HEIC file tells its decoder to turn or mirror an image; its EXIF data do not (ISO 23008-12)."""
    kept = file.tell()
    is_turned = re.search(rb"irot[\1-\3]|imir", _meta_box(file)) is not None
    file.seek(kept)
    return is_turned


def _meta_box(file: BinaryIO) -> bytes:
    """Returns the box that describes the images of an AVIF or HEIC file; empty where there is none."""
    at = 0
    while True:
        file.seek(at)
        head = file.read(16)
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if size == 1:  # the size follows, in 64 bits
            size = int.from_bytes(head[8:16], "big")
        if kind == b"meta":
            return head + file.read(min(size, _MAX_META))
        if len(head) < 8 or size < 8:  # the last box, or none
            return b""
        at += size


def _check_tiff(file: BinaryIO) -> None:
    """Checks size and tiles of the first image, and that it is no preview of a camera's raw data."""
    with decoding("TIFF"), ignore_warnings():
        head = file.read(8)
        if b"+" in head[2:4]:  # offsets of 64 bits
            head += file.read(8)
        tags = ImageFileDirectory_v2(head)
        file.seek(tags.next)
        tags.load(file)
        for tag in _STRUCTURE:
            _largest(tags, tag)
        is_preview = _largest(tags, _SUBFILE_TYPE) & 1 and _SUB_IMAGES in tags
        is_raw = is_preview or _DNG_VERSION in tags or _largest(tags, _PHOTOMETRIC) == _COLOUR_FILTER
        # the 16-bit values of planes are read as pairs of 8-bit ones
        is_deep_planar = _largest(tags, _PLANAR_CONFIGURATION) == 2 and _largest(tags, _BITS_PER_SAMPLE) > 8
        is_unreadable = is_deep_planar or _largest(tags, _SAMPLES_PER_PIXEL) > _MAX_SAMPLES
        width, height = _largest(tags, _WIDTH), _largest(tags, _HEIGHT)
        tile_width, tile_height = _largest(tags, _TILE_WIDTH), _largest(tags, _TILE_HEIGHT)
    if is_raw:
        raise InputError("image-format", format=RAW)
    if is_unreadable:
        raise InputError("image-variant", format="TIFF")
    check_size(width, height)
    if tile_width * tile_height > MAX_PIXELS:  # the decoder allocates a whole tile
        raise InputError("image-pixels", width=tile_width, height=tile_height, limit=MAX_PIXELS // 1_000_000)


def _largest(tags: ImageFileDirectory_v2, tag: int) -> int:
    """Returns the value of a tag, the largest of several; 0 where there is none. Raises ``ValueError`` for text."""
    value = tags.get(tag, 0)
    values = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(number, int) for number in values):
        raise ValueError("a number is expected")
    return max(values, default=0)


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
