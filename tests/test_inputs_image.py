"""Image inputs: formats, errors, rotation and colours."""

from __future__ import annotations

import contextlib
import io
import struct
import subprocess
import sys
import textwrap
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from mmviz.inputs import make_sample
from mmviz.inputs.image import load_image
from mmviz.types import InputError, Notice


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, depth: int, colour: int, rows: bytes | None, *extra: bytes) -> bytes:
    """A PNG by hand; ``rows`` includes the filter bytes, None leaves the pixels out."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    data = b"" if rows is None else chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + data + chunk(b"IEND", b"")


def webp_header(width: int, height: int) -> bytes:
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (width - 1).to_bytes(3, "little")
    body += (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def jpeg_header(width: int, height: int) -> bytes:
    frame = struct.pack(">BHHB", 8, height, width, 3) + bytes((1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0))
    scan = bytes((3, 1, 0, 2, 0, 3, 0, 0, 63, 0))
    return b"".join(
        (b"\xff\xd8\xff\xc0", struct.pack(">H", len(frame) + 2), frame, b"\xff\xda", struct.pack(">H", 12), scan)
    )


def codes(notices: tuple[Notice, ...]) -> list[str]:
    for notice in notices:
        assert str(notice)  # every code has a sentence that its parameters fit
    return [notice.code for notice in notices]


def refusal(source: object) -> InputError:
    with pytest.raises(InputError) as caught:
        load_image(source)  # type: ignore[arg-type]
    return caught.value


def scene(width: int = 60, height: int = 40) -> np.ndarray:
    """Smooth in both directions, different in each channel."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack((x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)), axis=-1).astype(np.uint8)


@pytest.mark.parametrize(
    ("format", "options", "tolerance"), [("PNG", {}, 0), ("WEBP", {"lossless": True}, 0), ("JPEG", {"quality": 95}, 12)]
)
def test_every_format_is_read(format: str, options: dict[str, object], tolerance: int, tmp_path: Path) -> None:
    data = encoded(Image.fromarray(scene()), format, **options)
    (tmp_path / "a file.dat").write_bytes(data)
    for source in (data, bytearray(data), tmp_path / "a file.dat", str(tmp_path / "a file.dat")):
        image, notices = load_image(source)  # type: ignore[arg-type]
        assert notices == ()
        assert (image.width, image.height) == (60, 40)
        assert np.abs(image.pixels.astype(int) - scene()).max() <= tolerance


def test_pillow_images_and_arrays_are_copied_unchanged() -> None:
    array = scene()
    for source in (array, Image.fromarray(array)):
        image, notices = load_image(source)
        assert notices == () and np.array_equal(image.pixels, scene())
        assert not np.shares_memory(image.pixels, array)
    image, notices = load_image(array / 255)
    assert codes(notices) == ["image-float"] and np.array_equal(image.pixels, scene())
    image, notices = load_image(array[:, :, 0])
    assert codes(notices) == ["image-grey"]
    assert all(np.array_equal(image.pixels[:, :, c], array[:, :, 0]) for c in range(3))
    with pytest.raises(ValueError):
        image.pixels[0, 0] = 0


@pytest.mark.parametrize(
    ("array", "code"),
    [
        (np.zeros((4, 4, 2), np.uint8), "image-array"),
        (np.zeros(4, np.uint8), "image-array"),
        (np.zeros((4, 4), np.int32), "image-array"),
        (np.zeros((4, 4), bool), "image-array"),
        (np.zeros((0, 4, 3), np.uint8), "image-empty"),
        (np.full((4, 4), 1.5), "image-values"),
        (np.full((4, 4), -0.5), "image-values"),
        (np.full((4, 4), np.nan), "image-values"),
        (np.zeros((10, 9000), np.uint8), "image-side"),
    ],
)
def test_unusable_arrays_are_refused(array: np.ndarray, code: str) -> None:
    assert refusal(array).code == code


# limits, from the header alone


