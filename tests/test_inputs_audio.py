"""Sounds: every format, every refusal, and what resampling and mixing leave behind."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sound_files import encoded, tone, wav_header

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


def amplitude(sound: AudioInput, hertz: float) -> float:
    """Amplitude at one frequency in the middle of a sound, where no edge disturbs."""
    middle = sound.wave[1_600:-1_600].astype(np.float64)
    window = np.hanning(len(middle))
    turn = np.exp(-2j * np.pi * hertz * np.arange(len(middle)) / sound.rate)
    return float(2 * abs((middle * window * turn).sum()) / window.sum())


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
def test_formats(format: str, subtype: str, tolerance: float, tmp_path: Path) -> None:
    wave = tone(440, 16_000) * np.hanning(16_000)  # a hard end makes lossy formats ring
    data = encoded(wave, 16_000, format, subtype)
    (tmp_path / "sound.raw").write_bytes(data)  # the header decides, not the name
    for source in (data, bytearray(data), tmp_path / "sound.raw", str(tmp_path / "sound.raw")):
        sound, notices = load_audio(source)  # type: ignore[arg-type]
        assert notices == () and sound.rate == 16_000 and sound.seconds == 1.0
        assert sound.wave.dtype == np.float32 and sound.wave.shape == (16_000,)
        assert np.abs(sound.wave - wave).max() < tolerance


def test_arrays() -> None:
    wave = tone(440, 16_000)
    for array, tolerance in (
        (wave, 1e-7),
        (wave.astype(np.float32), 1e-7),
        (wave.astype(np.float16), 1e-3),
        (np.round(wave * 32_768).astype(np.int16), 1e-4),
        (np.round(wave * 2.0**31).astype(np.int32), 1e-7),
        (wave[:, None], 1e-7),
    ):
        sound, notices = load_audio(array, 16_000)
        assert notices == () and np.abs(sound.wave - wave).max() < tolerance
        assert not np.shares_memory(sound.wave, array)
        with pytest.raises(ValueError):
            sound.wave[0] = 0


@pytest.mark.parametrize(
    ("array", "rate", "code"),
    [
        (np.zeros(16_000), None, "sound-no-rate"),
        (np.zeros(16_000), 16_000.5, "sound-rate-value"),
        (np.zeros(16_000), float("nan"), "sound-rate-value"),
        (np.zeros(16_000), float("inf"), "sound-rate-value"),
        (np.zeros(16_000), "16000", "sound-rate-value"),
        (np.zeros(16_000), True, "sound-rate-value"),
        (np.zeros(16_000), 7_999, "sound-rate"),
        (np.zeros(192_001), 192_001, "sound-rate"),
        (np.zeros(16_000), -16_000, "sound-rate"),
        (np.zeros((16_000, 9)), 16_000, "sound-channels"),
        (np.zeros((16_000, 0)), 16_000, "sound-channels"),
        (np.zeros((2, 16_000)), 16_000, "sound-sideways"),
        (np.zeros((4_000, 2, 2)), 16_000, "sound-array"),
        (np.zeros(16_000, np.uint8), 16_000, "sound-array"),
        (np.zeros(16_000, complex), 16_000, "sound-array"),
        (np.zeros(0), 16_000, "sound-short"),
        (np.zeros(1_599), 16_000, "sound-short"),
        (np.zeros(60 * 8_000 + 1), 8_000, "sound-long"),
        (np.array([0.0] * 1_600 + [np.nan]), 16_000, "sound-not-finite"),
        (np.array([0.0] * 70_000 + [np.inf]), 16_000, "sound-not-finite"),
        (np.full(16_000, 1e300), 16_000, "sound-not-finite"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_refused_arrays(array: np.ndarray, rate: object, code: str) -> None:
    assert refusal(array, rate).code == code


def test_limits_themselves_are_allowed() -> None:
    assert load_audio(np.zeros(1_600), 16_000)[0].seconds == 0.1
    assert load_audio(np.zeros(60 * 8_000), 8_000)[0].seconds == 60.0
    assert load_audio(np.zeros(19_200, np.float32), 192_000)[0].wave.shape == (1_600,)
    assert load_audio(np.zeros((1_600, 8)), np.int64(16_000))[0].seconds == 0.1  # type: ignore[arg-type]


# limits, from the header alone


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (wav_header(size=600 * 32_000), "sound-long", "600.0 s long; mmviz takes at most 60 s"),
        (wav_header(size=600 * 32_000, extra=b"LIST\x03\0\0\0abc\0"), "sound-long", "600.0 s"),
        (wav_header(rate=4_000, size=8_000) + bytes(8_000), "sound-rate", "4,000 samples a second"),
        (wav_header(rate=200_000, size=80_000) + bytes(80_000), "sound-rate", "8,000 to 192,000"),
        (wav_header(channels=9, size=36_000) + bytes(36_000), "sound-channels", "9 channels"),
        (wav_header(size=3_000) + bytes(3_000), "sound-short", "0.094 s"),
        (wav_header(size=32_000) + bytes(2_000), "sound-damaged", "cut short"),
        (wav_header(size=32_000), "sound-damaged", "cut short"),
        (encoded(np.zeros(0), 16_000), "sound-damaged", "damaged"),
        (encoded(np.zeros(1_000), 16_000, "FLAC"), "sound-short", "0.062 s"),
        (wav_header(tag=0x1234, size=32_000) + bytes(32_000), "sound-damaged", "damaged"),
        (encoded(np.zeros(61 * 8_000), 8_000, "FLAC"), "sound-long", "61.0 s"),
        (encoded(np.zeros(61 * 8_000), 8_000, "OGG"), "sound-long", "61.0 s"),
        (encoded(np.zeros(61 * 8_000), 8_000, "MP3"), "sound-long", "61.0 s"),
    ],
    ids=lambda value: "bytes" if isinstance(value, bytes) else value,
)
def test_header_limits(data: bytes, code: str, words: str) -> None:
    error = refusal(data)
    assert error.code == code and words in str(error)


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3"])
def test_limits_are_decided_before_decoding(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*args: object, **options: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(soundfile.SoundFile, "read", read)
    assert refusal(encoded(np.zeros(61 * 8_000), 8_000, format)).code == "sound-long"


def test_a_wav_from_a_pipe_does_not_know_its_length() -> None:
    wave = np.round(tone(440, 16_000) * 32_767).astype("<i2")
    for size in (0xFFFF_FFFF, 0x7FFF_FFFF, 0x7FFF_F000):
        sound, notices = load_audio(wav_header(size=size) + wave.tobytes())
        assert sound.seconds == 1.0 and notices == ()
    assert refusal(wav_header(size=0xFFFF_FFFF) + bytes(61 * 32_000)).code == "sound-long"


# files that are none, or not all there


def test_cut_short() -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 32_000)
    for format, parts in (("FLAC", (0.01, 0.3, 0.7)), ("OGG", (0.01, 0.3))):
        data = encoded(noise, 16_000, format)
        for part in parts:
            assert refusal(data[: int(len(data) * part)]).code == "sound-damaged"
    for format in ("WAV", "MP3"):
        data = encoded(noise, 16_000, format)
        sound, notices = load_audio(data[: len(data) // 2])
        assert 0.8 < sound.seconds < 1.1 and sound.seconds == len(sound.wave) / 16_000
        assert codes(notices) == ["sound-incomplete"]
        assert notices[0].parameters == {"seconds": sound.seconds, "promised": 2.0}


def test_a_sound_without_a_proper_end() -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 320_000)
    ogg = encoded(noise, 16_000, "OGG")
    sound, notices = load_audio(ogg[: len(ogg) * 7 // 10])
    assert 10 < sound.seconds < 15 and codes(notices) == ["sound-open-end"]
    noise *= 0.5  # lossy peaks stay below full scale
    noise[:16_000] *= 0.01
    mp3 = encoded(noise, 16_000, "MP3")
    assert codes(load_audio(mp3 + b"TAG" + bytes(125))[1]) == []
    headless = mp3[mp3.index(mp3[:2], 4) :]  # without the frame that holds the length
    sound, notices = load_audio(headless)
    assert sound.seconds < 15 and codes(notices) == ["sound-open-end"]


def test_hostile_bytes_never_break_out() -> None:
    random = np.random.default_rng(1)
    wave = random.uniform(-0.5, 0.5, 8_000)
    for format in ("WAV", "FLAC", "OGG"):  # not MP3, whose decoder writes its complaints to stderr
        data = encoded(wave, 16_000, format)
        for _ in range(60):
            broken = bytearray(data)
            for place in random.integers(4, min(len(data), 400), 4):
                broken[place] = random.integers(256)
            with contextlib.suppress(InputError):
                load_audio(bytes(broken))


def test_no_sound(tmp_path: Path) -> None:
    assert refusal(b"").code == "sound-empty"
    assert refusal(b"hello, this is not a sound").code == "sound-format"
    assert refusal(b"\xff").code == "sound-format"
    assert refusal(encoded(np.zeros(16_000), 16_000, "AIFF")).code == "sound-format"
    for start in (b"RIFF\0\0\0\0WAVE", b"fLaC", b"OggS", b"ID3"):
        assert refusal(start).code == "sound-damaged"
    assert refusal([0.0] * 16_000).code == "sound-source"
    assert refusal(encoded(np.zeros(16_000), 16_000), 16_000).code == "sound-rate-known"
    (tmp_path / "empty.wav").write_bytes(b"")
    assert refusal(tmp_path / "empty.wav").code == "sound-empty"
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


def test_values_that_are_no_numbers_in_a_file() -> None:
    wave = np.zeros(16_000, np.float32)
    wave[9_000] = np.nan
    assert refusal(encoded(wave, 16_000, "WAV", "FLOAT")).code == "sound-not-finite"


# resampling


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_a_tone_stays_what_it_is(rate: int) -> None:
    sound, notices = load_audio(tone(1_000, rate), rate)
    assert codes(notices) == ["sound-resampled"] and notices[0].parameters == {"rate": rate, "kept": 16_000}
    assert sound.seconds == 1.0 and abs(len(sound.wave) - 16_000) <= 1
    assert amplitude(sound, 1_000) == pytest.approx(0.5, rel=1e-3)
    rest = sound.wave[1_600:-1_600] - tone(1_000, 16_000)[1_600 : len(sound.wave) - 1_600]
    assert np.abs(rest).max() < 1e-3, "same phase, nothing added"


@pytest.mark.parametrize("hertz", [8_600, 10_000, 15_000, 20_000])
def test_a_tone_too_high_is_gone_and_not_folded_down(hertz: int) -> None:
    sound, _ = load_audio(tone(hertz, 44_100), 44_100)
    assert amplitude(sound, 16_000 - hertz) < 5e-5
    assert np.abs(sound.wave[1_600:-1_600]).max() < 5e-4


def test_a_click_stays_in_its_place() -> None:
    click = np.zeros(44_100)
    click[round(0.4321 * 44_100)] = 0.9
    sound, _ = load_audio(click, 44_100)
    assert abs(np.abs(sound.wave).argmax() / 16_000 - 0.4321) < 1 / 16_000


def test_seconds_are_exact() -> None:
    sound, _ = load_audio(encoded(np.zeros(12_345), 44_100))
    assert sound.seconds == 12_345 / 44_100


# mixing and loudness


def test_channels_are_averaged() -> None:
    left, right = tone(500, 16_000, amplitude=0.4), tone(2_000, 16_000, amplitude=0.2)
    stereo = np.stack((left, right), 1)
    for source, rate in ((stereo, 16_000), (encoded(stereo, 16_000, subtype="FLOAT"), None)):
        sound, notices = load_audio(source, rate)
        assert codes(notices) == ["sound-mixed"] and notices[0].parameters == {"channels": 2}
        assert np.abs(sound.wave - (left + right) / 2).max() < 1e-6


def test_mixing_in_pieces_loses_nothing() -> None:
    noise = np.random.default_rng(3).uniform(-0.5, 0.5, (200_001, 3))
    for source, rate in ((noise, 16_000), (encoded(noise, 16_000, subtype="DOUBLE"), None)):
        assert np.abs(load_audio(source, rate)[0].wave - noise.mean(1)).max() < 1e-6


def test_channels_that_cancel() -> None:
    left = tone(500, 16_000)
    assert codes(load_audio(np.stack((left, -left), 1), 16_000)[1]) == ["sound-mixed", "sound-cancels"]
    assert codes(load_audio(np.stack((left, -0.9 * left), 1), 16_000)[1]) == ["sound-mixed"]
    alone = np.zeros((16_000, 8))
    alone[:, 3] = left
    assert codes(load_audio(alone, 16_000)[1]) == ["sound-mixed"]


def test_silence() -> None:
    assert codes(load_audio(np.zeros(16_000), 16_000)[1]) == ["sound-silent"]
    assert codes(load_audio(tone(500, 16_000, amplitude=5e-5), 16_000)[1]) == ["sound-silent"]
    assert codes(load_audio(tone(500, 16_000, amplitude=5e-4), 16_000)[1]) == []
    assert codes(load_audio(np.zeros((16_000, 2)), 16_000)[1]) == ["sound-mixed", "sound-silent"]


def test_over_full_scale_is_made_quieter_not_clipped() -> None:
    sound, notices = load_audio(tone(500, 16_000, amplitude=4.0), 16_000)
    assert codes(notices) == ["sound-quieter"] and notices[0].parameters["peak"] == pytest.approx(4, rel=1e-3)
    assert np.abs(sound.wave).max() == 1 and amplitude(sound, 500) == pytest.approx(1, rel=1e-3)
