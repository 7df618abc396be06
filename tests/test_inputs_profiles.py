"""Colour profiles: the colours that a profile means arrive as sRGB, whatever the format that carries it."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pillow_heif
import pytest
from colour_profiles import (
    ADOBE_RGB,
    DISPLAY_P3,
    PROPHOTO,
    SRGB,
    RgbSpace,
    cmyk_profile,
    grey_profile,
    lab_in_srgb,
    linear_to_srgb,
)
from PIL import Image, ImageCms

from mmviz.i18n.language import use_language
from mmviz.inputs.image import load_image
from mmviz.types import Notice

pillow_heif.register_heif_opener()
COLOURS = np.array([[[200, 150, 130], [30, 90, 60], [128, 128, 128], [255, 255, 255], [0, 0, 0]]], np.uint8)
COLOURS = COLOURS.repeat(16, 0).repeat(16, 1)
SPACES = (DISPLAY_P3, ADOBE_RGB, PROPHOTO)


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def codes(notices: tuple[Notice, ...]) -> list[str]:
    for notice in notices:
        assert str(notice)
    return [notice.code for notice in notices]


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_colours_of_a_profile_are_those_of_the_matrix(space: RgbSpace) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    expected = space.in_srgb(colours)
    in_gamut = ((expected > 0) & (expected < 255)).all(axis=2)
    image, notices = load_image(encoded(Image.fromarray(colours), "PNG", icc_profile=space.profile()))
    assert in_gamut.sum() > 500
    assert np.abs(image.pixels.astype(float) - expected)[in_gamut].max() <= 2
    assert np.abs(image.pixels.astype(float) - colours).max() > 15, "the profile matters"
    assert codes(notices) == ["image-profile"]
    assert str(notices[0]) == f"The image's colours were converted from {space.name} to sRGB."
    with use_language("zh"):
        assert space.name in str(notices[0]) and "sRGB" in str(notices[0]) and "colours" not in str(notices[0])


def test_a_colour_of_a_phone_is_shown_as_it_is() -> None:
    """Display P3 (200, 150, 130) is about (209, 149, 127) in sRGB, as every converter of colours says."""
    image, _ = load_image(encoded(Image.fromarray(COLOURS), "PNG", icc_profile=DISPLAY_P3.profile()))
    assert np.abs(image.pixels[0, 0].astype(int) - DISPLAY_P3.in_srgb(COLOURS[0, 0])).max() <= 1
    assert np.abs(image.pixels[0, 0].astype(int) - (209, 149, 127)).max() <= 2


@pytest.mark.parametrize(
    ("format", "options", "tolerance"),
    [
        ("PNG", {}, 1),
        ("WEBP", {"lossless": True}, 1),
        ("TIFF", {}, 1),
        ("TIFF", {"compression": "tiff_lzw"}, 1),
        ("JPEG", {"quality": 100, "subsampling": 0}, 3),
        ("AVIF", {"quality": 100, "subsampling": "4:4:4"}, 4),
        ("HEIF", {"quality": -1, "chroma": 444}, 3),
    ],
)
def test_the_profile_of_every_format_is_applied(format: str, options: dict[str, object], tolerance: int) -> None:
    data = encoded(Image.fromarray(COLOURS), format, icc_profile=ADOBE_RGB.profile(), **options)
    for source in (data, Image.open(io.BytesIO(data))):
        image, notices = load_image(source)
        assert np.abs(image.pixels.astype(float) - ADOBE_RGB.in_srgb(COLOURS)).max() <= tolerance
        assert codes(notices) == ["image-profile"]


@pytest.mark.parametrize("icc", [SRGB.profile(), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()])
def test_srgb_is_left_as_it_is(icc: bytes) -> None:
    colours = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for source in (encoded(Image.fromarray(colours), "PNG", icc_profile=icc), Image.fromarray(colours)):
        image, notices = load_image(source)
        assert notices == () and np.array_equal(image.pixels, colours)


def test_transparency_and_palettes_have_profiles_too() -> None:
    clear = np.dstack((COLOURS, np.full(COLOURS.shape[:2], 255, np.uint8)))
    clear[:, :16, 3] = 0
    image, notices = load_image(encoded(Image.fromarray(clear), "PNG", icc_profile=DISPLAY_P3.profile()))
    expected = DISPLAY_P3.in_srgb(COLOURS)
    assert (image.pixels[:, :16] == 255).all()
    assert np.abs(image.pixels[:, 16:] - expected[:, 16:]).max() <= 1
    assert codes(notices) == ["image-profile", "image-alpha"]
    palette = Image.fromarray(COLOURS).quantize(8, dither=Image.Dither.NONE)
    image, notices = load_image(encoded(palette, "PNG", icc_profile=DISPLAY_P3.profile()))
    assert np.abs(image.pixels - expected).max() <= 1 and codes(notices) == ["image-palette", "image-profile"]


def test_a_grey_profile() -> None:
    ramp = np.arange(256, dtype=np.uint8)[None].repeat(8, 0)
    for format in ("PNG", "TIFF"):
        data = encoded(Image.fromarray(ramp), format, icc_profile=grey_profile("Gray Gamma 1.8", 1.8))
        image, notices = load_image(data)
        expected = linear_to_srgb((ramp / 255) ** 1.8) * 255
        assert np.abs(image.pixels.astype(float) - expected[..., None]).max() <= 2
        assert codes(notices) == ["image-grey", "image-profile"]
        assert notices[1].parameters == {"profile": "Gray Gamma 1.8"}
    image, notices = load_image(encoded(Image.fromarray(ramp), "PNG", icc_profile=ADOBE_RGB.profile()))
    assert np.abs(image.pixels - ADOBE_RGB.in_srgb(ramp[..., None].repeat(3, 2))).max() <= 1, "grey by an RGB profile"


INKS = {
    (0, 0, 0, 0): (95.0, 0.0, 3.0),
    (1, 0, 0, 0): (58.0, -25.0, -35.0),
    (0, 1, 0, 0): (50.0, 60.0, 0.0),
    (0, 0, 1, 0): (88.0, -4.0, 60.0),
    (0, 0, 0, 1): (12.0, 0.0, 0.0),
}


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_a_cmyk_profile(format: str) -> None:
    icc = cmyk_profile("Newspaper", INKS)
    pixels = {}
    for inks in INKS:
        ink_values = tuple(255 * ink for ink in inks)
        data = encoded(Image.new("CMYK", (16, 16), ink_values), format, icc_profile=icc)
        image, notices = load_image(data)
        pixels[inks] = image.pixels[8, 8].astype(float)
        assert codes(notices) == ["image-profile"] and notices[0].parameters == {"profile": "Newspaper"}
    paper = pixels[0, 0, 0, 0]
    assert paper.min() > 240, "paper is white, relative to itself"
    for inks in ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0)):
        assert np.abs(pixels[inks] - lab_in_srgb(*INKS[inks])).max() < 25, "the ink, not Pillow's pure colour"
        assert np.argmax(pixels[inks]) == np.argmax(lab_in_srgb(*INKS[inks]))


@pytest.mark.parametrize(
    ("mode", "icc", "name"),
    [
        ("RGB", b"no profile at all", "ICC"),
        ("RGB", DISPLAY_P3.profile()[:200], "ICC"),
        ("RGB", DISPLAY_P3.profile().replace(b"rTRC", b"xTRC"), "Display P3"),
        ("RGB", grey_profile("Gray", 2.2), "Gray"),
        ("RGB", cmyk_profile("Newspaper", INKS), "Newspaper"),
        ("CMYK", ADOBE_RGB.profile(), "Adobe RGB (1998)"),
    ],
)
def test_a_profile_that_cannot_be_applied_is_ignored_with_a_notice(mode: str, icc: bytes, name: str) -> None:
    image = Image.fromarray(COLOURS).convert(mode)
    plain, _ = load_image(encoded(image, "TIFF"))
    result, notices = load_image(encoded(image, "TIFF", icc_profile=icc))
    assert np.array_equal(result.pixels, plain.pixels)
    ignored = [notice for notice in notices if notice.code == "image-profile-ignored"]
    assert [notice.parameters["profile"] for notice in ignored] == [name]
    assert "damage" not in str(ignored[0])


def test_the_name_of_a_profile_is_one_short_printable_line() -> None:
    icc = RgbSpace("\x1b[31mred\n" + "x" * 500, DISPLAY_P3.primaries, DISPLAY_P3.white, DISPLAY_P3.to_linear).profile()
    _, notices = load_image(encoded(Image.fromarray(COLOURS), "PNG", icc_profile=icc))
    (notice,) = notices
    assert len(notice.parameters["profile"]) <= 60 and notice.parameters["profile"].isprintable()
    assert "\n" not in str(notice)


def test_colours_that_a_heic_file_names_by_codes_alone_are_told() -> None:
    heif = pillow_heif.from_pillow(Image.fromarray(COLOURS))
    file = io.BytesIO()
    heif.save(file, color_primaries=12, transfer_characteristics=13)
    _, notices = load_image(file.getvalue())
    assert codes(notices) == ["image-profile-ignored"] and notices[0].parameters == {"profile": "Display P3"}


@pytest.mark.parametrize(
    ("name", "body", "told"),
    [
        (b"cICP", bytes([12, 13, 0, 1]), "Display P3"),
        (b"cICP", bytes([9, 16, 0, 1]), "BT.2020 PQ"),
        (b"cICP", bytes([1, 13, 0, 1]), None),
        (b"gAMA", struct.pack(">I", 100_000), "gAMA, cHRM"),
        (b"gAMA", struct.pack(">I", 45_455), None),
        (b"cHRM", struct.pack(">8I", 31_270, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000), "gAMA, cHRM"),
        (b"cHRM", struct.pack(">8I", 31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000), None),
    ],
)
def test_colours_that_a_png_file_names_by_numbers_alone_are_told(name: bytes, body: bytes, told: str | None) -> None:
    data = encoded(Image.fromarray(COLOURS), "PNG")
    chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    _, notices = load_image(data[:33] + chunk + data[33:])
    assert [notice.parameters["profile"] for notice in notices] == ([told] if told else [])


def test_bytes_that_a_tiff_file_stores_in_32_bits_do_not_become_black() -> None:
    image, notices = load_image(encoded(Image.fromarray(COLOURS[:, :, 0].astype(np.int32)), "TIFF"))
    assert codes(notices) == ["image-32-bit", "image-grey"]
    assert (image.pixels == COLOURS[:, :, :1]).all()


@pytest.mark.slow
def test_changed_bytes_of_a_profile_never_refuse_the_image() -> None:
    random = np.random.default_rng(2)
    for icc in (DISPLAY_P3.profile(), cmyk_profile("Newspaper", INKS)):
        image = Image.new("CMYK" if icc[16:20] == b"CMYK" else "RGB", (8, 8), 100)
        for _ in range(100):
            broken = bytearray(icc)
            for position in random.integers(0, len(icc) if random.random() < 0.3 else 400, 5):
                broken[position] = random.integers(256)
            load_image(encoded(image, "TIFF", icc_profile=bytes(broken)))
