"""Hostile images, audio, texts, model folders and saved runs, and what reading each of them costs."""

from __future__ import annotations

import io
import json
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from audio_files import encoded, muxed
from PIL import Image

from mmviz.assets_path import assets_dir
from mmviz.backends.local import LocalBackend
from mmviz.explain import Run, run_sample
from mmviz.inputs import make_sample
from mmviz.inputs.decoder_failure import CODES
from mmviz.io.npz import open_npz, pack_npz
from mmviz.io.run_file import from_bytes
from mmviz.models.custom_model_factory import load
from mmviz.types import MmvizError

HEADER_LIMITS = 0.2, 50.0
"""Seconds and megabytes within which an input is refused whose header shows what is wrong with it."""


@dataclass(frozen=True)
class Cost:
    """What reading one hostile input came to."""

    kind: str
    name: str
    code: str | None
    """Code of the error; None where the input was accepted."""
    seconds: float
    megabytes: float
    """Largest memory in addition to that before."""
    bad_header: bool
    """Whether the header shows what is wrong."""


def cost(kind: str, name: str, read: Callable[[], object]) -> Cost:
    """Reads an input and returns its cost. Raises any exception but an `MmvizError`.

    Names that begin with ``*`` are those of inputs whose header shows what is wrong.
    """
    before = _memory("VmRSS", reset=True)
    start = time.perf_counter()
    code = None
    try:
        read()
    except MmvizError as error:
        assert str(error)  # the code has a sentence, and the parameters fit it
        assert error.code not in CODES, f"{name}: {error}"  # refused for what is in it, not by an unexpected exception
        code = error.code
    seconds = time.perf_counter() - start
    return Cost(kind, name, code, seconds, max(0.0, _memory("VmHWM") - before), name.startswith("*"))


def costs(folder: Path) -> Iterator[Cost]:
    """Reads all inputs below, each by the function it is meant for; ``folder`` is an empty folder."""
    backend = LocalBackend("cpu")
    good = run_sample(make_sample(text="left both"), model="toy", backend=backend)
    weights = (assets_dir() / "trio" / "weights.safetensors").read_bytes()

    def read_text(text: str) -> None:
        run = run_sample(make_sample(text=text), backend=backend)
        run.summary()
        run.to_html()

    def read_run(data: bytes) -> None:
        run = Run(*from_bytes(data))
        run.summary()
        run.to_html()
        run.png()

    read_text("is there a dog")  # loads models and fonts, whose cost is not counted
    read_run(good.to_bytes())
    for name, data in images():
        yield cost("image", name, lambda data=data: make_sample(image=data))  # type: ignore[misc]
    for name, data in audios():
        yield cost("audio", name, lambda data=data: make_sample(audio=data))  # type: ignore[misc]
    for name, text in TEXTS.items():
        yield cost("text", name, lambda text=text: read_text(text))  # type: ignore[misc]
    for name, path in folders(folder, weights):
        yield cost("model folder", name, lambda path=path: load(str(path), "cpu"))  # type: ignore[misc]
    for name, data in runs(good.to_bytes()):
        yield cost("saved run", name, lambda data=data: read_run(data))  # type: ignore[misc]


