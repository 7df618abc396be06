"""A picture from a file, bytes, Pillow or numpy -> a checked RGB ``ImageInput``.

Limits are decided from the header, before any pixel is decoded. Places are those of the picture as the user sees it,
after the turn that its EXIF data asks for. Colour profiles are not applied.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from mmviz.inputs import opened
from mmviz.inputs.image_header import check_size, quiet, read_header
from mmviz.types import ImageInput, InputError, Notice

ImageSource = str | Path | bytes | Image.Image | NDArray[Any]

KEPT_SIDE = 2_048
"""Longest side of the pixels that are kept."""

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
_DEEP_COLOURS = {
    "RGB;16B": ("picture-16-bit",),
    "RGBA;16B": ("picture-16-bit",),
    "LA;16B": ("picture-16-bit", "picture-grey"),
}
"""Pixels of more bits than a Pillow image holds (16-bit grey alone it does hold), and their notices."""
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


def load_image(source: ImageSource) -> tuple[ImageInput, tuple[Notice, ...]]:
    """A checked picture and what was done to it.

    Parameters: ``source``, the path or the bytes of a PNG, JPEG, WebP or GIF file; a Pillow image (the frame it stands
    at); or an array, uint8 or float 0 .. 1, ``[height, width, 3 or 4]`` or ``[height, width]``.
    Returns: pixels uint8 ``[height, width, 3]`` of at most 2,048 a side, with the width and height of the original.
    Raises ``InputError``: over 25 megapixels, 8,192 pixels a side or 50 : 1; damaged, empty, missing, another format.
    """
    notices: list[Notice] = []
    if isinstance(source, np.ndarray):
        image = _from_array(source, notices)
        return _finish(image, notices), tuple(notices)
    if isinstance(source, Image.Image):
        check_size(*source.size)
        _decode(source)
        return _finish(source, notices), tuple(notices)
    if isinstance(source, bytearray | memoryview):
        source = bytes(source)
    if not isinstance(source, str | Path | bytes):
        raise InputError("picture-source", kind=type(source).__name__)
    with opened(source) as file:
        header = read_header(file)
        raw = _raw_mode(header)
        if raw in _DEEP_COLOURS:
            _read_deep(header, raw, file)
            notices += [Notice(code) for code in _DEEP_COLOURS[raw]]
        elif header.mode == "CMYK" and "adobe" not in header.info:
            # Pillow takes every CMYK JPEG for one of Adobe's, in which 255 is no ink; without their mark 0 is
            header.tile = [part._replace(args=("CMYK", "")) for part in header.tile]
        _decode(header)
        return _finish(header, notices), tuple(notices)


def _decode(image: Image.Image) -> None:
    try:
        image.load()
    except Exception as error:  # as above: any failure of a decoder is a damaged file
        raise InputError("picture-damaged") from error


def _read_deep(image: ImageFile.ImageFile, raw: str, file: BinaryIO) -> None:
    """Decode a PNG with 16 bits a colour and round it: Pillow would cut the low bytes off.

    It takes the low byte of every value if it is told that it is the high one (``16L``), so the file is decoded twice.
    Grey with alpha is four bytes a pixel, as 8-bit RGBA is.
    """
    key = image.info.pop("transparency", None)
    if raw == "LA;16B":
        both = _decoded_as("RGBA", image)
        high, low = both[:, :, [0, 0, 0, 2]], both[:, :, [1, 1, 1, 3]]
    else:
        high = _decoded_as(raw, image)
        file.seek(0)
        low = _decoded_as(raw.replace("16B", "16L"), read_header(file))
    # (256 high + low) / 257, rounded, is high, or one more or less where low is half of 257 away from it
    rounded = high + (low.astype(np.int16) - high > 128) - (high.astype(np.int16) - low > 128)
    image.paste(Image.fromarray(rounded.astype(np.uint8)))
    if isinstance(key, tuple):  # the one colour that stands for "transparent", to the last bit
        is_key = ((high == np.array(key) >> 8) & (low == np.array(key) & 255)).all(axis=2)
        image.putalpha(Image.fromarray(np.where(is_key, 0, 255).astype(np.uint8)))


def _decoded_as(raw: str, image: ImageFile.ImageFile) -> NDArray[np.uint8]:
    """The pixels of ``image``, as if they lay in the file as ``raw``."""
    image.tile = [part._replace(args=raw) for part in image.tile]
    _decode(image)
    return np.array(image)


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
    check_size(array.shape[1], array.shape[0])
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


def _finish(image: Image.Image, notices: list[Notice]) -> ImageInput:
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
    return ImageInput(np.array(rgb, dtype=np.uint8), width, height)


def _orientation(image: Image.Image) -> int:
    try:
        with quiet():
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
