"""Audio that was recorded too loud and clipped, and audio that only looks so."""

from __future__ import annotations

import numpy as np
import pytest
from audio_files import encoded, muxed, tone

from mmviz.inputs.audio import load_audio

LOUD = (("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "PCM_U8"), ("WAV", "FLOAT"), ("WAV", "ULAW"), ("FLAC", "PCM_16"))


def speech(rate: int, seconds: float = 2.0) -> np.ndarray:
    """Harmonics of 120 Hz under a slow beat, like a voice, with peak 1."""
    wave = sum(tone(120 * k, rate, seconds, 1 / k) for k in range(1, 20)) * tone(1.5, rate, seconds, 1.0)
    return wave / np.abs(wave).max()


def clipped_share(source: object, rate: int | None = None) -> float:
    """The share of clipped samples that the notice gives; 0 without a notice."""
    clipped = [notice for notice in load_audio(source, rate)[1] if notice.code == "audio-clipped"]  # type: ignore[arg-type]
    assert all("is clipped for" in str(notice) for notice in clipped)
    return float(clipped[0].parameters["share"]) if clipped else 0.0


@pytest.mark.parametrize(("format", "subtype"), LOUD)
@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_clipping_in_files(format: str, subtype: str, rate: int) -> None:
    wave = np.clip(3 * speech(rate), -1, 1)
    truth = float((np.abs(wave) == 1).mean())
    assert truth > 0.005
    assert 0.3 * truth < clipped_share(encoded(wave, rate, format, subtype)) < 1.2 * truth
    assert clipped_share(encoded(speech(rate), rate, format, subtype)) == 0


@pytest.mark.parametrize("hertz", [20, 50, 100, 440, 1_000])
@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
def test_a_smooth_peak_at_full_scale_is_not_clipped(hertz: int, rate: int) -> None:
    wave = tone(hertz, rate, 1.0, 1.0)
    for subtype in ("PCM_16", "PCM_U8", "FLOAT"):
        assert clipped_share(encoded(wave, rate, subtype=subtype)) == 0
    if rate / hertz > 40:
        assert clipped_share(encoded(np.clip(1.3 * wave, -1, 1), rate)) > 0.1


def test_clipping_in_arrays_in_one_channel_and_on_one_side() -> None:
    wave = np.clip(3 * speech(16_000), -1, 1)
    quiet = speech(16_000) / 2
    assert clipped_share(wave, 16_000) == clipped_share(np.stack((wave, wave), 1), 16_000) > 0
    assert clipped_share(np.stack((quiet, wave), 1), 16_000) == pytest.approx(clipped_share(wave, 16_000) / 2)
    assert clipped_share(np.minimum(wave, 0.3), 16_000) > 0, "on one side alone"
    assert clipped_share((wave * 32_767).astype(np.int16), 16_000) > 0
    assert clipped_share(wave / 2, 16_000) == 0, "a flat top far below full scale is no clipping"


def test_a_few_samples_at_full_scale_are_no_clipping() -> None:
    wave = speech(16_000, 10.0) / 2
    wave[5_000:5_006] = 1
    assert clipped_share(wave, 16_000) == 0
    wave[5_000:5_100] = 1
    assert clipped_share(wave, 16_000) == pytest.approx(100 / 160_000)


@pytest.mark.parametrize(("format", "codec"), [("ipod", "alac"), ("matroska", "pcm_s16le"), ("matroska", "flac")])
def test_clipping_in_containers(format: str, codec: str) -> None:
    wave = np.clip(3 * speech(48_000), -1, 1)
    truth = float((np.abs(wave) == 1).mean())
    assert 0.3 * truth < clipped_share(muxed(wave, 48_000, format, codec)) < 1.2 * truth
