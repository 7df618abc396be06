"""Colours of a decoded image of any mode as 8-bit sRGB on white, with a notice for each conversion.

A colour profile (ICC) is applied by Little CMS, as `PIL.ImageCms` has it. Without one the values are taken as sRGB.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from mmviz.i18n.unicode_display import one_line
from mmviz.types import InputError, Notice

_MODE_NOTICES = {
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
_PROFILE_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab ": "LAB"}
"""Colour space of a profile, as ICC writes it, and the mode that an image must have for it."""
_GREY_MODES = ("1", "L", "LA", "La")
_MAX_PROFILE_NAME = 60
_SAME = 3
"""Levels of 255 by which a profile's colours may differ from sRGB to count as sRGB; its many versions differ by 2."""
_SRGB_GAMMA, _SRGB_CHROMATICITY = 0.45455, (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
"""Numbers of the chunks gAMA and cHRM of a PNG file in sRGB."""
_FAR_PRIMARIES = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}
_FAR_TRANSFERS = {16: "PQ", 18: "HLG"}
"""Codes of ITU-T H.273 in a HEIC or PNG file for colours that are far from sRGB."""


def to_srgb(image: Image.Image, notices: list[Notice]) -> Image.Image:
    """Returns a decoded image as 8-bit RGB, transparent parts on white, and adds notices of what was done.

    16-bit and float pixels are scaled, where Pillow would clip them. Raises ``InputError``: ``image-values`` for values
    outside 0 .. 1, ``image-mode`` for a mode that Pillow cannot convert.
    """
    info, key = image.info, image.info.get("transparency")
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        is_float = image.mode == "F"
        # 32-bit integers have no range of their own, and bytes stored as such would become black
        has_bytes = image.mode == "I" and image.format == "TIFF" and 0 < values.max() <= 255
        depth, top = ("image-float", 1.0) if is_float else ("image-16-bit", 65_535.0)
        depth, top = ("image-32-bit", 255.0) if has_bytes else (depth, top)
        notices += [Notice(depth)]
        image = Image.fromarray(scale_to_bytes(values, top))
        if isinstance(key, int):
            image.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    try:
        alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
        rgb, profile_notice = _apply_profile(image, info)
    except ValueError as error:
        raise InputError("image-mode", mode=image.mode) from error
    code = _MODE_NOTICES.get(image.mode)
    is_by_profile = profile_notice is not None and profile_notice.code == "image-profile"
    if code is not None and not (is_by_profile and code in ("image-cmyk", "image-colours")):
        notices.append(Notice(code, {"mode": image.mode}))
    notices += [profile_notice] if profile_notice else []
    if alpha is None or np.asarray(alpha).min() == 255:
        return rgb
    notices.append(Notice("image-alpha"))
    white = Image.new("RGB", rgb.size, (255, 255, 255))
    white.paste(rgb, mask=alpha)
    return white


def scale_to_bytes(array: NDArray[Any], top: float) -> NDArray[np.uint8]:
    """Returns values 0 .. ``top`` of any shape as 0 .. 255. Raises ``InputError`` for values outside."""
    low, high = float(array.min()), float(array.max())
    if not (low >= -1e-6 * top and high <= (1 + 1e-6) * top):  # written so that NaN fails
        raise InputError("image-values", low=low, high=high, top=top)
    scaled = np.clip(array.astype(np.float32), 0, top) * np.float32(255 / top)
    return np.asarray(np.rint(scaled), dtype=np.uint8)


def _apply_profile(image: Image.Image, info: Mapping[Any, Any]) -> tuple[Image.Image, Notice | None]:
    """Returns ``image`` without its alpha as sRGB, by the profile in ``info``, and a notice unless that is sRGB."""
    icc = info.get("icc_profile")
    if not isinstance(icc, bytes) or not icc:
        return _plain_rgb(image), _coded_colours(info)
    name = "ICC"
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        description = ImageCms.getProfileDescription(profile)
        name = one_line(description)[:_MAX_PROFILE_NAME] or name
        mode = _PROFILE_MODES.get(profile.profile.xcolor_space)
        if mode is None or not _fits(image.mode, mode):
            return _plain_rgb(image), Notice("image-profile-ignored", {"profile": name})
        transform = ImageCms.buildTransform(
            profile, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )  # fmt: skip
        if _is_srgb(transform, mode):
            return _plain_rgb(image), None
        colours = image if image.mode == mode else _plain_rgb(image) if mode == "RGB" else image.convert(mode)
        converted = ImageCms.applyTransform(colours, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, ImportError):  # ImportError: a Pillow without Little CMS
        return _plain_rgb(image), Notice("image-profile-ignored", {"profile": name})
    assert converted is not None  # it is None only where the image is changed in place
    return converted, Notice("image-profile", {"profile": name})


def _plain_rgb(image: Image.Image) -> Image.Image:
    """Returns ``image`` as RGB by Pillow's own conversion, its alpha dropped and not applied."""
    return (image.convert("RGBA") if image.has_transparency_data else image).convert("RGB")


def _fits(image_mode: str, profile_mode: str) -> bool:
    """Returns whether a profile for ``profile_mode`` can describe the colours of an image of ``image_mode``."""
    if profile_mode == "RGB":
        return image_mode not in ("CMYK", "LAB", "HSV")
    return image_mode in _GREY_MODES if profile_mode == "L" else image_mode == profile_mode


def _is_srgb(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Returns whether a transform to sRGB changes no colour by more than `_SAME` levels."""
    if mode not in ("RGB", "L"):
        return False
    steps = np.arange(0, 256, 17, dtype=np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    colours = np.arange(256, dtype=np.uint8)[None] if mode == "L" else grid
    converted = ImageCms.applyTransform(Image.fromarray(colours), transform)
    before = colours[..., None] if mode == "L" else colours
    return bool(np.abs(np.asarray(converted).astype(int) - before).max() <= _SAME)


def _coded_colours(info: Mapping[Any, Any]) -> Notice | None:
    """Returns a notice where HEIC or PNG name colours far from sRGB by codes or numbers instead of a profile."""
    codes = info.get("nclx_profile")
    if not isinstance(codes, Mapping):
        gamma, primaries = info.get("gamma", _SRGB_GAMMA), info.get("chromaticity", _SRGB_CHROMATICITY)
        is_near = abs(gamma - _SRGB_GAMMA) < 0.01 and np.allclose(primaries, _SRGB_CHROMATICITY, atol=0.005)
        is_near = is_near or "srgb" in info
        return None if is_near else Notice("image-profile-ignored", {"profile": "gAMA, cHRM"})
    primaries = _FAR_PRIMARIES.get(codes.get("color_primaries", 0))
    names = [name for name in (primaries, _FAR_TRANSFERS.get(codes.get("transfer_characteristics", 0))) if name]
    return Notice("image-profile-ignored", {"profile": " ".join(names)}) if names else None
