"""GIF, 16-bit PNG and print colours: the very values that come out."""

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
    """A GIF by hand: red, and in its first frame (left, top, width, height) nothing but the end of the data."""
    start = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes((255, 0, 0, 0, 255, 0))
    control = b"!\xf9\x04" + struct.pack("<BHBB", dispose << 2, 10, 0, 0)
    return start + control + b"," + struct.pack("<HHHHB", *frame, 0) + b"\x02\x02\x44\x01\0" + tail


def test_a_still_gif() -> None:
    colours = np.zeros((30, 40, 3), np.uint8)
    colours[:, :10], colours[:, 10:] = (200, 30, 10), (0, 120, 255)
    image = Image.fromarray(colours)
    for interlace in (0, 1):
        data = encoded(image.quantize(8, dither=Image.Dither.NONE), "GIF", interlace=interlace)
        picture, notices = load_image(data)
        assert np.array_equal(picture.pixels, colours) and codes(notices) == ["picture-palette"]
    picture, notices = load_image(encoded(image.convert("L"), "GIF"))
    assert np.array_equal(picture.pixels[:, :, 0], np.asarray(image.convert("L")))
    assert codes(notices) == ["picture-palette"]
    clear = image.quantize(8, dither=Image.Dither.NONE)
    picture, notices = load_image(encoded(clear, "GIF", transparency=clear.getpixel((0, 0))))
    assert (picture.pixels[:, :10] == 255).all() and (picture.pixels[:, 10:] == (0, 120, 255)).all()
    assert codes(notices) == ["picture-palette", "picture-alpha"]


