"""A picture from a file, bytes, Pillow or numpy -> a checked RGB ``Picture``.

Limits are decided from the header, before any pixel is decoded. Places are those of the picture as the user sees it,
after the turn that its EXIF data asks for. Colour profiles are not applied.
"""

from __future__ import annotations

import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from mmviz.inputs import opened
from mmviz.types import InputError, Notice, Picture

ImageSource = str | Path | bytes | Image.Image | NDArray[Any]

MOST_PIXELS = 25_000_000
LONGEST_SIDE = 8_192
MOST_ASPECT = 50
KEPT_SIDE = 2_048
"""Longest side of the pixels that are kept."""

_OTHER_FORMATS = {
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"%PDF": "PDF",
    b"<svg": "SVG",
    b"<?xml": "SVG",
    b"8BPS": "Photoshop",
}
_BOX_FORMATS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC"}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112
_COLOUR_NOTICES = {
    "1": "picture-grey",
    "L": "picture-grey",
    "LA": "picture-grey",
    "P": "picture-palette",
    "PA": "picture-palette",
    "CMYK": "picture-cmyk",
    "YCbCr": "picture-colours",
    "HSV": "picture-colours",
    "LAB": "picture-colours",
}
_warnings_lock = threading.Lock()


def load_image(source: ImageSource) -> tuple[Picture, tuple[Notice, ...]]:
    """A checked picture and what was done to it.

    Parameters: ``source``, the path or the bytes of a PNG, JPEG or WebP file; a Pillow image (the frame it stands
    at); or an array, uint8 or float 0 .. 1, ``[height, width, 3 or 4]`` or ``[height, width]``.
    Returns: pixels uint8 ``[height, width, 3]`` of at most 2,048 a side, with the width and height of the original.
    Raises ``InputError``: over 25 megapixels, 8,192 pixels a side or 50 : 1; damaged, empty, missing, another format.
    """
    notices: list[Notice] = []
    if isinstance(source, np.ndarray):
        image = _from_array(source, notices)
        return _finish(image, notices), tuple(notices)
    if isinstance(source, Image.Image):
        _check_size(*source.size)
        _decode(source)
        return _finish(source, notices), tuple(notices)
    if isinstance(source, bytearray | memoryview):
        source = bytes(source)
    if not isinstance(source, str | Path | bytes):
        raise InputError("picture-source", kind=type(source).__name__)
    with opened(source) as file:
        header = _read_header(file)
        if "16" in _raw_mode(header) and not header.mode.startswith("I"):
            notices.append(Notice("picture-16-bit"))  # Pillow keeps the high byte of 16-bit colour
            key = header.info.get("transparency")
            if isinstance(key, tuple):  # and so must the colour that stands for "transparent"
                header.info["transparency"] = tuple(value >> 8 for value in key)
        _decode(header)
        return _finish(header, notices), tuple(notices)


@contextmanager
def _quiet() -> Iterator[None]:
    """No decoder warnings. Python's filters belong to the process, so two threads must not swap them at once."""
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _read_header(file: BinaryIO) -> ImageFile.ImageFile:
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
    elif start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        plugin = WebPImageFile
        _check_size(*_webp_size(start))  # Pillow makes room for the whole canvas when it opens a WebP file
    else:
        raise _wrong_format(start)
    try:
        # the plugin itself, not Image.open: that refuses big pictures in its own words
        with _quiet():
            image = plugin(file)
    except Exception as error:  # hostile bytes make the plugins fail in many ways; all mean the same to the user
        raise InputError("picture-damaged") from error
    _check_size(*image.size)
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


