"""Length, tone and loudness of real sound files of every container and codec that is read, in one table."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from audio_files import encoded, muxed, tone, wav_header

from mmviz.inputs.audio import load_audio

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
    "WAV from a pipe": (ffmpeg("wav", "pcm_s16le", is_pipe=True), set()),
    "WAV from a pipe, RIFF 0": (lambda: wav_of_stopped_recorder(0, 0xFFFF_FFFF), set()),
    "RF64": (sndfile("RF64"), set()),
    "RF64, FFmpeg": (ffmpeg("wav", "pcm_s24le", rf64="always"), set()),
    "W64": (sndfile("W64"), set()),
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
    "MKV video, AAC": (ffmpeg("matroska", "aac", video="mpeg4", seconds=SECONDS), {"audio-video"}),
    "MKA, FLAC": (ffmpeg("matroska", "flac"), set()),
    "MKA, MP3": (ffmpeg("matroska", "libmp3lame"), set()),
    "WMA": (ffmpeg("asf", "wmav2", 44_100, bit_rate=64_000), set()),
    "WMA 1": (ffmpeg("asf", "wmav1", 44_100, bit_rate=64_000), set()),
}
"""The file, and the notices that are expected beside those of resampling and of a decoder's delay."""


@cache
def file_bytes(name: str) -> bytes:
    return FILES[name][0]()


@pytest.mark.parametrize("name", FILES)
def test_length_tone_and_loudness(name: str) -> None:
    assert len(FILES) >= 40
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
