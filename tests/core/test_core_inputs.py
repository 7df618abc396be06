"""Inputs, with nothing but the installed package: pictures, and one tone in the containers of phones and browsers."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from PIL import Image
from pillow_heif import register_heif_opener

import mmviz

register_heif_opener()
RATE = 16_000
SECONDS = 1.0
HERTZ = 440.0
TONE = (0.4 * np.sin(2 * np.pi * HERTZ * np.arange(int(RATE * SECONDS)) / RATE)).astype(np.float32)
BY_PYAV = {
    "m4a": ("mp4", "aac"), "aac": ("adts", "aac"), "webm": ("webm", "libopus"), "mp4": ("mp4", "aac"),
    "mov": ("mov", "aac"), "mkv": ("matroska", "aac"), "3gp": ("3gp", "aac"),
}  # fmt: skip
"""Muxer and encoder of each container that PyAV writes here."""
BY_SNDFILE = {"wav": "WAV", "flac": "FLAC", "ogg": "OGG"}


def sound_file(suffix: str) -> bytes:
    """Returns the tone in a container."""
    file = io.BytesIO()
    if suffix in BY_SNDFILE:
        soundfile.write(file, TONE, RATE, format=BY_SNDFILE[suffix])
        return file.getvalue()
    muxer, encoder = BY_PYAV[suffix]
    with av.open(file, "w", format=muxer) as container:
        stream = container.add_stream(encoder, rate=RATE, layout="mono")
        resampler = av.AudioResampler(format=stream.codec_context.format.name, layout="mono", rate=RATE)
        size = stream.codec_context.frame_size or 1_024
        for start in range(0, len(TONE), size):
            frame = av.AudioFrame.from_ndarray(TONE[None, start : start + size].copy(), format="fltp", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), start
            for resampled in resampler.resample(frame):
                container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))
    return file.getvalue()


def loudest_frequency(wave: NDArray[np.float32], rate: int) -> float:
    """Returns the frequency with the largest magnitude, in hertz."""
    return float(np.fft.rfftfreq(len(wave), 1 / rate)[np.abs(np.fft.rfft(wave)).argmax()])


@pytest.mark.parametrize("suffix", [*BY_SNDFILE, *BY_PYAV])
def test_a_tone_keeps_its_length_pitch_and_loudness(suffix: str) -> None:
    audio = mmviz.make_sample(audio=sound_file(suffix)).audio
    assert audio is not None
    assert len(audio.wave) / audio.rate == pytest.approx(SECONDS, abs=0.15)
    assert loudest_frequency(audio.wave, audio.rate) == pytest.approx(HERTZ, abs=3)
    middle = audio.wave[len(audio.wave) // 4 : -len(audio.wave) // 4]
    assert float(np.sqrt(np.mean(middle**2))) == pytest.approx(0.4 / 2**0.5, rel=0.1)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"])
def test_a_picture_keeps_its_size_and_colour(format: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (60, 40), (200, 120, 40)).save(file, format)
    image = mmviz.make_sample(image=file.getvalue()).image
    assert image is not None and image.pixels.shape == (40, 60, 3)
    assert np.abs(image.pixels.reshape(-1, 3).mean(axis=0) - (200, 120, 40)).max() < 6


def test_damage_is_said_in_a_sentence() -> None:
    with pytest.raises(mmviz.InputError) as error:
        mmviz.make_sample(audio=sound_file("wav")[:20])
    assert error.value.code == "audio-damaged"
