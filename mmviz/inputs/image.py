"""Images from a file, bytes, Pillow or numpy, as a checked RGB ``ImageInput``.

Limits are checked in the header before anything is decoded. Locations are those of the image as the user sees it, after
the rotation in its EXIF data. Colour profiles are not applied.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from mmviz.inputs import open_source
from mmviz.inputs.image_header import check_size, ignore_warnings, read_header
from mmviz.types import ImageInput, InputError, Notice

ImageSource = str | Path | bytes | Image.Image | NDArray[Any]

MAX_KEPT_SIDE = 2_048
"""Longest side of the kept pixels; larger images are reduced to it."""

_ROTATIONS = {
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
    "RGB;16B": ("image-16-bit",),
    "RGBA;16B": ("image-16-bit",),
    "LA;16B": ("image-16-bit", "image-grey"),
}
"""Raw modes with more bits than a Pillow image can hold, and their notices; 16-bit grey it can hold."""
_COLOUR_NOTICES = {
    "1": "image-grey",
    "L": "image-grey",
    "LA": "image-grey",
    "P": "image-palette",
    "PA": "image-palette",
    "CMYK": "image-cmyk",
    "YCbCr": "image-colours",
    "HSV": "image-colours",
    "LAB": "image-colours",
}


def load_image(source: ImageSource) -> tuple[ImageInput, tuple[Notice, ...]]:
    """Returns a checked image, and notices of what was done to it.

    Args:
        source: path or bytes of a PNG, JPEG, WebP or GIF file; a Pillow image (its current frame); or an array, uint8
            or float 0 .. 1, ``[height, width, 3 or 4]`` or ``[height, width]``.

    Returns:
        The image, uint8 ``[height, width, 3]`` of at most 2,048 pixels a side, with the size of the original.

    Raises:
        InputError: above 25 megapixels, 8,192 pixels a side or an aspect ratio of 50 : 1; a file that is damaged,
            empty, missing or of another format.
    """
    notices: list[Notice] = []
    if isinstance(source, np.ndarray):
        image = _from_array(source, notices)
        return _to_input(image, notices), tuple(notices)
    if isinstance(source, Image.Image):
        check_size(*source.size)
        _decode(source)
        return _to_input(source, notices), tuple(notices)
    if isinstance(source, bytearray | memoryview):
        source = bytes(source)
    if not isinstance(source, str | Path | bytes):
        raise InputError("image-source", kind=type(source).__name__)
    with open_source(source) as file:
        header = read_header(file)
        raw = _raw_mode(header)
        if raw in _DEEP_COLOURS:
            _read_deep(header, raw, file)
            notices += [Notice(code) for code in _DEEP_COLOURS[raw]]
        elif header.mode == "CMYK" and "adobe" not in header.info:
            # Pillow reads every CMYK JPEG as one of Adobe, where 255 is no ink; without their marker 0 is no ink
            header.tile = [part._replace(args=("CMYK", "")) for part in header.tile]
        _decode(header)
        return _to_input(header, notices), tuple(notices)


def _decode(image: Image.Image) -> None:
    try:
        image.load()
    except Exception as error:  # hostile bytes make decoders fail in many ways; all mean the same to the user
        raise InputError("image-damaged") from error


def _read_deep(image: ImageFile.ImageFile, raw: str, file: BinaryIO) -> None:
    """Decodes a PNG with 16 bits per channel and rounds it to 8 bits, where Pillow would drop the low bytes.

    Pillow reads the low bytes where the raw mode claims little-endian values (``16L``), so the file is decoded twice.
    Grey with alpha has four bytes per pixel, as 8-bit RGBA has.
    """
    key = image.info.pop("transparency", None)
    if raw == "LA;16B":
        values = _decode_as("RGBA", image)
        high, low = values[:, :, [0, 0, 0, 2]], values[:, :, [1, 1, 1, 3]]
    else:
        high = _decode_as(raw, image)
        file.seek(0)
        low = _decode_as(raw.replace("16B", "16L"), read_header(file))
    # (256 high + low) / 257, rounded, is high, or one more or less where low is more than 128 away from it
    rounded = high + (low.astype(np.int16) - high > 128) - (high.astype(np.int16) - low > 128)
    image.paste(Image.fromarray(rounded.astype(np.uint8)))
    if isinstance(key, tuple):  # the one colour that means transparent, exactly
        is_key = ((high == np.array(key) >> 8) & (low == np.array(key) & 255)).all(axis=2)
        image.putalpha(Image.fromarray(np.where(is_key, 0, 255).astype(np.uint8)))


def _decode_as(raw: str, image: ImageFile.ImageFile) -> NDArray[np.uint8]:
    """Returns the pixels of ``image``, read from the file as raw mode ``raw``."""
    image.tile = [part._replace(args=raw) for part in image.tile]
    _decode(image)
    return np.array(image)


def _raw_mode(image: ImageFile.ImageFile) -> str:
    """Returns the raw mode of the pixels in the file, such as ``RGB;16B``; empty where Pillow does not tell."""
    args = image.tile[0].args if image.tile else ""
    return str(args[0] if isinstance(args, tuple) and args else args)


def _from_array(array: NDArray[Any], notices: list[Notice]) -> Image.Image:
    """Returns a checked array, uint8 or float 0 .. 1, as a Pillow image."""
    is_float = np.issubdtype(array.dtype, np.floating)
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise InputError("image-array", shape=array.shape, dtype=array.dtype)
    if not (is_float or array.dtype == np.uint8):
        raise InputError("image-array", shape=array.shape, dtype=array.dtype)
    check_size(array.shape[1], array.shape[0])
    if is_float:
        array = _scaled(array, 1.0)
        notices.append(Notice("image-float"))
    return Image.fromarray(np.ascontiguousarray(array))


def _scaled(array: NDArray[Any], top: float) -> NDArray[np.uint8]:
    """Returns values 0 .. ``top`` of any shape as 0 .. 255. Raises ``InputError`` for values outside."""
    low, high = float(array.min()), float(array.max())
    if not (low >= -1e-6 * top and high <= (1 + 1e-6) * top):  # written so that NaN fails
        raise InputError("image-values", low=low, high=high, top=top)
    scaled = np.clip(array.astype(np.float32), 0, top) * np.float32(255 / top)
    return np.asarray(np.rint(scaled), dtype=np.uint8)


def _to_input(image: Image.Image, notices: list[Notice]) -> ImageInput:
    """Returns a decoded image of any mode as RGB, reduced and rotated, and adds notices of what was done."""
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        notices.append(Notice("image-animated", {"frame": image.tell() + 1, "frames": frames}))
    rotation = _ROTATIONS.get(_orientation(image))
    rgb = _to_rgb(image, notices)
    width, height = rgb.size
    if max(width, height) > MAX_KEPT_SIDE:
        factor = MAX_KEPT_SIDE / max(width, height)
        kept = (max(1, round(width * factor)), max(1, round(height * factor)))
        rgb = rgb.resize(kept, Image.Resampling.LANCZOS)
    if rotation is not None:
        notices.append(Notice("image-turned"))
        rgb = rgb.transpose(rotation)
        if rotation not in (_ROTATIONS[2], _ROTATIONS[3], _ROTATIONS[4]):
            width, height = height, width
    if rgb.size != (width, height):
        sizes = {"width": width, "height": height, "kept_width": rgb.width, "kept_height": rgb.height}
        notices.append(Notice("image-reduced", sizes))
    return ImageInput(np.array(rgb, dtype=np.uint8), width, height)


def _orientation(image: Image.Image) -> int:
    try:
        with ignore_warnings():
            return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # broken camera data is no reason to refuse the image
        return 1


def _to_rgb(image: Image.Image, notices: list[Notice]) -> Image.Image:
    """Returns 8-bit RGB on white. 16-bit and float pixels are scaled here, where Pillow would clip them."""
    key = image.info.get("transparency")
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        is_float = image.mode == "F"
        notices += [Notice("image-float" if is_float else "image-16-bit")]
        image = Image.fromarray(_scaled(values, 1.0 if is_float else 65_535.0))
        if isinstance(key, int):
            image.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    if image.mode in _COLOUR_NOTICES:
        notices.append(Notice(_COLOUR_NOTICES[image.mode], {"mode": image.mode}))
    try:
        if not image.has_transparency_data:
            return image.convert("RGB")
        rgba = image.convert("RGBA")
    except ValueError as error:
        raise InputError("image-mode", mode=image.mode) from error
    alpha = rgba.getchannel("A")
    if np.asarray(alpha).min() == 255:
        return rgba.convert("RGB")
    notices.append(Notice("image-alpha"))
    white = Image.new("RGB", rgba.size, (255, 255, 255))
    white.paste(rgba, mask=alpha)
    return white