def test_an_animated_gif_shows_its_first_frame() -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)
    picture, notices = load_image(data)
    assert (picture.pixels == (255, 0, 0)).all()
    assert codes(notices) == ["picture-animated", "picture-palette"]
    assert str(notices[0]) == "The picture is animated; mmviz looks at frame 1 of 3."


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (gif(20_000, 20_000, (0, 0, 1, 1)), "picture-side"),
        (gif(1, 1, (0, 0, 60_000, 60_000), dispose=2), "picture-side"),
        (gif(10, 10, (8_190, 0, 10, 10), dispose=2), "picture-side"),
        (gif(6_000, 6_000, (0, 0, 1, 1)), "picture-pixels"),
        (gif(0, 5, (0, 0, 1, 1)), "picture-empty"),
        (gif(1, 1, (0, 0, 1, 1))[:19] + b";", "picture-empty"),
        (gif(1, 1, (0, 0, 1, 1), tail=b""), "picture-damaged"),
        (gif(1, 1, (0, 0, 1, 1), tail=b"?;"), "picture-damaged"),
    ],
)
def test_a_gif_is_measured_before_room_is_made(data: bytes, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    assert refusal(data).code == code


def test_a_gif_bomb_takes_no_memory() -> None:
    pytest.importorskip("resource", reason="memory is measured with the resource module of Unix")
    program = (
        "import resource, sys; from mmviz.inputs.image import load_image; from mmviz.types import InputError\n"
        "data = sys.stdin.buffer.read(); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: load_image(data)\n"
        "except InputError as error: print(error.code)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    bomb = gif(1, 1, (0, 0, 13_000, 13_000), dispose=2)
    done = subprocess.run([sys.executable, "-c", program], input=bomb, capture_output=True, check=True)
    code, grown = done.stdout.decode().split()
    assert code == "picture-side" and int(grown) * (1 if sys.platform != "darwin" else 1 / 1024) < 20_000, "kilobytes"


# 16 bits

VALUES = np.array([0, 127, 128, 129, 255, 256, 383, 384, 385, 511, 32_767, 32_768, 40_000, 65_280, 65_407, 65_535])
EIGHT = np.rint(VALUES / 257).astype(int)
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column, first row, step across, step down."""


def deep_png(values: np.ndarray, key: tuple[int, ...] | None = None, interlaced: bool = False) -> bytes:
    """A PNG by hand from ``[row, column, channel]``, 16 bits a value, with the filter "sub" in every row."""
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
def test_16_bits_are_rounded(channels: int, interlaced: bool) -> None:
    colours = channels - (channels in (2, 4))
    values = np.stack([np.roll(VALUES, 3 * c) for c in range(channels)], axis=-1)[None].repeat(5, 0)
    values[:, :, colours:] = 65_535
    picture, notices = load_image(deep_png(values, interlaced=interlaced))
    expected = np.stack([np.roll(EIGHT, 3 * c) for c in range(colours)], axis=-1)
    assert (picture.pixels == expected).all(), "rounded, neither cut off nor clipped"
    assert codes(notices) == ["picture-16-bit", *(["picture-grey"] if colours == 1 else [])]


@pytest.mark.parametrize("channels", [2, 4])
def test_16_bit_alpha_lies_on_white(channels: int) -> None:
    values = np.zeros((1, 3, channels), int)
    values[0, :, -1] = (0, 32_896, 65_535)  # 32,896 is 128 of 255
    picture, notices = load_image(deep_png(values))
    assert picture.pixels[0, :, 0].tolist() == [255, 127, 0]
    assert "picture-16-bit" in codes(notices) and "picture-alpha" in codes(notices)


def test_a_16_bit_colour_key_is_exact() -> None:
    values = np.array([[[32_768] * 3, [32_769] * 3, [33_024] * 3]])
    picture, _ = load_image(deep_png(values, key=(32_768,) * 3))
    assert picture.pixels[0, :, 0].tolist() == [255, 128, 128]


def test_every_16_bit_value() -> None:
    values = np.arange(65_536).reshape(256, 256, 1)
    for channels in (1, 3):
        picture, _ = load_image(deep_png(values.repeat(channels, 2)))
        assert np.array_equal(picture.pixels[:, :, 0], np.rint(values[:, :, 0] / 257))


def test_a_turned_16_bit_picture() -> None:
    values = np.zeros((2, 4, 3), int)
    values[0, 0] = 65_535
    turned = Image.Exif()
    turned[0x0112] = 6
    body = turned.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
    data = deep_png(values)
    picture, notices = load_image(data[:-12] + chunk + data[-12:])
    assert (picture.width, picture.height) == (2, 4) and picture.pixels[0, 1].tolist() == [255] * 3
    assert codes(notices) == ["picture-16-bit", "picture-turned"]


# print colours

INKS = [
    ((0, 0, 0, 0), (255, 255, 255)),
    ((255, 0, 0, 0), (0, 255, 255)),
    ((0, 255, 0, 0), (255, 0, 255)),
    ((0, 0, 255, 0), (255, 255, 0)),
    ((0, 0, 0, 255), (0, 0, 0)),
    ((0, 255, 255, 0), (255, 0, 0)),
    ((0, 0, 0, 128), (127, 127, 127)),
]


def without_mark(jpeg: bytes) -> bytes:
    """A JPEG without the segment that says it comes from Adobe."""
    at = jpeg.index(b"\xff\xee")
    assert jpeg[at + 4 : at + 9] == b"Adobe"
    return jpeg[:at] + jpeg[at + 2 + struct.unpack_from(">H", jpeg, at + 2)[0] :]


@pytest.mark.parametrize(("inks", "colour"), INKS)
def test_print_colours(inks: tuple[int, ...], colour: tuple[int, ...]) -> None:
    adobe = encoded(Image.new("CMYK", (16, 16), inks), "JPEG", quality=100)  # which Pillow turns around
    plain = without_mark(encoded(Image.new("CMYK", (16, 16), tuple(255 - ink for ink in inks)), "JPEG", quality=100))
    for data in (adobe, plain):
        picture, notices = load_image(data)
        assert np.abs(picture.pixels.astype(int) - colour).max() <= 3 and codes(notices) == ["picture-cmyk"]
