"""Images from a file, bytes, Pillow or numpy, as a checked RGB ``ImageInput``.

Limits are checked in the header before anything is decoded. Locations are those of the image as the user sees it, after
the rotation in its EXIF data.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from mmviz.inputs.decoder_failure import unexpected_errors
from mmviz.inputs.image_colours import scale_to_bytes, to_srgb
from mmviz.inputs.image_header import check_size, decoding, has_rotation, ignore_warnings, read_header
from mmviz.inputs.source_file import open_source
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
_SWAPPED = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}
"""Byte orders of 16-bit values in Pillow's raw modes, and the one under which Pillow reads the other byte."""
_SEVERAL_IMAGES = ("TIFF", "HEIF", "MPO")
"""Formats of files with several images that are no animation."""


def load_image(source: ImageSource) -> tuple[ImageInput, tuple[Notice, ...]]:
    """Returns a checked image, and notices of what was done to it.

    Args:
        source: path or bytes of a PNG, JPEG, WebP, AVIF, HEIC, TIFF, BMP or GIF file; a Pillow image (its current
            frame); or an array, uint8 or float 0 .. 1, ``[height, width, 3 or 4]`` or ``[height, width]``.

    Returns:
        The image, sRGB, uint8 ``[height, width, 3]`` of at most 2,048 pixels a side, with the size of the original.

    Raises:
        InputError: above 25 megapixels, 8,192 pixels a side or an aspect ratio of 50 : 1; a file that is damaged,
            empty, missing or of another format; a decoder that fails for another reason than the file.
    """
    notices: list[Notice] = []
    if isinstance(source, np.ndarray):
        image = _from_array(source, notices)
        return _to_input(image, notices, 1), tuple(notices)
    if isinstance(source, Image.Image):
        check_size(*source.size)
        decoder_rotation = _decoder_rotation(source)
        _decode(source)
        return _to_input(source, notices, decoder_rotation), tuple(notices)
    if isinstance(source, bytearray | memoryview):
        source = bytes(source)
    if not isinstance(source, str | Path | bytes):
        raise InputError("image-source", kind=type(source).__name__)
    with open_source(source) as file, unexpected_errors("pillow", "PNG"):
        image = read_header(file)
        decoder_rotation = _decoder_rotation(image)
        raw = _raw_mode(image)
        if raw.partition(";")[2] in _SWAPPED and not image.mode.startswith("I"):
            _read_deep(image, raw, file)
            notices.append(Notice("image-16-bit"))
            if raw.startswith("LA"):
                notices.append(Notice("image-grey"))
        elif image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
            # Pillow reads every CMYK JPEG as one of Adobe, where 255 is no ink; without their marker 0 is no ink
            image.tile = [part._replace(args=("CMYK", "")) for part in image.tile]
        _decode(image)
        return _to_input(image, notices, decoder_rotation), tuple(notices)


def _decode(image: Image.Image) -> None:
    with decoding(image.format or ""), ignore_warnings() if image.format == "TIFF" else nullcontext():
        image.load()


def _read_deep(image: ImageFile.ImageFile, raw: str, file: BinaryIO) -> None:
    """Decodes an image with 16 bits per channel and rounds it to 8 bits, where Pillow would drop the low bytes.

    Pillow reads the low bytes where the raw mode claims the other byte order (``16L`` for ``16B``), so the file is
    decoded twice. Grey with alpha has four bytes per pixel, as 8-bit RGBA has.
    """
    key = image.info.pop("transparency", None)
    mode, _, order = raw.partition(";")
    if raw == "LA;16B":
        values = _decode_as("RGBA", image)
        high, low = values[:, :, [0, 0, 0, 2]], values[:, :, [1, 1, 1, 3]]
    else:
        high = _decode_as(raw, image)
        file.seek(0)
        low = _decode_as(f"{mode};{_SWAPPED[order]}", read_header(file))
    # (256 high + low) / 257, rounded, is high, or one more or less where low is more than 128 away from it
    rounded = high + (low.astype(np.int16) - high > 128) - (high.astype(np.int16) - low > 128)
    image.paste(Image.fromarray(rounded.astype(np.uint8), image.mode))
    if isinstance(key, tuple):  # the one colour that means transparent, exactly
        is_key = ((high == np.array(key) >> 8) & (low == np.array(key) & 255)).all(axis=2)
        image.putalpha(Image.fromarray(np.where(is_key, 0, 255).astype(np.uint8)))


def _decode_as(raw: str, image: ImageFile.ImageFile) -> NDArray[np.uint8]:
    """Returns the pixels of ``image``, read from the file as raw mode ``raw``."""
    image.tile = [
        part._replace(args=(raw, *part.args[1:]) if isinstance(part.args, tuple) else raw) for part in image.tile
    ]
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
        array = scale_to_bytes(array, 1.0)
        notices.append(Notice("image-float"))
    return Image.fromarray(np.ascontiguousarray(array))


def _to_input(image: Image.Image, notices: list[Notice], decoder_rotation: int) -> ImageInput:
    """Returns a decoded image of any mode as RGB, reduced and rotated, and adds notices of what was done.

    ``decoder_rotation`` is the orientation in the EXIF data that the decoder itself has applied.
    """
    frames = _count_frames(image)
    if frames > 1:
        code = "image-several" if image.format in _SEVERAL_IMAGES else "image-animated"
        notices.append(Notice(code, {"frame": image.tell() + 1, "frames": frames}))
    if image.info.get("depth_images"):
        notices.append(Notice("image-depth"))
    if image.info.get("bit_depth", 8) > 8 and not image.mode.startswith("I"):
        notices.append(Notice("image-deep", {"bits": image.info["bit_depth"]}))
    rotation = _ROTATIONS.get(_orientation(image))
    if rotation is not None or decoder_rotation in _ROTATIONS:
        notices.append(Notice("image-turned"))
    rgb = to_srgb(image, notices)
    width, height = rgb.size
    if max(width, height) > MAX_KEPT_SIDE:
        factor = MAX_KEPT_SIDE / max(width, height)
        kept = (max(1, round(width * factor)), max(1, round(height * factor)))
        rgb = rgb.resize(kept, Image.Resampling.LANCZOS)
    if rotation is not None:
        rgb = rgb.transpose(rotation)
        if rotation not in (_ROTATIONS[2], _ROTATIONS[3], _ROTATIONS[4]):
            width, height = height, width
    if rgb.size != (width, height):
        sizes = {"width": width, "height": height, "kept_width": rgb.width, "kept_height": rgb.height}
        notices.append(Notice("image-reduced", sizes))
    return ImageInput(np.array(rgb, dtype=np.uint8), width, height)


def _count_frames(image: Image.Image) -> int:
    try:
        with ignore_warnings():
            return int(getattr(image, "n_frames", 1))
    except Exception:  # broken pages after the first are no reason to refuse the image
        return 1


def _decoder_rotation(image: Image.Image) -> int:
    """Returns the orientation that the decoders of TIFF and HEIC apply themselves; 1 for all others.

    That of HEIC turns an image by boxes of the file, and not by its EXIF data. The image must not be decoded yet.
    """
    if image.format == "TIFF":  # the decoder removes it; that of PNG would decode the image in order to tell it
        return _orientation(image)
    file = getattr(image, "fp", None)
    is_turned = image.format == "HEIF" and file is not None and not file.closed and has_rotation(file)
    return (image.info.get("original_orientation") or 1) if is_turned else 1


def _orientation(image: Image.Image) -> int:
    try:
        with ignore_warnings():
            return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # broken camera data is no reason to refuse the image
        return 1