def _memory(what: str, reset: bool = False) -> float:
    """Megabytes of this process: VmRSS now, or VmHWM since the last reset; 0 where the system has neither."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _png(width: int, height: int, *extra: bytes, rows: bytes = b"", depth: int = 8, colour: int = 2) -> bytes:
    start = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    data = _chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + start + b"".join(extra) + data + _chunk(b"IEND", b"")


def _image(format: str, side: int = 40, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (200, 30, 30)).save(file, format, **options)
    return file.getvalue()


def images() -> Iterator[tuple[str, bytes]]:
    """Names and bytes of image files."""
    yield "*empty", b""
    yield "*one byte", b"\x89"
    yield "*a text", b"hello"
    yield "*a page with a script", b"<html><script>alert(1)</script></html>"
    yield "*svg with a script", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    yield "*svg with entities", b"<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]><svg>&b;</svg>"
    yield "*a program", b"MZ" + bytes(500)
    yield "*elf", b"\x7fELF" + bytes(500)
    yield "*pdf", b"%PDF-1.7\n1 0 obj\n"
    yield "*zip", b"PK\3\4" + bytes(60)
    yield "*pickle", b"\x80\4cos\nsystem\n(S'true'\ntR."
    yield "bmp", _image("BMP")
    yield "tiff", _image("TIFF")
    yield "*icon", _image("ICO")
    yield "*postscript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run"
    for width, height in ((60_000, 60_000), (1, 100_000), (2**31 - 1, 1), (0, 5), (2**31, 2**31), (8_193, 8_193)):
        yield f"*png of {width} x {height}", _png(width, height)
    yield "*png of 60,000 x 60,000, one bit", _png(60_000, 60_000, depth=1, colour=0)
    yield "png with too few rows", _png(900, 900, rows=b"\0" * 50)
    yield "png whose rows never end", _png(40, 40, rows=bytes(300_000_000))
    yield "png with words that inflate", _png(40, 40, _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200_000_000), 9)))
    yield "png with a profile that inflates", _png(40, 40, _chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(90_000_000))))
    yield "png without an end", _image("PNG")[:-12]
    yield "png with a wrong sum", _image("PNG")[:-20] + b"\0\0\0\0" + _image("PNG")[-16:]
    yield "png with a page behind it", _image("PNG") + b"<script>alert(1)</script>"
    yield "png with 20,000 parts", _png(40, 40, *(_chunk(b"tEXt", b"a\0b") for _ in range(20_000)))
    yield "*jpeg of 65,535 x 65,535", _jpeg(65_535, 65_535)
    yield "*jpeg of 0 x 0", _jpeg(0, 0)
    yield "jpeg cut in half", _image("JPEG", 400)[:1_200]
    yield (
        "jpeg with a loop of camera data",
        _image("JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\x08\0\0\0"),
    )
    yield "*webp of 16,384 x 16,384", _webp(16_384, 16_384)
    yield "webp that ends early", _image("WEBP", 300)[:80]
    yield "*gif of 65,535 x 65,535", b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\2\2L\1\0;"
    yield (
        "gif of 3,000 frames",
        _image("GIF", save_all=True, append_images=[Image.new("L", (40, 40), k % 256) for k in range(3_000)]),
    )
    yield "gif whose frame lies outside", b"GIF89a\5\0\5\0\0\0\0,\xf0\xff\xf0\xff\x05\0\x05\0\0\2\2L\1\0;"


def _jpeg(width: int, height: int) -> bytes:
    frame = struct.pack(">BHHB", 8, height, width, 3) + bytes((1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0))
    return b"\xff\xd8\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame + b"\xff\xda\0\x0c\3\1\0\2\0\3\0\0\x3f\0"


def _webp(width: int, height: int) -> bytes:
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (width - 1).to_bytes(3, "little")
    body += (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def audios() -> Iterator[tuple[str, bytes]]:
    """Names and bytes of audio files."""
    noise = 0.1 * np.random.default_rng(0).standard_normal(16_000)
    wav = encoded(noise, 16_000)
    yield "*empty", b""
    yield "*a text", b"hello"
    yield "*an image", _image("PNG")
    yield "*midi", b"MThd\0\0\0\6\0\0\0\1\0\x60"
    aiff = encoded(noise, 16_000, "AIFF")
    yield "aiff that declares 4 GB", aiff.replace(aiff[4:8], b"\xff" * 4, 1)
    yield "*silk", b"\x02#!SILK_V3" + bytes(500)
    yield "*a list of addresses", b"#EXTM3U\nhttp://127.0.0.1/x\n"
    yield "*a list of files", b"ffconcat version 1.0\nfile /etc/passwd\n"
    for fault, at, format, value in (
        ("rate 0", 24, "<I", 0), ("rate of 4 GHz", 24, "<I", 2**32 - 1), ("no channels", 22, "<H", 0),
        ("65,535 channels", 22, "<H", 65_535), ("0 bits", 34, "<H", 0), ("an unknown code", 20, "<H", 0x4242),
    ):  # fmt: skip
        damaged = bytearray(wav)
        struct.pack_into(format, damaged, at, value)
        yield f"*wav with {fault}", bytes(damaged)
    yield "wav that declares 4 GB", wav[:40] + struct.pack("<I", 2**32 - 1) + wav[44:]
    yield "*wav of an hour", wav[:40] + struct.pack("<I", 3_600 * 32_000) + bytes(3_600 * 32_000)
    yield "wav without samples", wav[:44]
    yield "wav of values that are not finite", encoded(np.full(16_000, np.nan), 16_000, subtype="FLOAT")
    yield "wav of values near the largest float", encoded(np.full(16_000, 1e38), 16_000, subtype="FLOAT")
    yield "wav with a part of 4 GB", wav[:12] + b"LIST" + struct.pack("<I", 2**32 - 1) + wav[12:]
    flac = bytearray(encoded(noise, 16_000, "FLAC"))
    flac[21:26] = b"\xff" * 5
    yield "*flac that declares 2^36 samples", bytes(flac)
    yield "flac of silence that inflates", encoded(np.zeros(59 * 16_000), 16_000, "FLAC")
    yield "*flac of ten minutes", encoded(np.zeros(600 * 16_000), 16_000, "FLAC")
    yield "flac of ten minutes without a length", muxed(np.zeros(600 * 16_000), 16_000, "flac", "flac", is_pipe=True)
    yield "wav of an hour without a length", wav[:40] + bytes(4) + bytes(3_600 * 32_000)
    yield "amr of noise", b"#!AMR\n" + np.random.default_rng(2).bytes(4_000)
    yield "amr of ten minutes", b"#!AMR\n" + (b"\x3c" + bytes(31)) * 30_000
    yield "caf of a part of 2^63 bytes", b"caff\0\1\0\0desc\x7f" + b"\xff" * 7 + bytes(400)
    yield "wma that begins well", bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + b"\xff" * 400
    yield "ogg cut off", encoded(noise, 16_000, "OGG", "VORBIS")[:3_000]
    yield "ogg twice", encoded(noise, 16_000, "OGG", "VORBIS") * 2
    yield "mp3 behind a tag of 200 MB", b"ID3\4\0\0\x5f\x2f\x10\0" + encoded(noise, 16_000, "MP3")
    yield "mp3 of tags alone", b"ID3\4\0\0\0\0\0\0" * 10_000
    yield "mp3 of the shortest frames", b"\xff\xf3\x14\xc4" * 100_000
    yield "aac of noise", b"\xff\xf1\x50\x80" + bytes(np.random.default_rng(1).integers(0, 256, 4_000, np.uint8))
    m4a = muxed(noise, 16_000, "ipod")
    yield (
        "m4a with a table of 4 billion",
        m4a.replace(b"stsz\0\0\0\0\0\0\0\0", b"stsz\0\0\0\0\0\0\0\0\xff\xff\xff\xff"[:12]),
    )
    yield (
        "m4a whose boxes hold themselves",
        b"\0\0\0\x14ftypM4A \0\0\0\0\0\0\0\0" + b"\0\0\0\x10moov\0\0\0\x08moov" * 500,
    )
    yield "webm of nothing", b"\x1a\x45\xdf\xa3\x84\x42\x86\x81\1" + b"\x18\x53\x80\x67\1\xff\xff\xff\xff\xff\xff\xff"
    yield "webm cut off", muxed(noise, 16_000, "webm", "libopus")[:900]


TEXTS = {
    "*empty": "", "*blank": " \n\t", "*too long": "a" * 1_000_000, "*half a character": "a\ud800b",
    "nulls": "is\0there\0a dog", "escapes": "\x1b[31mis there\x1b[0m a dog",
    "invisible": "is\u200bthere\u2060 a\ufeff dog", "right to left": "\u202eis there a dog\u202c",
    "Hebrew and digits": "\u05d0\u05d1 12 \u05d2", "marks": "a" + "\u0301" * 9_000,
    "emoji": "\U0001f469\u200d\U0001f469\u200d\U0001f467 is there a dog",
    "Chinese": "\u56fe\u7247\u91cc\u6709\u4ec0\u4e48",
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)>", "end of script": "</script><b>x</b><!--",
    "markdown": "[x](javascript:alert(1)) ![y](http://127.0.0.1/z) **b** # h",
    "LaTeX": "$\\frac{a}{b}$ \\(x\\) $$y$$", "directives": ":red[x] :material/home: :blue-badge[y]",
    "templates": "{{7*7}} ${7*7} %s %(x)s {0.__class__}", "quotes": "\"';--`",
    "an address": "http://127.0.0.1/x www.example.org", "prototype": "__proto__ constructor",
    "lines": "a\r\nb\u2028c\u2029d\x85e", "10,000 characters": "is there a dog " * 666,
    "a mask": "[MASK] [PAD] [UNK] [CLS]",
}  # fmt: skip


def folders(at: Path, weights: bytes) -> Iterator[tuple[str, Path]]:
    """Names and paths of model folders below ``at``; ``weights`` is a valid weights file."""

    def model_folder(name: str, data: bytes | None) -> tuple[str, Path]:
        folder = at / name.strip("*").replace(" ", "-")
        folder.mkdir()
        if data is not None:
            (folder / "weights.safetensors").write_bytes(data)
        return name, folder

    def header(fields: Any, data: bytes = b"") -> bytes:
        encoded_fields = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
        return struct.pack("<Q", len(encoded_fields)) + encoded_fields + data

    tensor = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    yield model_folder("*without weights", None)
    yield model_folder("*empty weights", b"")
    yield model_folder("*a header of 2^63 bytes", struct.pack("<Q", 2**63) + b"{}")
    yield model_folder("*a header that is no json", header(b"hello"))
    yield model_folder("*a header of brackets", header(b"[" * 100_000))
    yield model_folder(
        "*a tensor beyond memory", header({"x": tensor | {"shape": [2**40], "data_offsets": [0, 2**42]}})
    )
    yield model_folder("*tensors that overlap", header({"model.a": tensor, "model.b": tensor}, bytes(4)))
    yield model_folder("*weights of another model", header({"model.other": tensor}, bytes(4)))
    yield model_folder("*pickle", b"\x80\2cos\nsystem\n(S'true'\ntR.")
    yield model_folder(
        "*a pointer to a large file", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    )
    yield model_folder("weights cut off", weights[: len(weights) // 2])
    yield model_folder("weights with more behind them", weights + b"x")
    name, folder = model_folder("*weights that are a folder", None)
    (folder / "weights.safetensors").mkdir()
    yield name, folder
    name, folder = model_folder("*more weights than any model here has", b"")
    with (folder / "weights.safetensors").open("wb") as file:
        file.truncate(5_000_000_000)  # without a byte on disk
    yield name, folder


def runs(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of saved runs; ``good`` is a valid one."""
    yield "*empty", b""
    yield "*a text", b"hello"
    yield "*half a run", good[: len(good) // 2]
    yield "*a bomb", _zipped(("header.npy", bytes(1_100_000_000)))
    yield "*90,000 members", _zipped(*((f"{k}.npy", b"") for k in range(90_000)), method=zipfile.ZIP_STORED)
    yield "*objects", _zipped(("header.npy", _npy("'|O'", "(1,)") + b"\x80\4N."))
    yield "*a shape beyond memory", _zipped(("header.npy", _npy("'<f8'", "(10000000000, 1000)") + b"{}"))
    yield "*deep json", _zipped(("header.npy", _npy("'|u1'", "(200000,)") + b"[" * 200_000))
    with open_npz(io.BytesIO(good)) as (header, arrays):
        kept = {name: arrays[name] for name in ("map0", "image", "audio") if name in arrays}
    for name, change in _CHANGES.items():
        changed_header: dict[str, Any] = json.loads(json.dumps(header))
        changed_arrays = dict(kept)
        change(changed_header, changed_arrays)
        yield name, pack_npz(changed_header, changed_arrays)


def _npy(dtype: str, shape: str) -> bytes:
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}}}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def _zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


