"""Image formats by the first bytes of a file: those that are read, and the names of those that are not."""

from __future__ import annotations

import re
import struct

IMAGE_SUFFIXES = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".heic", ".heif", ".hif", ".tif", ".tiff"}
    | {".bmp", ".gif"}
)
"""Endings of the files that `mmviz.inputs.image.load_image` reads."""

START = 1_024
"""Bytes at the beginning of a file that `image_format` needs."""
RAW = "camera raw"
_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0\x10\0\0\0CR": RAW,  # Canon's CR2
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",  # with offsets of 64 bits
    b"MM\0+": "TIFF",
    b"BM": "BMP",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG 2000",
    b"\0\0\1\0": "ICO",
    b"8BPS": "Photoshop",
    b"%PDF": "PDF",
    b"%!PS": "PostScript",
    b"gimp xcf": "GIMP",
    b"IIRO": RAW,  # Olympus
    b"IIRS": RAW,
    b"MMOR": RAW,
    b"IIU\0": RAW,  # Panasonic
    b"FUJIFILMCCD-RAW": RAW,
    b"FOVb": RAW,  # Sigma
    b"ID3": "MP3",
    b"OggS": "OGG",
    b"fLaC": "FLAC",
    b"\x1a\x45\xdf\xa3": "Matroska or WebM",
    b"v/1\1": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
    b"#?RGBE": "Radiance HDR",
    b"qoif": "QOI",
    b"DDS ": "DDS",
    b"icns": "ICNS",
    b"\x01\xda\0": "SGI",
    b"\x01\xda\x01": "SGI",
    b"PK\3\4": "ZIP",
    b"\x1f\x8b": "gzip",
}
"""The first bytes of a file, the longer of two that begin alike first, and the format that they mean."""
_BITMAP_HEADERS = tuple(struct.pack("<I", size) for size in (12, 40, 52, 56, 64, 108, 124))
"""Sizes of the header of a BMP file, since text may begin with ``BM`` too."""
_BRANDS = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIC"),
    b"jxl ": "JPEG XL",
    b"crx ": RAW,  # Canon's CR3
}
"""Brands of a file in boxes (ISO 14496-12), and their formats; all other brands are videos or sounds."""
_NEUTRAL_BRANDS = (b"mif1", b"msf1", b"miaf")
"""Brands that tell that there are images, but not in which format."""


def image_format(start: bytes) -> str:
    """Returns the format of a file that begins with ``start`` (`START` bytes), such as ``JPEG``; empty if unknown."""
    if start[4:8] == b"ftyp":
        return _box_format(start)
    if start[:4] == b"RIFF":
        return {b"WEBP": "WebP", b"WAVE": "WAV", b"AVI ": "AVI"}.get(start[8:12], "")
    for magic, name in _MAGIC.items():
        if start.startswith(magic) and (name != "BMP" or start[14:18] in _BITMAP_HEADERS):
            return name
    return _plain_format(start) or _markup_format(start)


def _plain_format(start: bytes) -> str:
    """Returns the format of a file that begins with few fixed bytes, told by the fields that follow as well."""
    if re.match(rb"P[1-6]\s(#[^\n]*\n|\s)*\d+\s|P7\nWIDTH|P[Ff]\n\d+\s", start):
        return "PPM"  # and its variants for grey, bits and float
    if len(start) < 18:
        return ""
    if start[0] == 10 and start[1] in (0, 2, 3, 4, 5) and start[2] == 1 and start[3] in (1, 2, 4, 8):
        return "PCX"
    palette, kind, width, height = start[1], start[2], start[12:14], start[14:16]
    has_palette = palette == 1 and start[7] in (15, 16, 24, 32)
    is_plain = palette == 0 and start[3:8] == bytes(5) and kind in (2, 3, 10, 11)
    is_known = (has_palette and kind in (1, 9)) or is_plain
    has_size = width != b"\0\0" != height
    return "TGA" if is_known and has_size and start[16] in (8, 15, 16, 24, 32) and start[17] & 0xC0 == 0 else ""


def _box_format(start: bytes) -> str:
    """Returns the format that the brands in the first box name."""
    end = min(int.from_bytes(start[:4], "big"), len(start))
    brands = [start[8:12], *(start[at : at + 4] for at in range(16, end - 3, 4))]
    names = [brand for brand in brands if brand in _BRANDS and brand not in _NEUTRAL_BRANDS]
    if brands[0] in _BRANDS:
        return _BRANDS[names[0] if brands[0] in _NEUTRAL_BRANDS and names else brands[0]]
    return "MP4 or QuickTime"


def _markup_format(start: bytes) -> str:
    """Returns SVG or HTML for a text that begins like one, after comments and declarations."""
    encoding = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}.get(start[:2], "utf-8")
    text = start.decode(encoding, "replace").lstrip("\ufeff \t\r\n").lower()
    if not text.startswith("<"):
        return ""
    if "<svg" in text or "<!doctype svg" in text:
        return "SVG"
    if text.startswith(("<!doctype html", "<html", "<head", "<body")) or "<html" in text:
        return "HTML"
    return "SVG" if text.startswith(("<?xml", "<!--")) and "svg" in text else ""
