"""Every format cut short at every sixteenth, and with bytes changed: a refusal or a notice, never anything else."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sound_files import encoded, header_first, muxed

from mmviz.inputs.audio import load_audio
from mmviz.inputs.image import load_image
from mmviz.types import InputError

RATE = 16_000
NOISE = 0.1 * np.random.default_rng(0).standard_normal(3 * RATE)


def tagless_mp3() -> bytes:
    """An MP3 without the frame that holds its length, as simple encoders write it."""
    mp3 = encoded(NOISE, RATE, "MP3")
    return mp3[mp3.index(mp3[:2], 4) :]


SOUNDS: dict[str, Callable[[], bytes]] = {
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
    "mp4, video": lambda: muxed(NOISE, RATE, "mp4", video="mpeg4", seconds=3),
    "aac": lambda: muxed(NOISE, RATE, "adts"),
    "webm": lambda: muxed(NOISE, RATE, "webm", "libopus"),
    "webm, browser": lambda: muxed(NOISE, RATE, "webm", "libopus", live="1", cluster_time_limit="500"),
    "webm, video": lambda: muxed(NOISE, RATE, "webm", "libopus", video="libvpx", seconds=3),
}
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)


def drawn(format: str, **options: object) -> bytes:
    file = io.BytesIO()
    mode = str(options.pop("mode", "RGB"))
    Image.fromarray(PIXELS).convert(mode).save(file, format, **options)
    return file.getvalue()


PICTURES: dict[str, Callable[[], bytes]] = {
    "png": lambda: drawn("PNG"),
    "jpeg": lambda: drawn("JPEG"),
    "jpeg, progressive": lambda: drawn("JPEG", progressive=True),
    "jpeg, print colours": lambda: drawn("JPEG", mode="CMYK"),
    "webp": lambda: drawn("WEBP"),
    "webp, lossless": lambda: drawn("WEBP", lossless=True),
    "gif": lambda: drawn("GIF"),
    "gif, animated": lambda: drawn(
        "GIF", save_all=True, append_images=[Image.fromarray(255 - PIXELS), Image.fromarray(PIXELS // 2)]
    ),
}


@cache
def whole(name: str) -> bytes:
    return (SOUNDS | PICTURES)[name]()


@pytest.mark.parametrize("name", SOUNDS)
def test_a_sound_that_is_cut_is_never_passed_over_in_silence(name: str) -> None:
    data = whole(name)
    said = {notice.code for notice in load_audio(data)[1]}
    assert not said & {"sound-incomplete", "sound-open-end"} or name == "mp3, no length"
    for part in range(1, 16):
        try:
            # and one byte more: half of an MP3 of equal frames ends between two of them, which nobody can tell
            sound, notices = load_audio(data[: len(data) * part // 16 + 1])
        except InputError as error:
            assert error.code in {"sound-damaged", "sound-format", "sound-short"}, part
        else:
            assert {notice.code for notice in notices} & {"sound-incomplete", "sound-open-end"}, part
            assert sound.seconds < 3.1


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_that_is_cut_is_refused(name: str) -> None:
    data = whole(name)
    load_image(data)
    for part in range(1, 16):
        with pytest.raises(InputError) as caught:
            load_image(data[: len(data) * part // 16])
        assert caught.value.code == "picture-damaged", part


@pytest.mark.parametrize("name", [name for name in SOUNDS if "mp3" not in name])
def test_a_sound_with_changed_bytes(name: str) -> None:
    # not MP3, whose decoder writes its complaints to stderr
    random = np.random.default_rng(1)
    for attempt in range(80):
        broken = bytearray(whole(name))
        reach = len(broken) if attempt % 2 else min(len(broken), 800)
        for place in random.integers(4, reach, 5):
            broken[place] = random.integers(256)
        with contextlib.suppress(InputError):
            sound, _ = load_audio(bytes(broken))
            assert 0.1 <= sound.seconds <= 60 and np.isfinite(sound.wave).all()


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_with_changed_bytes(name: str) -> None:
    random = np.random.default_rng(2)
    for attempt in range(80):
        broken = bytearray(whole(name))
        for place in random.integers(6, len(broken) if attempt % 2 else 80, 5):
            broken[place] = random.integers(256)
        with contextlib.suppress(InputError):
            picture, _ = load_image(bytes(broken))
            assert max(picture.width, picture.height) <= 8_192


STARTS = (
    b"RIFF\0\1\0\0WAVE", b"fLaC", b"OggS", b"ID3", b"\xff\xf1", b"\0\0\0\x14ftypM4A \0\0\0\0\0\0\0\0",
    b"\x1a\x45\xdf\xa3\x84\x42\x86\x81\1", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\1\0\0WEBP", b"GIF89a", b"",
)  # fmt: skip


@given(st.sampled_from(STARTS), st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_any_bytes(start: bytes, rest: bytes) -> None:
    for load in (load_audio, load_image):
        with contextlib.suppress(InputError):
            load(start + rest)  # type: ignore[operator]


def test_an_aac_file_that_is_cut_anywhere_in_its_last_frame() -> None:
    data = whole("aac")
    last = data.rindex(data[:2])
    assert len(data) - last > 20
    for end in range(last + 1, len(data)):
        try:
            _, notices = load_audio(data[:end])
        except InputError as error:
            assert error.code == "sound-damaged"
        else:
            assert "sound-open-end" in {notice.code for notice in notices}, len(data) - end