def _put(**values: Any) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    return lambda header, arrays: header.update(values)


def _map(**values: Any) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    return lambda header, arrays: header["maps"][0].update(values)


def _weights(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    return lambda header, arrays: arrays.update(map0=change(arrays["map0"]))


_CHANGES: Mapping[str, Callable[[dict[str, Any], dict[str, Any]], None]] = {
    "another format": _put(format=99),
    "no maps": _put(maps=[]),
    "maps of a number": _put(maps=3),
    "a map without its weights": lambda header, arrays: arrays.pop("map0"),
    "a map of other tokens": _map(queries="nowhere"),
    "a layer below 0": _map(layer=-1),
    "a layer in words": _map(layer="first"),
    "an unknown field": _map(evil=1),
    "rows beyond 1": _weights(lambda weights: weights * 3),
    "weights below 0": _weights(lambda weights: weights - 1),
    "weights that are not finite": _weights(lambda weights: weights * np.nan),
    "one row too few": _weights(lambda weights: weights[:, 1:]),
    "weights on no axis": _weights(lambda weights: np.float32(1)),
    "streams of markup": _put(streams={"<script>alert(1)</script>": []}),
    "answers of a probability of 7": _put(answers=[["yes", 7.0]]),
    "answers of a probability that is no number": _put(answers=[["yes", float("nan")]]),
    "answers of markup": _put(answers=[["<img src=x onerror=alert(1)>", 1.0]]),
    "unknown notices": _put(notices=[["no-such-code", {}]]),
    "notices without their parameters": _put(notices=[["text-cut", {}]]),
    "made by nothing": _put(made_by=None),
    "made by markup": _put(made_by={"model": "<b>x</b>", "device_name": "<script>", "map_ref": "99:mean"}),
    "a map reference that cannot be read": _put(made_by={"model": "x", "map_ref": "relevance 7 8"}),
    "an image that is not there": _put(image={"width": 10, "height": 10}),
    "audio that is not there": _put(audio={"rate": 16_000, "seconds": 1.0}),
    "a text that is a list": _put(text=["a"]),
}
