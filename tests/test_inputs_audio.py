"""Audio inputs: formats, errors, resampling and mixing."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio_files import encoded, tone, wav_header

from mmviz.inputs.audio import load_audio
from mmviz.types import AudioInput, InputError, Notice


def codes(notices: tuple[Notice, ...]) -> list[str]:
    for notice in notices:
        assert str(notice)  # every code has a sentence that its parameters fit
    return [notice.code for notice in notices]


def refusal(source: object, rate: object = None) -> InputError:
    with pytest.raises(InputError) as caught:
        load_audio(source, rate)  # type: ignore[arg-type]
    return caught.value


def amplitude(audio: AudioInput, hertz: float) -> float:
    """Amplitude at one frequency in the middle of the audio, away from its edges."""
    middle = audio.wave[1_600:-1_600].astype(np.float64)
    window = np.hanning(len(middle))
    phase = np.exp(-2j * np.pi * hertz * np.arange(len(middle)) / audio.rate)
    return float(2 * abs((middle * window * phase).sum()) / window.sum())


FORMATS = [
    ("WAV", "PCM_16", 1e-4),
    ("WAV", "PCM_24", 1e-6),
    ("WAV", "PCM_U8", 0.01),
    ("WAV", "FLOAT", 1e-6),
    ("WAV", "ULAW", 0.02),
    ("WAVEX", "PCM_16", 1e-4),
    ("FLAC", "PCM_16", 1e-4),
    ("OGG", "VORBIS", 0.03),
    ("OGG", "OPUS", 0.03),
    ("MP3", "MPEG_LAYER_III", 0.03),
]


@pytest.mark.parametrize(("format", "subtype", "tolerance"), FORMATS)
def test_every_format_is_read(format: str, subtype: str, tolerance: float, tmp_path: Path) -> None:
    wave = tone(440, 16_000) * np.hanning(16_000)  # lossy formats ring at a hard end
    data = encoded(wave, 16_000, format, subtype)
    (tmp_path / "audio.raw").write_bytes(data)  # the header decides, not the name
    for source in (data, bytearray(data), tmp_path / "audio.raw", str(tmp_path / "audio.raw")):
        audio, notices = load_audio(source)  # type: ignore[arg-type]
        assert notices == () and audio.rate == 16_000 and audio.seconds == 1.0
        assert audio.wave.dtype == np.float32 and audio.wave.shape == (16_000,)
        assert np.abs(audio.wave - wave).max() < tolerance


def test_arrays_of_every_type_are_read() -> None:
    wave = tone(440, 16_000)
    for array, tolerance in (
        (wave, 1e-7),
        (wave.astype(np.float32), 1e-7),
        (wave.astype(np.float16), 1e-3),
        (np.round(wave * 32_768).astype(np.int16), 1e-4),
        (np.round(wave * 2.0**31).astype(np.int32), 1e-7),
        (wave[:, None], 1e-7),
    ):
        audio, notices = load_audio(array, 16_000)
        assert notices == () and np.abs(audio.wave - wave).max() < tolerance
        assert not np.shares_memory(audio.wave, array)
        with pytest.raises(ValueError):
            audio.wave[0] = 0


@pytest.mark.parametrize(
    ("array", "rate", "code"),
    [
        (np.zeros(16_000), None, "audio-no-rate"),
        (np.zeros(16_000), 16_000.5, "audio-rate-value"),
        (np.zeros(16_000), float("nan"), "audio-rate-value"),
        (np.zeros(16_000), float("inf"), "audio-rate-value"),
        (np.zeros(16_000), "16000", "audio-rate-value"),
        (np.zeros(16_000), True, "audio-rate-value"),
        (np.zeros(16_000), 7_999, "audio-rate"),
        (np.zeros(192_001), 192_001, "audio-rate"),
        (np.zeros(16_000), -16_000, "audio-rate"),
        (np.zeros((16_000, 9)), 16_000, "audio-channels"),
        (np.zeros((16_000, 0)), 16_000, "audio-channels"),
        (np.zeros((2, 16_000)), 16_000, "audio-sideways"),
        (np.zeros((4_000, 2, 2)), 16_000, "audio-array"),
        (np.zeros(16_000, np.uint8), 16_000, "audio-array"),
        (np.zeros(16_000, complex), 16_000, "audio-array"),
        (np.zeros(0), 16_000, "audio-short"),
        (np.zeros(1_599), 16_000, "audio-short"),
        (np.zeros(60 * 8_000 + 1), 8_000, "audio-long"),
        (np.array([0.0] * 1_600 + [np.nan]), 16_000, "audio-not-finite"),
        (np.array([0.0] * 70_000 + [np.inf]), 16_000, "audio-not-finite"),
        (np.full(16_000, 1e300), 16_000, "audio-not-finite"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_unusable_arrays_are_refused(array: np.ndarray, rate: object, code: str) -> None:
    assert refusal(array, rate).code == code


def test_values_at_the_limits_are_accepted() -> None:
    assert load_audio(np.zeros(1_600), 16_000)[0].seconds == 0.1
    assert load_audio(np.zeros(60 * 8_000), 8_000)[0].seconds == 60.0
    assert load_audio(np.zeros(19_200, np.float32), 192_000)[0].wave.shape == (1_600,)
    assert load_audio(np.zeros((1_600, 8)), np.int64(16_000))[0].seconds == 0.1  # type: ignore[arg-type]


# limits, from the header alone


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        (wav_header(size=600 * 32_000), "audio-long", "600.0 s long. mmviz accepts at most 60 s"),
        (wav_header(size=600 * 32_000, extra=b"LIST\x03\0\0\0abc\0"), "audio-long", "600.0 s"),
        (wav_header(rate=4_000, size=8_000) + bytes(8_000), "audio-rate", "4,000 Hz"),
        (wav_header(rate=200_000, size=80_000) + bytes(80_000), "audio-rate", "8,000 to 192,000"),
        (wav_header(channels=9, size=36_000) + bytes(36_000), "audio-channels", "9 channels"),
        (wav_header(size=3_000) + bytes(3_000), "audio-short", "0.094 s"),
        (wav_header(size=32_000) + bytes(2_000), "audio-damaged", "damaged"),
        (wav_header(size=32_000), "audio-damaged", "damaged"),
        (encoded(np.zeros(0), 16_000), "audio-damaged", "damaged"),
        (encoded(np.zeros(1_000), 16_000, "FLAC"), "audio-short", "0.062 s"),
        (wav_header(tag=0x1234, size=32_000) + bytes(32_000), "audio-codec-unknown", "cannot decode"),
        (encoded(np.zeros(61 * 8_000), 8_000, "FLAC"), "audio-long", "61.0 s"),
        (encoded(np.zeros(61 * 8_000), 8_000, "OGG"), "audio-long", "61.0 s"),
        (encoded(np.zeros(61 * 8_000), 8_000, "MP3"), "audio-long", "61.0 s"),
    ],
    ids=lambda value: "bytes" if isinstance(value, bytes) else value,
)
def test_files_beyond_the_limits_are_refused(data: bytes, code: str, message: str) -> None:
    error = refusal(data)
    assert error.code == code and message in str(error)


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3"])
def test_limits_are_checked_before_decoding(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*args: object, **options: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(soundfile.SoundFile, "read", read)
    assert refusal(encoded(np.zeros(61 * 8_000), 8_000, format)).code == "audio-long"


def test_a_wav_from_a_pipe_has_no_declared_length() -> None:
    wave = np.round(tone(440, 16_000) * 32_767).astype("<i2")
    for size in (0xFFFF_FFFF, 0x7FFF_FFFF, 0x7FFF_F000):
        audio, notices = load_audio(wav_header(size=size) + wave.tobytes())
        assert audio.seconds == 1.0 and notices == ()
    assert refusal(wav_header(size=0xFFFF_FFFF) + bytes(61 * 32_000)).code == "audio-long"


# files that are incomplete, or no audio


def test_files_that_are_cut_short() -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 32_000)
    for format, parts in (("FLAC", (0.01,)), ("OGG", (0.01, 0.3))):
        data = encoded(noise, 16_000, format)
        for part in parts:
            assert refusal(data[: int(len(data) * part)]).code == "audio-damaged"
    for format in ("WAV", "MP3"):
        data = encoded(noise, 16_000, format)
        audio, notices = load_audio(data[: len(data) // 2])
        assert 0.8 < audio.seconds < 1.1 and audio.seconds == len(audio.wave) / 16_000
        assert codes(notices) == ["audio-incomplete"]
        assert notices[0].parameters == {"seconds": audio.seconds, "promised": 2.0}


def test_audio_without_a_proper_end() -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 320_000)
    ogg = encoded(noise, 16_000, "OGG")
    audio, notices = load_audio(ogg[: len(ogg) * 7 // 10])
    assert 10 < audio.seconds < 15 and codes(notices) == ["audio-open-end"]
    noise *= 0.5  # lossy peaks stay below full scale
    noise[:16_000] *= 0.01
    mp3 = encoded(noise, 16_000, "MP3")
    assert codes(load_audio(mp3 + b"TAG" + bytes(125))[1]) == []
    headless = mp3[mp3.index(mp3[:2], 4) :]  # without the frame that declares the length
    audio, notices = load_audio(headless)
    assert audio.seconds == pytest.approx(20, abs=0.1) and codes(notices) == ["audio-delay"]
    audio, notices = load_audio(headless[: len(headless) // 2 + 1])
    assert audio.seconds == pytest.approx(10, rel=0.3) and codes(notices) == ["audio-delay", "audio-open-end"]


def test_changed_bytes_raise_nothing_but_input_errors() -> None:
    random = np.random.default_rng(1)
    wave = random.uniform(-0.5, 0.5, 8_000)
    for format in ("WAV", "FLAC", "OGG"):  # not MP3, whose decoder writes warnings to stderr
        data = encoded(wave, 16_000, format)
        for _ in range(60):
            broken = bytearray(data)
            for position in random.integers(4, min(len(data), 400), 4):
                broken[position] = random.integers(256)
            with contextlib.suppress(InputError):
                load_audio(bytes(broken))


def test_files_that_are_no_audio(tmp_path: Path) -> None:
    assert refusal(b"").code == "audio-empty"
    assert refusal(b"hello, this is not a sound").code == "audio-unknown"
    assert refusal(b"\xff").code == "audio-unknown"
    for start in (b"RIFF\0\0\0\0WAVE", b"fLaC", b"OggS", b"ID3"):
        assert refusal(start).code == "audio-damaged"
    assert refusal([0.0] * 16_000).code == "audio-source"
    assert refusal(encoded(np.zeros(16_000), 16_000), 16_000).code == "audio-rate-known"
    (tmp_path / "empty.wav").write_bytes(b"")
    assert refusal(tmp_path / "empty.wav").code == "audio-empty"
    assert refusal(tmp_path).code == "file-folder"
    assert refusal(tmp_path / "none.wav").code == "file-missing"


def test_files_are_closed(tmp_path: Path) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("open files are counted in /proc")
    (tmp_path / "good.wav").write_bytes(encoded(np.zeros(16_000), 16_000))
    (tmp_path / "bad.wav").write_bytes(wav_header(size=600 * 32_000))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        load_audio(tmp_path / "good.wav")
        refusal(tmp_path / "bad.wav")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_with_values_that_are_not_finite_is_refused() -> None:
    wave = np.zeros(16_000, np.float32)
    wave[9_000] = np.nan
    assert refusal(encoded(wave, 16_000, "WAV", "FLOAT")).code == "audio-not-finite"


# resampling


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_resampling_keeps_a_tone(rate: int) -> None:
    audio, notices = load_audio(tone(1_000, rate), rate)
    assert codes(notices) == ["audio-resampled"] and notices[0].parameters == {"rate": rate, "kept": 16_000}
    assert audio.seconds == 1.0 and abs(len(audio.wave) - 16_000) <= 1
    assert amplitude(audio, 1_000) == pytest.approx(0.5, rel=1e-3)
    rest = audio.wave[1_600:-1_600] - tone(1_000, 16_000)[1_600 : len(audio.wave) - 1_600]
    assert np.abs(rest).max() < 1e-3, "same phase, nothing added"


@pytest.mark.parametrize("hertz", [8_600, 10_000, 15_000, 20_000])
def test_resampling_removes_a_tone_above_half_the_rate(hertz: int) -> None:
    audio, _ = load_audio(tone(hertz, 44_100), 44_100)
    assert amplitude(audio, 16_000 - hertz) < 5e-5
    assert np.abs(audio.wave[1_600:-1_600]).max() < 5e-4


def test_resampling_keeps_a_click_in_its_place() -> None:
    click = np.zeros(44_100)
    click[round(0.4321 * 44_100)] = 0.9
    audio, _ = load_audio(click, 44_100)
    assert abs(np.abs(audio.wave).argmax() / 16_000 - 0.4321) < 1 / 16_000


def test_the_length_in_seconds_is_exact() -> None:
    audio, _ = load_audio(encoded(np.zeros(12_345), 44_100))
    assert audio.seconds == 12_345 / 44_100


# mixing and loudness


def test_channels_are_averaged() -> None:
    left, right = tone(500, 16_000, amplitude=0.4), tone(2_000, 16_000, amplitude=0.2)
    stereo = np.stack((left, right), 1)
    for source, rate in ((stereo, 16_000), (encoded(stereo, 16_000, subtype="FLOAT"), None)):
        audio, notices = load_audio(source, rate)
        assert codes(notices) == ["audio-mixed"] and notices[0].parameters == {"channels": 2}
        assert np.abs(audio.wave - (left + right) / 2).max() < 1e-6


def test_mixing_by_block_loses_nothing() -> None:
    noise = np.random.default_rng(3).uniform(-0.5, 0.5, (200_001, 3))
    for source, rate in ((noise, 16_000), (encoded(noise, 16_000, subtype="DOUBLE"), None)):
        assert np.abs(load_audio(source, rate)[0].wave - noise.mean(1)).max() < 1e-6


def test_channels_that_cancel_give_a_notice() -> None:
    left = tone(500, 16_000)
    assert codes(load_audio(np.stack((left, -left), 1), 16_000)[1]) == ["audio-mixed", "audio-cancels"]
    assert codes(load_audio(np.stack((left, -0.9 * left), 1), 16_000)[1]) == ["audio-mixed"]
    alone = np.zeros((16_000, 8))
    alone[:, 3] = left
    assert codes(load_audio(alone, 16_000)[1]) == ["audio-mixed"]


def test_silence_gives_a_notice() -> None:
    assert codes(load_audio(np.zeros(16_000), 16_000)[1]) == ["audio-silent"]
    assert codes(load_audio(tone(500, 16_000, amplitude=5e-5), 16_000)[1]) == ["audio-silent"]
    assert codes(load_audio(tone(500, 16_000, amplitude=5e-4), 16_000)[1]) == []
    assert codes(load_audio(np.zeros((16_000, 2)), 16_000)[1]) == ["audio-mixed", "audio-silent"]


def test_audio_beyond_full_scale_is_scaled_down_not_clipped() -> None:
    audio, notices = load_audio(tone(500, 16_000, amplitude=4.0), 16_000)
    assert codes(notices) == ["audio-quieter"] and notices[0].parameters["peak"] == pytest.approx(4, rel=1e-3)
    assert np.abs(audio.wave).max() == 1 and amplitude(audio, 500) == pytest.approx(1, rel=1e-3)
