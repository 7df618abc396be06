"""Exact values of GIF, 16-bit PNG and CMYK images."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from mmviz.inputs.image import load_image
from mmviz.types import InputError, Notice


def codes(notices: tuple[Notice, ...]) -> list[str]:
    for notice in notices:
        assert str(notice)
    return [notice.code for notice in notices]


def refusal(source: bytes) -> InputError:
    with pytest.raises(InputError) as caught:
        load_image(source)
    return caught.value


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


# GIF


def gif(width: int, height: int, frame: tuple[int, int, int, int], dispose: int = 0, tail: bytes = b";") -> bytes:
    """A GIF by hand: red, with an empty first frame (left, top, width, height)."""
    start = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes((255, 0, 0, 0, 255, 0))
    control = b"!\xf9\x04" + struct.pack("<BHBB", dispose << 2, 10, 0, 0)
    return start + control + b"," + struct.pack("<HHHHB", *frame, 0) + b"\x02\x02\x44\x01\0" + tail


def test_a_still_gif_keeps_its_colours() -> None:
    colours = np.zeros((30, 40, 3), np.uint8)
    colours[:, :10], colours[:, 10:] = (200, 30, 10), (0, 120, 255)
    original = Image.fromarray(colours)
    for interlace in (0, 1):
        data = encoded(original.quantize(8, dither=Image.Dither.NONE), "GIF", interlace=interlace)
        image, notices = load_image(data)
        assert np.array_equal(image.pixels, colours) and codes(notices) == ["image-palette"]
    image, notices = load_image(encoded(original.convert("L"), "GIF"))
    assert np.array_equal(image.pixels[:, :, 0], np.asarray(original.convert("L")))
    assert codes(notices) == ["image-palette"]
    clear = original.quantize(8, dither=Image.Dither.NONE)
    image, notices = load_image(encoded(clear, "GIF", transparency=clear.getpixel((0, 0))))
    assert (image.pixels[:, :10] == 255).all() and (image.pixels[:, 10:] == (0, 120, 255)).all()
    assert codes(notices) == ["image-palette", "image-alpha"]


def test_an_animated_gif_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)
    image, notices = load_image(data)
    assert (image.pixels == (255, 0, 0)).all()
    assert codes(notices) == ["image-animated", "image-palette"]
    assert str(notices[0]) == "The image is animated. mmviz uses frame 1 of 3."


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (gif(20_000, 20_000, (0, 0, 1, 1)), "image-side"),
        (gif(1, 1, (0, 0, 60_000, 60_000), dispose=2), "image-side"),
        (gif(10, 10, (8_190, 0, 10, 10), dispose=2), "image-side"),
        (gif(6_000, 6_000, (0, 0, 1, 1)), "image-pixels"),
        (gif(0, 5, (0, 0, 1, 1)), "image-empty"),
        (gif(1, 1, (0, 0, 1, 1))[:19] + b";", "image-empty"),
        (gif(1, 1, (0, 0, 1, 1), tail=b""), "image-damaged"),
        (gif(1, 1, (0, 0, 1, 1), tail=b"?;"), "image-damaged"),
    ],
)
def test_the_size_of_a_gif_is_checked_before_decoding(data: bytes, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    assert refusal(data).code == code


def test_a_gif_bomb_uses_no_memory() -> None:
    pytest.importorskip("resource", reason="memory is measured with the resource module of Unix")
    program = (
        "import resource, sys; from mmviz.inputs.image import load_image; from mmviz.types import InputError\n"
        "data = sys.stdin.buffer.read(); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: load_image(data)\n"
        "except InputError as error: print(error.code)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    bomb = gif(1, 1, (0, 0, 13_000, 13_000), dispose=2)
    command = [sys.executable, "-c", program]
    process = subprocess.run(command, input=bomb, capture_output=True, check=True, timeout=120)
    code, growth = process.stdout.decode().split()
    assert code == "image-side" and int(growth) * (1 if sys.platform != "darwin" else 1 / 1024) < 20_000, "kilobytes"


# 16 bits

VALUES = np.array([0, 127, 128, 129, 255, 256, 383, 384, 385, 511, 32_767, 32_768, 40_000, 65_280, 65_407, 65_535])
EIGHT = np.rint(VALUES / 257).astype(int)
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column, first row, step across, step down."""