def _wrong_format(start: bytes) -> InputError:
    found = _BOX_FORMATS.get(start[8:12]) if start[4:8] == b"ftyp" else None
    for magic, name in _OTHER_FORMATS.items():
        if start.lstrip().startswith(magic):
            found = name
    return InputError("picture-format", found=found) if found else InputError("picture-unknown")


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise InputError("picture-empty")
    if max(width, height) > LONGEST_SIDE:
        raise InputError("picture-side", width=width, height=height, limit=LONGEST_SIDE)
    if width * height > MOST_PIXELS:
        raise InputError("picture-pixels", width=width, height=height, limit=MOST_PIXELS // 1_000_000)
    if max(width, height) > MOST_ASPECT * min(width, height):
        raise InputError("picture-narrow", width=width, height=height, limit=MOST_ASPECT)


def _decode(image: Image.Image) -> None:
    try:
        image.load()
    except Exception as error:  # as above: any failure of a decoder is a damaged file
        raise InputError("picture-damaged") from error


def _raw_mode(image: ImageFile.ImageFile) -> str:
    """How the pixels lie in the file, such as ``RGB;16B``; empty where Pillow does not say."""
    args = image.tile[0].args if image.tile else ""
    return str(args[0] if isinstance(args, tuple) and args else args)


def _from_array(array: NDArray[Any], notices: list[Notice]) -> Image.Image:
    """uint8 or float 0 .. 1, ``[height, width]`` or ``[height, width, 3 or 4]`` -> a Pillow image."""
    is_float = np.issubdtype(array.dtype, np.floating)
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise InputError("picture-array", shape=array.shape, dtype=array.dtype)
    if not (is_float or array.dtype == np.uint8):
        raise InputError("picture-array", shape=array.shape, dtype=array.dtype)
    _check_size(array.shape[1], array.shape[0])
    if is_float:
        array = _scaled(array, 1.0)
        notices.append(Notice("picture-float"))
    return Image.fromarray(np.ascontiguousarray(array))


def _scaled(array: NDArray[Any], top: float) -> NDArray[np.uint8]:
    """Values 0 .. ``top`` -> 0 .. 255, any shape. Raises ``InputError`` for values outside."""
    low, high = float(array.min()), float(array.max())
    if not (low >= -1e-6 * top and high <= (1 + 1e-6) * top):  # written so that NaN fails
        raise InputError("picture-values", low=low, high=high, top=top)
    scaled = np.clip(array.astype(np.float32), 0, top) * np.float32(255 / top)
    return np.asarray(np.rint(scaled), dtype=np.uint8)


def _finish(image: Image.Image, notices: list[Notice]) -> Picture:
    """A decoded picture of any mode -> RGB, reduced and turned."""
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        notices.append(Notice("picture-animated", {"frame": image.tell() + 1, "frames": frames}))
    turn = _TURNS.get(_orientation(image))
    rgb = _to_rgb(image, notices)
    width, height = rgb.size
    if max(width, height) > KEPT_SIDE:
        factor = KEPT_SIDE / max(width, height)
        kept = (max(1, round(width * factor)), max(1, round(height * factor)))
        rgb = rgb.resize(kept, Image.Resampling.LANCZOS)
    if turn is not None:
        notices.append(Notice("picture-turned"))
        rgb = rgb.transpose(turn)
        if turn not in (_TURNS[2], _TURNS[3], _TURNS[4]):
            width, height = height, width
    if rgb.size != (width, height):
        sizes = {"width": width, "height": height, "kept_width": rgb.width, "kept_height": rgb.height}
        notices.append(Notice("picture-reduced", sizes))
    return Picture(np.array(rgb, dtype=np.uint8), width, height)


def _orientation(image: Image.Image) -> int:
    try:
        with _quiet():
            return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # broken camera data is no reason to refuse the picture
        return 1


def _to_rgb(image: Image.Image, notices: list[Notice]) -> Image.Image:
    """8-bit RGB on white. Pillow's own conversion would clip 16-bit and float pixels, so those are scaled here."""
    key = image.info.get("transparency")
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        is_float = image.mode == "F"
        notices += [Notice("picture-float" if is_float else "picture-16-bit")]
        image = Image.fromarray(_scaled(values, 1.0 if is_float else 65_535.0))
        if isinstance(key, int):
            image.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    if image.mode in _COLOUR_NOTICES:
        notices.append(Notice(_COLOUR_NOTICES[image.mode], {"mode": image.mode}))
    try:
        if not image.has_transparency_data:
            return image.convert("RGB")
        clear = image.convert("RGBA")
    except ValueError as error:
        raise InputError("picture-mode", mode=image.mode) from error
    alpha = clear.getchannel("A")
    if np.asarray(alpha).min() == 255:
        return clear.convert("RGB")
    notices.append(Notice("picture-alpha"))
    white = Image.new("RGB", clear.size, (255, 255, 255))
    white.paste(clear, mask=alpha)
    return white
