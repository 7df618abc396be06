"""Length, tone and loudness of real sound files of every container and codec that is read, in one table."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
from audio_files import encoded, muxed, tone, wav_header

from mmviz.inputs import pyav_decoder
from mmviz.inputs.audio import load_audio
from mmviz.types import InputError

RECORDED = Path(__file__).with_name("recorded_sounds")
"""Tones of 440 Hz, 2 s, by encoders that not every version of PyAV has: libspeex and libopencore-amrnb in 14.1."""
SECONDS, HERTZ, RMS = 2.0, 440.0, 0.5 / 2**0.5
ID3 = b"ID3\x04\0\0\0\0\x01\x02" + bytes(130)


def wave(rate: int = 16_000) -> np.ndarray:
    fade = np.minimum(1, np.minimum(np.arange(SECONDS * rate), np.arange(SECONDS * rate)[::-1]) / (0.05 * rate))
    return tone(HERTZ, rate, SECONDS) * fade  # lossy encoders ring at a hard start


def sndfile(format: str, subtype: str | None = None, rate: int = 16_000) -> Callable[[], bytes]:
    return lambda: encoded(wave(rate), rate, format, subtype)


def ffmpeg(format: str, codec: str, rate: int = 16_000, **options: object) -> Callable[[], bytes]:
    return lambda: muxed(wave(rate), rate, format, codec, **options)  # type: ignore[arg-type]


def recorded(name: str) -> Callable[[], bytes]:
    return (RECORDED / name).read_bytes


def wav_of_stopped_recorder(riff_size: int, data_size: int) -> bytes:
    header = bytearray(wav_header(size=data_size))
    struct.pack_into("<I", header, 4, riff_size)
    return bytes(header) + np.round(wave() * 32_767).astype("<i2").tobytes()


def quicktime_without_type() -> bytes:
    """A film of early QuickTime, which has no box of its type."""
    data = muxed(wave(), 16_000, "mov", "pcm_s16le")
    length = struct.unpack_from(">I", data)[0]
    return struct.pack(">I4s", length, b"wide") + bytes(length - 8) + data[length:]


NO_TAG = {"write_xing": "0", "id3v2_version": "0"}
FILES: dict[str, tuple[Callable[[], bytes], set[str]]] = {
    "WAV, 16 bits": (sndfile("WAV"), set()),
    "WAV, 24 bits": (sndfile("WAV", "PCM_24"), set()),
    "WAV, 8 bits": (sndfile("WAV", "PCM_U8"), set()),
    "WAV, float": (sndfile("WAV", "FLOAT"), set()),
    "WAV, mu-law": (sndfile("WAV", "ULAW"), set()),
    "WAV, A-law": (sndfile("WAV", "ALAW"), set()),
    "WAV, IMA ADPCM": (sndfile("WAV", "IMA_ADPCM"), set()),
    "WAV, Microsoft ADPCM": (sndfile("WAV", "MS_ADPCM"), set()),
    "WAV, GSM": (sndfile("WAV", "GSM610", 8_000), set()),
    "WAV with MP3": (ffmpeg("wav", "libmp3lame"), {"audio-delay"}),
    "WAV of a stopped recorder, sizes 0": (lambda: wav_of_stopped_recorder(0, 0), {"audio-open-end"}),
    "WAV of a stopped recorder, data 0": (lambda: wav_of_stopped_recorder(36, 0), {"audio-open-end"}),
    "WAV with a size, data 0": (lambda: wav_of_stopped_recorder(36 + 64_000, 0), set()),
    "WAV from a pipe": (ffmpeg("wav", "pcm_s16le", is_pipe=True), set()),
    "WAV from a pipe, RIFF 0": (lambda: wav_of_stopped_recorder(0, 0xFFFF_FFFF), set()),
    "RF64": (sndfile("RF64"), set()),
    "RF64, FFmpeg": (ffmpeg("wav", "pcm_s24le", rf64="always"), set()),
    "RF64 from a pipe": (ffmpeg("wav", "pcm_s16le", rf64="always", is_pipe=True), set()),
    "W64": (sndfile("W64"), set()),
    "W64 from a pipe": (ffmpeg("w64", "pcm_s16le", is_pipe=True), set()),
    "AIFF": (sndfile("AIFF"), set()),
    "AIFF, FFmpeg": (ffmpeg("aiff", "pcm_s16be"), set()),
    "AIFC, little endian": (ffmpeg("aiff", "pcm_s16le"), set()),
    "AIFC, IMA 4": (ffmpeg("aiff", "adpcm_ima_qt"), set()),
    "AIFC, mu-law": (sndfile("AIFF", "ULAW"), set()),
    "CAF": (sndfile("CAF"), set()),
    "CAF, ALAC": (sndfile("CAF", "ALAC_16"), set()),
    "CAF, IMA 4": (ffmpeg("caf", "adpcm_ima_qt"), set()),
    "CAF from a pipe": (ffmpeg("caf", "pcm_s16le", is_pipe=True), set()),
    "AU": (sndfile("AU"), set()),
    "AU, mu-law": (sndfile("AU", "ULAW", 8_000), set()),
    "AU from a pipe": (ffmpeg("au", "pcm_s16be", is_pipe=True), set()),
    "FLAC": (sndfile("FLAC"), set()),
    "FLAC from a pipe": (ffmpeg("flac", "flac", is_pipe=True), set()),
    "FLAC behind an ID3 tag": (lambda: ID3 + sndfile("FLAC")(), set()),
    "FLAC from a pipe behind an ID3 tag": (lambda: ID3 + ffmpeg("flac", "flac", is_pipe=True)(), set()),
    "OGG, FLAC": (ffmpeg("ogg", "flac"), set()),
    "OGG, Vorbis": (sndfile("OGG", "VORBIS"), set()),
    "OGG, Opus": (sndfile("OGG", "OPUS"), set()),
    "OGG, Speex of 16 kHz": (recorded("speex_wideband.spx"), set()),
    "OGG, Speex of 8 kHz": (recorded("speex_narrowband.spx"), set()),
    "MP3": (sndfile("MP3"), set()),
    "MP3, LAME": (ffmpeg("mp3", "libmp3lame"), set()),
    "MP3 without a tag": (ffmpeg("mp3", "libmp3lame", **NO_TAG), {"audio-delay"}),
    "MP3 without a tag, 44.1 kHz": (ffmpeg("mp3", "libmp3lame", 44_100, **NO_TAG), {"audio-delay"}),
    "MP3 from a pipe": (ffmpeg("mp3", "libmp3lame", is_pipe=True), {"audio-delay"}),
    "MP2": (ffmpeg("mp2", "mp2", bit_rate=64_000), {"audio-delay"}),
    "AAC": (ffmpeg("adts", "aac", 48_000), {"audio-delay"}),
    "M4A": (ffmpeg("ipod", "aac"), set()),
    "M4A, ALAC": (ffmpeg("ipod", "alac"), set()),
    "MP4 video": (ffmpeg("mp4", "aac", video="mpeg4", seconds=SECONDS), {"audio-video"}),
    "MP4, FLAC": (ffmpeg("mp4", "flac"), set()),
    "MP4, MP3": (ffmpeg("mp4", "libmp3lame"), set()),
    "MOV, PCM": (ffmpeg("mov", "pcm_s16le"), set()),
    "QuickTime without a type": (quicktime_without_type, set()),
    "3GP, AAC": (ffmpeg("3gp", "aac"), set()),
    "3GP, AMR": (recorded("amr_narrowband.3gp"), set()),
    "AMR": (recorded("amr_narrowband.amr"), set()),
    "WebM, Opus": (ffmpeg("webm", "libopus", 48_000), set()),
    "WebM of a browser": (ffmpeg("webm", "libopus", 48_000, live="1"), set()),
    "MKV video, AAC": (ffmpeg("matroska", "aac", 48_000, video="mpeg4", seconds=SECONDS), {"audio-video"}),
    "MKA, FLAC": (ffmpeg("matroska", "flac"), set()),
    "MKA, MP3": (ffmpeg("matroska", "libmp3lame"), set()),
    "WMA": (ffmpeg("asf", "wmav2", 44_100, bit_rate=64_000), set()),
    "WMA from a pipe": (ffmpeg("asf", "wmav2", 44_100, bit_rate=64_000, is_pipe=True), set()),
    "WMA 1": (ffmpeg("asf", "wmav1", 44_100, bit_rate=64_000), set()),
}
"""The file, and the notices that are expected beside those of resampling and of a decoder's delay."""