def deep_png(values: np.ndarray, key: tuple[int, ...] | None = None, interlaced: bool = False) -> bytes:
    """A PNG by hand from ``[row, column, channel]``, 16 bits per value, with the filter "sub" in every row."""
    height, width, channels = values.shape
    colour = {1: 0, 3: 2, 2: 4, 4: 6}[channels]

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    rows = b""
    for left, top, across, down in ADAM7 if interlaced else ((0, 0, 1, 1),):
        for row in values[top::down, left::across]:
            if row.size:
                plain = np.frombuffer(row.astype(">u2").tobytes(), np.uint8).reshape(len(row), -1)
                rows += b"\1" + np.diff(plain, axis=0, prepend=np.zeros_like(plain[:1])).tobytes()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, interlaced))
    extra = chunk(b"tRNS", struct.pack(f">{len(key)}H", *key)) if key is not None else b""
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_values_are_rounded(channels: int, interlaced: bool) -> None:
    colours = channels - (channels in (2, 4))
    values = np.stack([np.roll(VALUES, 3 * c) for c in range(channels)], axis=-1)[None].repeat(5, 0)
    values[:, :, colours:] = 65_535
    image, notices = load_image(deep_png(values, interlaced=interlaced))
    expected = np.stack([np.roll(EIGHT, 3 * c) for c in range(colours)], axis=-1)
    assert (image.pixels == expected).all(), "rounded, neither truncated nor clipped"
    assert codes(notices) == ["image-16-bit", *(["image-grey"] if colours == 1 else [])]


@pytest.mark.parametrize("channels", [2, 4])
def test_transparent_16_bit_pixels_are_put_on_white(channels: int) -> None:
    values = np.zeros((1, 3, channels), int)
    values[0, :, -1] = (0, 32_896, 65_535)  # 32,896 is 128 of 255
    image, notices = load_image(deep_png(values))
    assert image.pixels[0, :, 0].tolist() == [255, 127, 0]
    assert "image-16-bit" in codes(notices) and "image-alpha" in codes(notices)


def test_the_transparent_colour_of_a_16_bit_image_is_exact() -> None:
    values = np.array([[[32_768] * 3, [32_769] * 3, [33_024] * 3]])
    image, _ = load_image(deep_png(values, key=(32_768,) * 3))
    assert image.pixels[0, :, 0].tolist() == [255, 128, 128]


def test_every_16_bit_value_is_rounded() -> None:
    values = np.arange(65_536).reshape(256, 256, 1)
    for channels in (1, 3):
        image, _ = load_image(deep_png(values.repeat(channels, 2)))
        assert np.array_equal(image.pixels[:, :, 0], np.rint(values[:, :, 0] / 257))


def test_a_rotated_16_bit_image() -> None:
    values = np.zeros((2, 4, 3), int)
    values[0, 0] = 65_535
    exif = Image.Exif()
    exif[0x0112] = 6
    body = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
    data = deep_png(values)
    image, notices = load_image(data[:-12] + chunk + data[-12:])
    assert (image.width, image.height) == (2, 4) and image.pixels[0, 1].tolist() == [255] * 3
    assert codes(notices) == ["image-16-bit", "image-turned"]


# CMYK

INKS = [
    ((0, 0, 0, 0), (255, 255, 255)),
    ((255, 0, 0, 0), (0, 255, 255)),
    ((0, 255, 0, 0), (255, 0, 255)),
    ((0, 0, 255, 0), (255, 255, 0)),
    ((0, 0, 0, 255), (0, 0, 0)),
    ((0, 255, 255, 0), (255, 0, 0)),
    ((0, 0, 0, 128), (127, 127, 127)),
]


def without_adobe_marker(jpeg: bytes) -> bytes:
    """A JPEG without the segment that marks it as one of Adobe."""
    at = jpeg.index(b"\xff\xee")
    assert jpeg[at + 4 : at + 9] == b"Adobe"
    return jpeg[:at] + jpeg[at + 2 + struct.unpack_from(">H", jpeg, at + 2)[0] :]


@pytest.mark.parametrize(("inks", "colour"), INKS)
def test_cmyk_colours(inks: tuple[int, ...], colour: tuple[int, ...]) -> None:
    adobe = encoded(Image.new("CMYK", (16, 16), inks), "JPEG", quality=100)  # which Pillow inverts
    plain = without_adobe_marker(
        encoded(Image.new("CMYK", (16, 16), tuple(255 - ink for ink in inks)), "JPEG", quality=100)
    )
    for data in (adobe, plain):
        image, notices = load_image(data)
        assert np.abs(image.pixels.astype(int) - colour).max() <= 3 and codes(notices) == ["image-cmyk"]