@pytest.mark.parametrize("make", [lambda w, h: png(w, h, 8, 2, None), webp_header, jpeg_header])
@pytest.mark.parametrize(
    ("width", "height", "code"),
    [
        (16_000, 16_000, "image-side"),
        (9_000, 10, "image-side"),
        (5_001, 5_000, "image-pixels"),
        (5_100, 100, "image-narrow"),
        (10, 501, "image-narrow"),
    ],
)
def test_limits_are_checked_before_decoding(
    make: object, width: int, height: int, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(self: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    error = refusal(make(width, height))  # type: ignore[operator]
    assert error.code == code
    assert (error.parameters["width"], error.parameters["height"]) == (width, height)


@pytest.mark.parametrize(("width", "height"), [(500, 10), (10, 500), (8_192, 164)])
def test_sizes_at_the_limits_are_accepted(width: int, height: int) -> None:
    image, _ = load_image(Image.new("RGB", (width, height)))
    assert (image.width, image.height) == (width, height)


def test_a_decompression_bomb_uses_no_memory() -> None:
    pytest.importorskip("resource", reason="memory is measured with the resource module of Unix")
    program = """
        import resource, sys
        from mmviz.inputs.image import load_image
        from mmviz.types import InputError
        data = sys.stdin.buffer.read()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            load_image(data)
        except InputError as error:
            print(error)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    for bomb, size in ((png(30_000, 30_000, 8, 6, None), "30,000"), (webp_header(16_383, 16_383), "16,383")):
        command = [sys.executable, "-c", textwrap.dedent(program)]
        process = subprocess.run(command, input=bomb, capture_output=True, check=True, timeout=120)
        message, growth = process.stdout.decode().splitlines()
        assert message.startswith(f"The image is {size} x {size} pixels. mmviz accepts at most 8,192 pixels per side.")
        assert int(growth) * (1 if sys.platform != "darwin" else 1 / 1024) < 20_000, "kilobytes"
        assert process.stderr == b""


# files that are no images


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("part", [0.05, 0.3, 0.7, 0.95])
def test_files_that_are_cut_short_are_refused(format: str, part: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), format)
    assert refusal(data[: int(len(data) * part)]).code == "image-damaged"


def test_changed_bytes_raise_nothing_but_input_errors() -> None:
    random = np.random.default_rng(1)
    for format in ("PNG", "JPEG", "WEBP"):
        data = encoded(Image.fromarray(scene()), format, exif=exif(6))
        for _ in range(60):
            broken = bytearray(data)
            for position in random.integers(12, len(data), 6):
                broken[position] = random.integers(256)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                with contextlib.suppress(InputError):
                    load_image(bytes(broken))


def test_files_that_are_no_images(tmp_path: Path) -> None:
    assert refusal(b"").code == "image-empty"
    assert refusal(b"\xff\xd8\xff").code == "image-damaged"
    assert refusal(b"RIFF\0\0\0\0WEBPVP8 ").code == "image-damaged"
    assert refusal(b"hello, this is not a picture").code == "image-unknown"
    assert refusal(3).code == "image-source"
    icon = encoded(Image.new("L", (16, 16)), "ICO")
    assert refusal(icon).code == "image-format" and refusal(icon).parameters == {"format": "ICO"}
    for error in (refusal(icon), refusal(b"hello, this is not a picture")):
        assert all(name in str(error) for name in ("PNG", "JPEG", "WebP", "AVIF", "HEIC", "TIFF", "BMP", "GIF"))

    (tmp_path / "empty.png").write_bytes(b"")
    assert refusal(tmp_path / "empty.png").code == "image-empty"
    assert refusal(tmp_path).code == "file-folder"
    assert refusal("a\0b").code == "file-unreadable"
    assert refusal("/dev/zero").code == "file-special"
    missing = refusal(tmp_path / "private" / ("{x}" + "long" * 20 + ".png"))
    assert missing.code == "file-missing"
    assert "private" not in str(missing) and "{x}long" in str(missing) and len(str(missing)) < 120


def test_pillow_limits_of_the_host_program_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_image(encoded(Image.fromarray(scene()), "PNG"))[0].width == 60


def test_warning_filters_are_restored() -> None:
    before = list(warnings.filters)
    load_image(encoded(Image.fromarray(scene()), "JPEG", exif=exif(6)))
    assert list(warnings.filters) == before


# rotation

DOT = (5, 3)
"""x, y in the upright image of 24 x 16."""
UNDO = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def exif(orientation: int) -> bytes:
    data = Image.Exif()
    data[0x0112] = orientation
    return data.tobytes()


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_applied(orientation: int, format: str) -> None:
    upright = np.zeros((16, 24, 3), np.uint8)
    upright[DOT[1], DOT[0]] = 255
    upright = upright.repeat(8, 0).repeat(8, 1)
    stored = Image.fromarray(upright)
    undo = UNDO[orientation]
    if undo is not None:
        stored = stored.transpose(undo)
    data = encoded(stored, format, exif=exif(orientation))
    for source in (data, Image.open(io.BytesIO(data))):
        image, notices = load_image(source)
        assert (image.width, image.height) == (192, 128)
        y, x = np.argwhere(image.pixels[:, :, 0] > 128).mean(0)
        assert (x, y) == (DOT[0] * 8 + 3.5, DOT[1] * 8 + 3.5)
        assert codes(notices) == ([] if orientation == 1 else ["image-turned"])


def test_an_image_is_rotated_and_reduced() -> None:
    wide = np.zeros((100, 4_000, 3), np.uint8)
    wide[:, :1_000] = 255
    image, notices = load_image(encoded(Image.fromarray(wide), "PNG", exif=exif(6)))
    assert (image.width, image.height) == (100, 4_000)
    assert image.pixels.shape == (2_048, 51, 3)
    assert image.pixels[:500].min() > 250 and image.pixels[524:].max() < 5
    assert codes(notices) == ["image-turned", "image-reduced"]
    assert notices[1].parameters == {"width": 100, "height": 4_000, "kept_width": 51, "kept_height": 2_048}


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_broken_camera_data_is_ignored(format: str) -> None:
    for broken in (b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0garbage", b"Exif\0\0"):
        data = encoded(Image.fromarray(scene()), format, exif=broken)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            image, notices = load_image(data)
        assert image.width == 60 and notices == () and caught == []


# colours


def test_transparent_pixels_are_put_on_white() -> None:
    clear = np.zeros((2, 2, 4), np.uint8)
    clear[0, 0] = (255, 0, 0, 255)
    clear[0, 1] = (255, 0, 0, 0)
    clear[1, 0] = (0, 0, 0, 51)
    for source in (clear, encoded(Image.fromarray(clear), "PNG"), encoded(Image.fromarray(clear), "WEBP", exact=True)):
        image, notices = load_image(source)
        if isinstance(source, np.ndarray) or source.startswith(b"\x89"):
            assert image.pixels.tolist() == [[[255, 0, 0], [255] * 3], [[204] * 3, [255] * 3]]
        assert codes(notices) == ["image-alpha"]
    clear[:, :, 3] = 255
    image, notices = load_image(clear)
    assert notices == () and np.array_equal(image.pixels, clear[:, :, :3])


def test_transparency_of_grey_and_palette_images() -> None:
    grey = Image.fromarray(np.array([[[0, 255], [0, 0]]], np.uint8), "LA")
    image, notices = load_image(encoded(grey, "PNG"))
    assert image.pixels[0].tolist() == [[0] * 3, [255] * 3]
    assert codes(notices) == ["image-grey", "image-alpha"]
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((1, 0), 1)
    image, notices = load_image(encoded(palette, "PNG"))
    assert image.pixels[0].tolist() == [[10, 20, 30], [200, 100, 50]] and codes(notices) == ["image-palette"]
    image, notices = load_image(encoded(palette, "PNG", transparency=0))
    assert image.pixels[0].tolist() == [[255] * 3, [200, 100, 50]]
    assert codes(notices) == ["image-palette", "image-alpha"]


def test_16_bit_values_are_scaled_not_clipped() -> None:
    values = np.array([[0, 128, 257, 32_768, 65_535]], ">u2")
    image, notices = load_image(png(5, 1, 16, 0, b"\0" + values.tobytes()))
    assert image.pixels[0, :, 0].tolist() == [0, 0, 1, 128, 255]
    assert codes(notices) == ["image-16-bit", "image-grey"]
    colours = np.repeat(values, 3, 0).T.copy()  # [pixel, channel]
    image, notices = load_image(png(5, 1, 16, 2, b"\0" + colours.tobytes()))
    assert image.pixels[0, :, 0].tolist() == [0, 0, 1, 128, 255] and codes(notices) == ["image-16-bit"]
    clear = np.concatenate((colours, np.full((5, 1), 65_535)), 1).astype(">u2")
    clear[0, 3] = 0
    image, notices = load_image(png(5, 1, 16, 6, b"\0" + clear.tobytes()))
    assert image.pixels[0, :, 0].tolist() == [255, 0, 1, 128, 255]
    assert codes(notices) == ["image-16-bit", "image-alpha"]


def test_transparent_colours_of_16_bit_images() -> None:
    values = np.array([0, 32_768, 65_535], ">u2")
    image, _ = load_image(png(3, 1, 16, 0, b"\0" + values.tobytes(), chunk(b"tRNS", struct.pack(">H", 0))))
    assert image.pixels[0, :, 0].tolist() == [255, 128, 255]
    colours = np.repeat(values[:, None], 3, 1)
    key = chunk(b"tRNS", struct.pack(">HHH", 32_768, 32_768, 32_768))
    image, notices = load_image(png(3, 1, 16, 2, b"\0" + colours.tobytes(), key))
    assert image.pixels[0, :, 0].tolist() == [0, 255, 255]
    assert codes(notices) == ["image-16-bit", "image-alpha"]


def test_cmyk_and_other_modes_are_converted() -> None:
    for colour in ((255, 0, 0), (0, 0, 0), (255, 255, 255)):
        cmyk = Image.new("RGB", (16, 16), colour).convert("CMYK")
        image, notices = load_image(encoded(cmyk, "JPEG", quality=95))
        assert np.abs(image.pixels[8, 8].astype(int) - colour).max() < 10 and codes(notices) == ["image-cmyk"]
    assert codes(load_image(encoded(Image.new("1", (9, 9)), "PNG"))[1]) == ["image-grey"]
    assert codes(load_image(Image.new("HSV", (9, 9)))[1]) == ["image-colours"]
    assert codes(load_image(Image.new("F", (9, 9), 0.5))[1]) == ["image-float", "image-grey"]
    assert refusal(Image.new("F", (9, 9), 9.0)).code == "image-values"
    for mode in ("RGBa", "PA", "RGBX", "I", "I;16", "LAB", "YCbCr"):
        assert load_image(Image.new(mode, (9, 9)))[0].width == 9


def test_a_mode_that_pillow_cannot_convert_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def convert(self: object, mode: str) -> None:
        raise ValueError("conversion not supported")

    monkeypatch.setattr(Image.Image, "convert", convert)
    assert refusal(Image.new("HSV", (9, 9))).code == "image-mode"


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_an_animation_gives_its_first_frame(format: str) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=100, lossless=True)
    image, notices = load_image(data)
    assert (image.pixels == (255, 0, 0)).all()
    assert codes(notices) == ["image-animated"] and notices[0].parameters == {"frame": 1, "frames": 3}
    still = Image.open(io.BytesIO(data))
    still.seek(2)
    image, notices = load_image(still)
    assert (image.pixels == (0, 0, 255)).all() and notices[0].parameters == {"frame": 3, "frames": 3}


@pytest.mark.slow
def test_reducing_averages_pixels() -> None:
    board = np.zeros((2_200, 4_096, 3), np.uint8)
    board[::2, ::2] = 255
    board[1::2, 1::2] = 255
    image, notices = load_image(board)
    assert (image.width, image.height) == (4_096, 2_200) and image.pixels.shape == (1_100, 2_048, 3)
    assert np.abs(image.pixels.astype(int) - 127).max() < 20, "a fine chessboard becomes grey, not black or white"
    assert codes(notices) == ["image-reduced"]


def test_make_sample_has_the_image_and_its_notices() -> None:
    sample = make_sample(image=scene()[:, :, 0], text="")
    assert sample.image is not None and sample.image.width == 60 and sample.text is None
    assert codes(sample.notices) == ["image-grey"]
