"""AVIF, HEIC, TIFF and BMP images as they are read, and the names of the formats that are not."""

from __future__ import annotations

import contextlib
import io
import re
import struct
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageFile

from mmviz.i18n.language import use_language
from mmviz.inputs.image import load_image
from mmviz.inputs.sandbox import Decoder
from mmviz.types import InputError, Notice

pillow_heif.register_heif_opener()
FORMATS: dict[str, dict[str, object]] = {
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    "HEIF": {"quality": -1, "chroma": 444},
    "TIFF": {},
    "BMP": {},
}


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **(options or FORMATS.get(format, {})))
    return file.getvalue()


def codes(notices: tuple[Notice, ...]) -> list[str]:
    for notice in notices:
        assert str(notice)
    return [notice.code for notice in notices]


def refusal(source: bytes) -> InputError:
    with pytest.raises(InputError) as caught:
        load_image(source)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
    return caught.value


def scene() -> np.ndarray:
    """Smooth in both directions, different in each channel, 60 x 40."""
    y, x = np.mgrid[0:40, 0:60]
    return np.stack((x * 255 // 60, y * 255 // 40, (x + y) * 255 // 100), axis=-1).astype(np.uint8)


def claiming(format: str, width: int, height: int) -> bytes:
    """Returns an image of 128 x 64 pixels whose header claims another size."""
    data = encoded(Image.fromarray(scene()).resize((128, 64)), format)
    if format == "BMP":
        return data[:18] + struct.pack("<2i", width, height) + data[26:]
    if format in ("AVIF", "HEIF"):
        for at in (match.end() for match in re.finditer(b"ispe", data)):
            data = data[: at + 4] + struct.pack(">2I", width, height) + data[at + 12 :]
        return data
    for tag, old, new in ((256, 128, width), (257, 64, height)):  # as Pillow writes them, 4 bytes each
        entry = struct.pack("<HHII", tag, 4, 1, old)
        assert entry in data
        data = data.replace(entry, struct.pack("<HHII", tag, 4, 1, new), 1)
    return data


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_read_by_its_bytes(format: str) -> None:
    image, notices = load_image(encoded(Image.fromarray(scene()), format))
    assert notices == () and (image.width, image.height) == (60, 40)
    assert np.abs(image.pixels.astype(int) - scene()).max() <= 3


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
def test_every_compression_of_tiff_is_read(compression: str) -> None:
    image, notices = load_image(encoded(Image.fromarray(scene()), "TIFF", compression=compression))
    assert notices == () and np.abs(image.pixels.astype(int) - scene()).max() <= 3


@pytest.mark.slow
def test_a_photograph_of_many_tiles_is_read_whole() -> None:
    """Phones store a HEIC photograph as a grid of tiles."""
    photograph = Image.fromarray(scene()).resize((1_200, 800))
    image, notices = load_image(encoded(photograph, "HEIF", quality=95, tile_size=512))
    assert notices == () and (image.width, image.height) == (1_200, 800)
    assert np.abs(image.pixels.astype(int) - np.asarray(photograph)).mean() < 3


def test_a_heic_of_ten_bits_is_scaled() -> None:
    deep = pillow_heif.from_bytes("RGB;16", (60, 40), (scene().astype(np.uint16) * 257).tobytes())
    file = io.BytesIO()
    deep.save(file, quality=-1, chroma=444)
    image, notices = load_image(file.getvalue())
    assert np.abs(image.pixels.astype(int) - scene()).max() <= 3
    assert codes(notices) == ["image-deep"] and notices[0].parameters == {"bits": 10}


def test_a_depth_map_is_said_to_be_left_out() -> None:
    portrait = Image.open(io.BytesIO(encoded(Image.fromarray(scene()), "HEIF")))
    portrait.info["depth_images"] = [object()]  # as pillow-heif lists those of a phone's portrait
    assert codes(load_image(portrait)[1]) == ["image-depth"]


def test_greys_and_transparency_of_the_formats() -> None:
    grey = Image.fromarray(scene()[:, :, 0])
    for format in ("HEIF", "TIFF", "BMP"):
        image, notices = load_image(encoded(grey, format, **({"quality": -1} if format == "HEIF" else {})))
        assert np.abs(image.pixels[:, :, 1].astype(int) - scene()[:, :, 0]).max() <= 3
        assert codes(notices) == ["image-grey"]
    clear = np.dstack((scene(), np.full((40, 60), 255, np.uint8)))
    clear[:, :30, 3] = 0
    for format in ("AVIF", "HEIF", "TIFF"):
        image, notices = load_image(encoded(Image.fromarray(clear), format))
        assert (image.pixels[:, :26] > 250).all() and codes(notices) == ["image-alpha"]


def tiff(order: str, values: np.ndarray, *extra: tuple[int, int], planar: bool = False) -> bytes:
    """Returns a TIFF of ``[row, column, channel]`` values, 16 bits each, with extra tags of one long number."""
    height, width, channels = values.shape
    data = (values.transpose(2, 0, 1) if planar else values).astype(f"{order}u2").tobytes()
    tags = [(256, width), (257, height), (259, 1), (262, 2 if channels == 3 else 1), (277, channels), (278, height)]
    tags += [(284, 2 if planar else 1), *extra]
    start = 8 + 2 + 12 * (len(tags) + 3) + 4
    entries = [(tag, 4, 1, value) for tag, value in tags]
    if channels == 1:
        entries += [(258, 4, 1, 16), (273, 4, 1, start), (279, 4, 1, len(data))]
        lists = b""
    elif planar:
        size = len(data) // 3
        entries += [(258, 3, 3, start), (273, 4, 3, start + 6), (279, 4, 3, start + 18)]
        offsets = (start + 30, start + 30 + size, start + 30 + 2 * size, size, size, size)
        lists = struct.pack(f"{order}3H6I", 16, 16, 16, *offsets)
    else:
        entries += [(258, 3, 3, start), (273, 4, 1, start + 6), (279, 4, 1, len(data))]
        lists = struct.pack(f"{order}3H", 16, 16, 16)
    table = b"".join(struct.pack(f"{order}HHII", *entry) for entry in sorted(entries))
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(entries))
    return head + table + bytes(4) + lists + data


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_values_of_tiff_are_rounded(order: str, channels: int) -> None:
    values = np.arange(0, 65_536, 41)[:1_500].reshape(25, 60, 1).repeat(channels, 2)
    image, notices = load_image(tiff(order, values))
    assert np.array_equal(image.pixels[:, :, 0], np.rint(values[:, :, 0] / 257))
    assert codes(notices) == ["image-16-bit", *(["image-grey"] if channels == 1 else [])]


def test_a_kind_of_tiff_that_would_be_read_wrong_is_refused() -> None:
    error = refusal(tiff("<", np.zeros((20, 20, 3), int), planar=True))
    assert error.code == "image-variant" and "TIFF" in str(error) and "damaged" not in str(error)
    channels = struct.pack("<HHI", 277, 4, 1)
    spectral = tiff("<", np.zeros((20, 20, 1), int)).replace(channels + b"\1", channels + b"\7")
    assert refusal(spectral).code == "image-variant"


# several images, rotation


def test_files_of_several_images_give_one() -> None:
    images = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue", "lime")]
    for format, options in (("TIFF", {}), ("HEIF", {"quality": -1})):
        data = encoded(images[0], format, save_all=True, append_images=images[1:], **options)
        image, notices = load_image(data)
        assert image.pixels[5, 5].argmax() == 0 and codes(notices) == ["image-several"]
        assert notices[0].parameters == {"frame": 1, "frames": 3}
    main = encoded(images[0], "HEIF", save_all=True, append_images=images[1:], primary_index=1)
    image, notices = load_image(main)
    assert image.pixels[5, 5].argmax() == 2 and notices[0].parameters == {"frame": 2, "frames": 3}
    moving = encoded(images[0], "AVIF", save_all=True, append_images=images[1:])
    image, notices = load_image(moving)
    assert image.pixels[5, 5].argmax() == 0 and codes(notices) == ["image-animated"]


UNDO = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # fmt: skip


@pytest.mark.parametrize("format", ["AVIF", "HEIF", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied_once(orientation: int, format: str) -> None:
    upright = np.zeros((128, 192, 3), np.uint8)
    upright[24:32, 40:48] = 255
    stored = Image.fromarray(upright)
    if orientation in UNDO:
        stored = stored.transpose(UNDO[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, format, exif=exif.tobytes() if format != "TIFF" else exif, **FORMATS[format])
    for source in (data, Image.open(io.BytesIO(data))):
        image, notices = load_image(source)
        assert (image.width, image.height) == (192, 128)
        y, x = np.argwhere(image.pixels[:, :, 0] > 128).mean(0)
        assert abs(x - 43.5) < 0.6 and abs(y - 27.5) < 0.6
        assert codes(notices) == ([] if orientation == 1 else ["image-turned"])


def test_a_heic_file_is_called_rotated_only_where_its_boxes_rotate_it() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.fromarray(scene()), "HEIF", exif=exif.tobytes(), **FORMATS["HEIF"])
    assert codes(load_image(data)[1]) == ["image-turned"]
    at = data.index(b"irot") + 4
    unturned = data[:at] + b"\0" + data[at + 1 :]
    image, notices = load_image(unturned)
    assert codes(notices) == [] and (image.width, image.height) != (
        load_image(data)[0].width,
        load_image(data)[0].height,
    )


# limits and damage


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("width", "height", "code"),
    [(16_000, 16_000, "image-side"), (5_001, 5_000, "image-pixels"), (5_100, 100, "image-narrow")],
)
def test_limits_are_checked_before_decoding(
    format: str, width: int, height: int, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(self: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    error = refusal(claiming(format, width, height))
    assert error.code == code and (error.parameters["width"], error.parameters["height"]) == (width, height)


@pytest.mark.slow
def test_bombs_use_no_memory() -> None:
    pytest.importorskip("resource", reason="memory is measured with the resource module of Unix")
    program = """
        import resource, sys
        from mmviz.inputs.image import load_image
        from mmviz.types import InputError
        import PIL.AvifImagePlugin, pillow_heif
        data = sys.stdin.buffer.read()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            load_image(data)
        except InputError as error:
            print(error.code)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    bombs = {format: claiming(format, 30_000, 30_000) for format in FORMATS}
    bombs["a tile of TIFF"] = tiff("<", np.zeros((20, 20, 3), int), (322, 60_000), (323, 60_000))
    for name, bomb in bombs.items():
        command = [sys.executable, "-c", textwrap.dedent(program)]
        process = subprocess.run(command, input=bomb, capture_output=True, check=True, timeout=120)
        code, growth = process.stdout.decode().split()
        assert code in ("image-side", "image-pixels"), name
        assert int(growth) * (1 if sys.platform != "darwin" else 1 / 1024) < 20_000, f"kilobytes, {name}"
        assert process.stderr == b""


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("part", [0.05, 0.3, 0.7, 0.95])
def test_files_that_are_cut_short_are_refused(format: str, part: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), format)
    assert refusal(data[: int(len(data) * part)]).code == "image-damaged"


@pytest.mark.parametrize("format", FORMATS)
def test_changed_bytes_raise_nothing_but_input_errors(format: str) -> None:
    random = np.random.default_rng(1)
    exif = {} if format == "BMP" else {"exif": Image.Exif().tobytes()}
    data = encoded(Image.fromarray(scene()), format, **FORMATS[format], **exif)
    for _ in range(150):
        broken = bytearray(data)
        for position in random.integers(12, len(data) if random.random() < 0.5 else 300, 6):
            broken[position] = random.integers(256)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with contextlib.suppress(InputError):
                load_image(bytes(broken))


@pytest.mark.parametrize("format", FORMATS)
def test_the_sandbox_decodes_every_format(format: str) -> None:
    decoder = Decoder()
    try:
        sample = decoder.sample(encoded(Image.fromarray(scene()), format), None, None)
    finally:
        decoder.close()
    assert sample.image is not None and sample.image.width == 60


@pytest.mark.slow
@pytest.mark.long
def test_the_sandbox_decodes_the_largest_photographs() -> None:
    photograph = Image.fromarray(scene()).resize((5_000, 5_000), Image.Resampling.NEAREST)
    decoder = Decoder()
    try:
        for format, options in (("HEIF", {"quality": 50}), ("TIFF", {})):  # AVIF takes less memory than HEIF
            data = encoded(photograph, format, **options)
            image = decoder.sample(data, None, None).image
            assert image is not None and (image.width, image.height) == (5_000, 5_000), format
    finally:
        decoder.close()


# what is not read is named


WRITTEN = {"PPM": "PPM", "TGA": "TGA", "QOI": "QOI", "DDS": "DDS", "ICNS": "ICNS", "PCX": "PCX", "SGI": "SGI"}
"""Formats that Pillow writes, and their names."""


def written(format: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(scene()).resize((32, 32)).save(file, format)
    return file.getvalue()


def box(brand: bytes, *compatible: bytes) -> bytes:
    body = brand + bytes(4) + b"".join(compatible)
    return struct.pack(">I", len(body) + 8) + b"ftyp" + body + bytes(100)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- made by hand -->\n<svg>', "SVG"),
        ('<?xml version="1.0" encoding="utf-16"?><svg>'.encode("utf-16"), "SVG"),
        (b"\n<!DOCTYPE html><html><body>404</body></html>", "HTML"),
        (b"\xff\x0a" + bytes(50), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50), "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(50), "JPEG 2000"),
        (b"\xff\x4f\xff\x51" + bytes(50), "JPEG 2000"),
        (b"8BPS\0\1" + bytes(50), "Photoshop"),
        (b"%PDF-1.7\n", "PDF"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(50), "camera raw"),
        (b"FUJIFILMCCD-RAW 0201", "camera raw"),
        (box(b"crx ", b"crx ", b"isom"), "camera raw"),
        (tiff("<", np.zeros((20, 20, 3), int), (50_706, 0x00000401)), "camera raw"),
        (tiff(">", np.zeros((20, 20, 3), int), (254, 1), (330, 8)), "camera raw"),
        (box(b"isom", b"isom", b"mp42"), "MP4 or QuickTime"),
        (b"RIFF\0\0\0\0WAVEfmt ", "WAV"),
        (b"OggS" + bytes(50), "OGG"),
        (b"\0\0\1\0\1\0" + bytes(50), "ICO"),
        (b"v/1\1" + bytes(50), "OpenEXR"),
        (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n", "Radiance HDR"),
        (b"P2\n# by hand\n2 1\n255\n0 9\n", "PPM"),
        *((written(format), name) for format, name in WRITTEN.items()),
    ],
)
def test_other_formats_are_named(data: bytes, name: str) -> None:
    error = refusal(data)
    assert error.code == "image-format" and error.parameters == {"format": name}
    assert f"the {name} format" in str(error) and "HEIC" in str(error), "no article that might not fit"
    with use_language("zh"):
        assert name in str(error) and "format" not in str(error)


def test_boxes_are_told_apart_by_their_brands() -> None:
    avif = encoded(Image.fromarray(scene()), "AVIF")
    assert avif[8:12] == b"avif"
    neutral = avif[:8] + b"mif1" + avif[12:]
    assert load_image(neutral)[0].width == 60, "an AVIF file whose first brand only says that it has images"
    heic = encoded(Image.fromarray(scene()), "HEIF")
    assert load_image(heic[:8] + b"mif1" + heic[12:])[0].width == 60


@pytest.mark.parametrize("text", [b"BMW is a maker of cars, and this is a text about it", b"GIFs are fun", b"II*"])
def test_texts_that_begin_like_an_image_are_unknown(text: bytes) -> None:
    assert refusal(text).code == "image-unknown"


def test_a_missing_decoder_is_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    data: Callable[[str], bytes] = lambda format: encoded(Image.fromarray(scene()), format)  # noqa: E731
    avif, heic = data("AVIF"), data("HEIF")
    monkeypatch.setattr("PIL.features.check", lambda name: False)
    monkeypatch.setitem(sys.modules, "pillow_heif.as_plugin", None)
    for file, name in ((avif, "AVIF"), (heic, "HEIC")):
        error = refusal(file)
        assert error.code == "image-decoder" and name in str(error) and "damaged" not in str(error)


@pytest.mark.parametrize("format", ["TIFF", "HEIF", "AVIF", "BMP"])
@pytest.mark.parametrize("stage", ["_open", "load"])
def test_an_unexpected_exception_of_a_decoder_is_not_called_damage(
    format: str, stage: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    data = encoded(Image.fromarray(scene()), format)

    def fail(self: object) -> None:
        raise TypeError("an option that this version of the decoder does not have")

    opened = Image.open(io.BytesIO(data))
    monkeypatch.setattr(type(opened), stage, fail)
    error = refusal(data)
    assert error.code == "decoder-failed" and "damaged" not in str(error) and "TypeError" in str(error)
    assert ("pillow-heif" if format == "HEIF" else "Pillow") in str(error)
    assert "TypeError" in caplog.text and "an option" not in caplog.text