@cache
def file_bytes(name: str) -> bytes:
    return FILES[name][0]()


@pytest.mark.parametrize("name", FILES)
def test_length_tone_and_loudness(name: str) -> None:
    assert len(FILES) >= 40
    if name == "OGG, Speex of 16 kHz" and av.library_versions["libavcodec"][0] < 62:
        pytest.skip("FFmpeg before 8 decodes it wrongly, and it is refused")
    audio, notices = load_audio(file_bytes(name))
    middle = audio.wave[4_000:28_000].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    codes = {notice.code for notice in notices} - {"audio-resampled"}
    # an encoder that works by blocks fills up its last one
    assert audio.seconds == pytest.approx(SECONDS, abs=0.1)
    assert spectrum.argmax() * audio.rate / len(middle) == pytest.approx(HERTZ, abs=1)
    tolerance = 0.2 if "AMR" in name else 0.06  # AMR is made for speech
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(RMS, rel=tolerance)
    assert codes == FILES[name][1]


def test_a_decoder_that_seeks_by_a_wrong_size_causes_no_exception(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", raised.append)  # Python prints what a callback of C raises
    data = bytearray(file_bytes("W64"))
    for size in (1 << 61, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 0):
        struct.pack_into("<Q", data, data.index(b"data\xf3\xac") + 16, size)
        (tmp_path / "recording.w64").write_bytes(data)
        with suppress(InputError):
            load_audio(tmp_path / "recording.w64")
    assert not raised


def test_a_decoder_of_mp3_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(file_bytes("MP3"))
    for at in range(1_000, len(data), 700):
        data[at : at + 8] = b"\xff\xfb\xff\xff\0\0\0\0"
    for changed in (bytes(data), bytes(data[: len(data) // 2]), file_bytes("MP3")[:-300] + b"TAG" + bytes(300)):
        with suppress(InputError):
            load_audio(changed)
    os.write(2, b"written afterwards")
    assert capfd.readouterr().err == "written afterwards"


def test_a_file_without_an_ending_is_read_by_its_bytes(tmp_path: Path) -> None:
    for number, name in enumerate(("W64", "MP3 without a tag", "OGG, Speex of 8 kHz", "AMR", "WMA")):
        path = tmp_path / f"recording{number}"
        path.write_bytes(file_bytes(name))
        assert load_audio(path)[0].seconds == pytest.approx(SECONDS, abs=0.1)


# length that no header declares


def speech_like(seconds: float) -> np.ndarray:
    """Bursts of noise and silence, which an encoder of variable bit rate gives frames of very different sizes."""
    noise = 0.1 * np.random.default_rng(0).standard_normal(round(seconds * 16_000))
    return noise * (np.arange(len(noise)) // 8_000 % 4 == 0)


@pytest.mark.parametrize("seconds", [4.4, 8.0, 9.0, 59.0])
def test_mp3_of_variable_bit_rate_without_a_tag_is_read_whole(seconds: float) -> None:
    data = muxed(speech_like(seconds), 16_000, "mp3", "libmp3lame", quality=4, **NO_TAG)
    audio, notices = load_audio(data)
    assert audio.seconds == pytest.approx(seconds, abs=0.15)
    assert [notice.code for notice in notices] == ["audio-delay"]
    last = round((seconds // 2 * 2 - 2) * 16_000)  # the beginning of the last whole burst
    assert (
        np.abs(audio.wave[last + 2_000 : last + 7_000]).max()
        > 0.1
        > np.abs(audio.wave[last - 6_000 : last - 1_000]).max()
    )


def test_mp3_files_one_after_another_are_read_to_the_end() -> None:
    audio, notices = load_audio(file_bytes("MP3, LAME") + file_bytes("MP3, LAME"))
    assert audio.seconds == pytest.approx(2 * SECONDS, abs=0.3)
    assert "audio-incomplete" not in {notice.code for notice in notices}


@pytest.mark.parametrize("name", ["FLAC", "FLAC from a pipe", "WMA", "W64", "AIFF", "CAF", "CAF, ALAC", "OGG, FLAC"])
def test_what_is_there_of_a_file_that_was_cut_is_read(name: str) -> None:
    data = file_bytes(name)
    audio, notices = load_audio(data[: round(0.6 * len(data))])
    assert 0.3 * SECONDS < audio.seconds < 0.8 * SECONDS
    said = {notice.code: notice for notice in notices}
    assert {"audio-incomplete", "audio-open-end"} & set(said)
    if name in ("FLAC", "WMA"):
        assert said["audio-incomplete"].parameters["promised"] == pytest.approx(SECONDS, abs=0.1)


@pytest.mark.parametrize("name", ["FLAC", "FLAC from a pipe", "OGG, Vorbis", "OGG, Opus", "OGG, FLAC"])
def test_flac_and_ogg_files_one_after_another_are_read_to_the_end(name: str) -> None:
    silence = {"FLAC": "FLAC", "OGG, Vorbis": "OGG", "OGG, Opus": "OGG"}.get(name)
    first = file_bytes(name) if silence is None else encoded(np.zeros(8_000), 16_000, silence, name[5:].upper() or None)
    audio, notices = load_audio(first + file_bytes(name))
    assert audio.seconds == pytest.approx(SECONDS + (2.0 if silence is None else 0.5), abs=0.02)
    assert np.sqrt(np.mean(audio.wave[-24_000:-4_000] ** 2)) == pytest.approx(RMS, rel=0.06)
    assert {notice.code for notice in notices} <= {"audio-resampled"}


@pytest.mark.parametrize(("name", "format", "subtype"), [("FLAC", "FLAC", "PCM_16"), ("OGG, Vorbis", "OGG", "VORBIS")])
def test_files_of_several_rates_one_after_another_are_refused(name: str, format: str, subtype: str) -> None:
    with pytest.raises(InputError) as caught:
        load_audio(file_bytes(name) + encoded(wave(44_100), 44_100, format, subtype))
    assert caught.value.code == "audio-changes"


@pytest.mark.parametrize("name", ["MP3 without a tag", "MP3 without a tag, 44.1 kHz", "MP2", "AAC"])
@pytest.mark.parametrize("change", ["in the middle of a frame", "zeros"])
def test_frames_that_begin_late_are_read(name: str, change: str) -> None:
    data = file_bytes(name)
    audio, notices = load_audio(data[100:] if change != "zeros" else bytes(500) + data)
    assert audio.seconds == pytest.approx(SECONDS, abs=0.15)
    said = {notice.code: notice for notice in notices}
    assert 0 < said["audio-late-start"].parameters["bytes"] <= 8_191
    assert np.sqrt(np.mean(audio.wave[8_000:24_000] ** 2)) == pytest.approx(RMS, rel=0.06)


def test_what_looks_like_a_few_frames_is_no_sound() -> None:
    random = np.random.default_rng(0)
    for data in (b"\xff\xfb\x90\x00" * 500, random.bytes(200_000), b"\xff" * 100_000, b"hello\n" * 1_000):
        with pytest.raises(InputError) as caught:
            load_audio(b"\0" + data)
        assert caught.value.code == "audio-unknown"


def test_long_sounds_without_a_length_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    silence = np.zeros(70 * 8_000)
    with pytest.raises(InputError) as caught:
        load_audio(muxed(silence, 8_000, "flac", "flac", is_pipe=True))
    assert caught.value.code == "audio-longer"
    data = muxed(silence, 8_000, "mp3", "libmp3lame", **NO_TAG)
    monkeypatch.setattr(pyav_decoder.Track, "blocks", None)  # the frames are counted, and none is decoded
    with pytest.raises(InputError) as caught:
        load_audio(data)
    assert caught.value.code == "audio-long" and caught.value.parameters["seconds"] == pytest.approx(70, abs=0.5)


def test_an_empty_wav_is_no_recording_that_was_stopped() -> None:
    listing = b"LIST" + struct.pack("<I", 4_000) + bytes(4_000)
    header = bytearray(wav_header(size=0))
    struct.pack_into("<I", header, 4, len(header) + len(listing) - 8)
    with pytest.raises(InputError) as caught:
        load_audio(bytes(header) + listing)
    assert caught.value.code == "audio-damaged"


def test_amr_of_wide_band() -> None:
    data = b"#!AMR-WB\n" + b"\x7c" * 100  # frames of 20 ms without data
    audio, notices = load_audio(data)
    assert audio.seconds == SECONDS and [notice.code for notice in notices] == ["audio-silent"]


def test_a_codec_that_is_not_decoded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyav_decoder, "_CODECS", ["aac"])  # as of a build of FFmpeg without the others
    for name, codec in (("AMR", "AMR"), ("3GP, AMR", "AMR"), ("OGG, Speex of 8 kHz", "Speex"), ("WMA", "WMA")):
        with pytest.raises(InputError, match=f"encoded as {codec}, which") as caught:
            load_audio(file_bytes(name))
        assert "WAV or M4A" in str(caught.value)
    with pytest.raises(InputError, match="encoded as AMR-WB, which"):
        load_audio(b"#!AMR-WB\n" + b"\x7c" * 100)


# formats that are not read


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"MThd\0\0\0\x06\0\1\0\1\1\xe0MTrk", "MIDI"),
        (b"RIFF\0\1\0\0RMIDdata", "MIDI"),
        (b".RMF\0\0\0\x12\0\0", "RealAudio"),
        (b".ra\xfd\0\4", "RealAudio"),
        (b"DSD \x1c\0\0\0", "DSD"),
        (b"FRM8\0\0\0\0\0\0\1\0DSD ", "DSD"),
        (b"MAC \x96\x0f", "Monkey's Audio"),
        (b"wvpk\0\1\0\0", "WavPack"),
        (b"TTA1\1\0", "True Audio"),
        (b"MPCKSH", "Musepack"),
        (b"\x02#!SILK_V3", "SILK"),
        (b"\x0b\x77\x12\x34", "AC-3"),
        (b"\x7f\xfe\x80\x01\xfc", "DTS"),
        (b"FLV\1\5\0\0\0\x09", "Flash video"),
        (b"RIFF\0\1\0\0AVI LIST", "AVI"),
        (b"\0\0\1\xba\x44", "MPEG program stream"),
        ((b"G\x40\0\x10" + bytes(184)) * 4, "MPEG transport stream"),
        (b"#EXTM3U\nhttp://a/b.mp3", "playlist"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"PK\3\4", "ZIP"),
        (b"RIFX\0\1\0\0WAVEfmt ", "RIFX"),
        (sndfile("AVR")(), "AVR"),
        (sndfile("PAF")(), "PAF"),
        (sndfile("IRCAM")(), "IRCAM"),
        (sndfile("SVX", "PCM_16")(), "IFF 16SV"),
        (sndfile("MAT5")(), "MATLAB"),
        (b"%PDF-1.7", "PDF"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_known_format_that_is_not_read_is_named(data: bytes, name: str) -> None:
    with pytest.raises(InputError) as caught:
        load_audio(data)
    assert caught.value.code == "audio-format" and f"in the {name} format" in str(caught.value)
