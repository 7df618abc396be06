"""Files of every format, cut short or with changed bytes, give an error or a notice and nothing else."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from audio_files import encoded, header_first, muxed
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmviz.inputs.audio import load_audio
from mmviz.inputs.decoder_failure import CODES
from mmviz.inputs.image import load_image
from mmviz.types import InputError

pytestmark = pytest.mark.slow

RECORDED = Path(__file__).with_name("recorded_sounds")

RATE = 16_000
LONGER = 0.1 * np.random.default_rng(0).standard_normal(3 * RATE)
NOISE = LONGER[: 2 * RATE]


def tagless_mp3() -> bytes:
    """An MP3 without the frame that declares its length, as simple encoders write it."""
    mp3 = encoded(NOISE, RATE, "MP3")
    return mp3[mp3.index(mp3[:2], 4) :]


AUDIO_FILES: dict[str, Callable[[], bytes]] = {
    "wav": lambda: encoded(NOISE, RATE),
    "wav, float": lambda: encoded(NOISE, RATE, subtype="FLOAT"),
    "wav, mu-law": lambda: encoded(NOISE, RATE, subtype="ULAW"),
    "wav, adpcm": lambda: encoded(NOISE, RATE, subtype="IMA_ADPCM"),
    "flac": lambda: encoded(NOISE, RATE, "FLAC"),
    "ogg": lambda: encoded(NOISE, RATE, "OGG", "VORBIS"),
    "ogg, opus": lambda: encoded(NOISE, RATE, "OGG", "OPUS"),
    "mp3": lambda: encoded(NOISE, RATE, "MP3"),
    "mp3, no length": tagless_mp3,
    "m4a": lambda: muxed(NOISE, RATE, "ipod"),
    "m4a, header first": lambda: header_first(muxed(NOISE, RATE, "ipod")),
    "mp4 in fragments": lambda: muxed(NOISE, RATE, "mp4", movflags="frag_keyframe+empty_moov", frag_duration="500000"),
    "mp4, video": lambda: muxed(NOISE, RATE, "mp4", video="mpeg4", seconds=2),
    "aac": lambda: muxed(LONGER, RATE, "adts"),  # whose last frame is a long one
    "webm": lambda: muxed(NOISE, RATE, "webm", "libopus"),
    "webm, browser": lambda: muxed(NOISE, RATE, "webm", "libopus", live="1", cluster_time_limit="500"),
    "webm, video": lambda: muxed(NOISE, RATE, "webm", "libopus", video="libvpx", seconds=2),
    "rf64": lambda: encoded(NOISE, RATE, "RF64"),
    "w64": lambda: encoded(NOISE, RATE, "W64"),
    "aiff": lambda: encoded(NOISE, RATE, "AIFF"),
    "aiff, ima 4": lambda: muxed(NOISE, RATE, "aiff", "adpcm_ima_qt"),
    "caf": lambda: encoded(NOISE, RATE, "CAF"),
    "caf, alac": lambda: encoded(NOISE, RATE, "CAF", "ALAC_16"),
    "caf, ima 4": lambda: muxed(NOISE, RATE, "caf", "adpcm_ima_qt"),
    "au": lambda: encoded(NOISE, RATE, "AU"),
    "wav with coded frames": lambda: muxed(NOISE, RATE, "wav", "libmp3lame"),
    "flac, no length": lambda: muxed(NOISE, RATE, "flac", "flac", is_pipe=True),
    "ogg, flac": lambda: muxed(NOISE, RATE, "ogg", "flac"),
    "ogg, speex": lambda: (RECORDED / "speex_narrowband.spx").read_bytes(),
    "amr": lambda: (RECORDED / "amr_narrowband.amr").read_bytes(),
    "3gp, amr": lambda: (RECORDED / "amr_narrowband.3gp").read_bytes(),
    "mp2": lambda: muxed(NOISE, RATE, "mp2", "mp2", bit_rate=64_000),
    "wma": lambda: muxed(NOISE, 44_100, "asf", "wmav2", bit_rate=64_000),
}
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)


def image_file(format: str, **options: object) -> bytes:
    file = io.BytesIO()
    mode = str(options.pop("mode", "RGB"))
    Image.fromarray(PIXELS).convert(mode).save(file, format, **options)
    return file.getvalue()


IMAGE_FILES: dict[str, Callable[[], bytes]] = {
    "png": lambda: image_file("PNG"),
    "jpeg": lambda: image_file("JPEG"),
    "jpeg, progressive": lambda: image_file("JPEG", progressive=True),
    "jpeg, print colours": lambda: image_file("JPEG", mode="CMYK"),
    "webp": lambda: image_file("WEBP"),
    "webp, lossless": lambda: image_file("WEBP", lossless=True),
    "gif": lambda: image_file("GIF"),
    "gif, animated": lambda: image_file(
        "GIF", save_all=True, append_images=[Image.fromarray(255 - PIXELS), Image.fromarray(PIXELS // 2)]
    ),
}


@cache
def file_bytes(name: str) -> bytes:
    return (AUDIO_FILES | IMAGE_FILES)[name]()


@pytest.mark.parametrize("name", AUDIO_FILES)
def test_audio_that_is_cut_short_gives_an_error_or_a_notice(name: str) -> None:
    data = file_bytes(name)
    codes = {notice.code for notice in load_audio(data)[1]}
    assert not codes & {"audio-incomplete", "audio-open-end"} or name == "mp3, no length"
    for part in range(1, 16):
        try:
            # one byte more, since half of an MP3 of equal frames ends between two of them, which looks complete
            audio, notices = load_audio(data[: len(data) * part // 16 + 1])
        except InputError as error:
            assert error.code in {"audio-damaged", "audio-format", "audio-short"}, part
        else:
            assert {notice.code for notice in notices} & {"audio-incomplete", "audio-open-end"}, part
            assert audio.seconds < 3.1


@pytest.mark.parametrize("name", IMAGE_FILES)
def test_an_image_that_is_cut_short_is_refused(name: str) -> None:
    data = file_bytes(name)
    load_image(data)
    for part in range(1, 16):
        with pytest.raises(InputError) as caught:
            load_image(data[: len(data) * part // 16])
        assert caught.value.code == "image-damaged", part


@pytest.mark.parametrize("name", [name for name in AUDIO_FILES if "mp3" not in name])
def test_audio_with_changed_bytes(name: str) -> None:
    # not MP3, whose decoder writes warnings to stderr
    random = np.random.default_rng(1)
    for attempt in range(40):
        broken = bytearray(file_bytes(name))
        reach = len(broken) if attempt % 2 else min(len(broken), 800)
        for position in random.integers(4, reach, 5):
            broken[position] = random.integers(256)
        with refused_as_a_file():
            audio, _ = load_audio(bytes(broken))
            assert 0.1 <= audio.seconds <= 60 and np.isfinite(audio.wave).all()


@pytest.mark.parametrize("name", IMAGE_FILES)
def test_an_image_with_changed_bytes(name: str) -> None:
    random = np.random.default_rng(2)
    for attempt in range(80):
        broken = bytearray(file_bytes(name))
        for position in random.integers(6, len(broken) if attempt % 2 else 80, 5):
            broken[position] = random.integers(256)
        with refused_as_a_file():
            image, _ = load_image(bytes(broken))
            assert max(image.width, image.height) <= 8_192


STARTS = (
    b"RIFF\0\1\0\0WAVE", b"fLaC", b"OggS", b"ID3", b"\xff\xf1", b"\0\0\0\x14ftypM4A \0\0\0\0\0\0\0\0",
    b"\x1a\x45\xdf\xa3\x84\x42\x86\x81\1", b"FORM\0\0\1\0AIFCCOMM\0\0\0\x12", b"\xff\xfd\x84\xc4",
    b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0", b"caff\0\1\0\0desc\0\0\0\0\0\0\0\x20", b"#!AMR\n", b"#!AMR-WB\n",
    b".snd\0\0\0\x18\xff\xff\xff\xff\0\0\0\3", b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0", b"\xff\xfb\x90\x64",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff",
    b"RIFF\0\1\0\0WEBP", b"GIF89a", b"",
)  # fmt: skip


@contextlib.contextmanager
def refused_as_a_file() -> Iterator[None]:
    """Lets an input be refused, for what is in the file: no bytes make a decoder fail in a way that nobody expected."""
    try:
        yield
    except InputError as error:
        assert error.code not in CODES, error


@given(st.sampled_from(STARTS), st.binary(max_size=400))
@settings(max_examples=150, deadline=None)
def test_arbitrary_bytes_give_an_error_or_an_input(start: bytes, rest: bytes) -> None:
    for load in (load_audio, load_image):
        with refused_as_a_file():
            load(start + rest)  # type: ignore[operator]


def test_an_aac_file_cut_anywhere_in_its_last_frame_gives_a_notice() -> None:
    data = file_bytes("aac")
    last = data.rindex(data[:2])
    assert len(data) - last > 20
    for end in range(last + 1, len(data)):
        try:
            _, notices = load_audio(data[:end])
        except InputError as error:
            assert error.code == "audio-damaged"
        else:
            assert "audio-open-end" in {notice.code for notice in notices}, len(data) - end
