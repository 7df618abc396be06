"""M4A, AAC, WebM and audio tracks of videos: samples, timing, limits and errors."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from audio_files import encoded, header_first, m4a_with_length, muxed, tone, webm_with_length

from mmviz.inputs import pyav_decoder as containers
from mmviz.inputs.audio import load_audio
from mmviz.types import InputError, Notice

RATE = 48_000


def codes(notices: tuple[Notice, ...]) -> list[str]:
    for notice in notices:
        assert str(notice)  # every code has a sentence that its parameters fit
    return [notice.code for notice in notices]


def refusal(source: bytes) -> InputError:
    with pytest.raises(InputError) as caught:
        load_audio(source)
    return caught.value


def clicks(rate: int, times: tuple[float, ...], seconds: float = 2.0) -> np.ndarray:
    """Bursts of 2 ms, centred on ``times`` in seconds."""
    wave = np.zeros(round(seconds * rate))
    width = rate // 500
    for time in times:
        start = round(time * rate) - width // 2
        wave[start : start + width] += 0.8 * np.hanning(width) * np.sin(np.arange(width))
    return wave


MakeFile = Callable[[np.ndarray, int], bytes]
FRAGMENTS = "frag_keyframe+empty_moov"
DECLARED_DELAY: dict[str, MakeFile] = {
    "m4a": lambda wave, rate: muxed(wave, rate, "ipod"),
    "m4a, header first": lambda wave, rate: header_first(muxed(wave, rate, "ipod")),
    "mp4 in fragments": lambda wave, rate: muxed(wave, rate, "mp4", movflags="frag_keyframe+delay_moov"),
    "alac": lambda wave, rate: muxed(wave, rate, "ipod", "alac"),
    "mov, pcm": lambda wave, rate: muxed(wave, rate, "mov", "pcm_s16le"),
    "mp4, opus": lambda wave, rate: muxed(wave, rate, "mp4", "libopus"),
    "mp4, video": lambda wave, rate: muxed(wave, rate, "mp4", video="mpeg4"),
    "webm": lambda wave, rate: muxed(wave, rate, "webm", "libopus"),
    "webm, browser": lambda wave, rate: muxed(wave, rate, "webm", "libopus", live="1"),
    "webm, video": lambda wave, rate: muxed(wave, rate, "webm", "libopus", video="libvpx"),
    "mkv, flac": lambda wave, rate: muxed(wave, rate, "matroska", "flac"),
    "mkv, pcm": lambda wave, rate: muxed(wave, rate, "matroska", "pcm_f32le"),
}
"""Formats that declare the delay of their encoder."""
UNDECLARED_DELAY: dict[str, MakeFile] = {
    "aac": lambda wave, rate: muxed(wave, rate, "adts"),
    "aac after a tag": lambda wave, rate: b"ID3\x04\0\0\0\0\x01\x02" + bytes(130) + muxed(wave, rate, "adts"),
    "mp4 in fragments, no edits": lambda wave, rate: muxed(wave, rate, "mp4", movflags=FRAGMENTS),
}
"""Formats that do not."""


@pytest.mark.parametrize("kind", [*DECLARED_DELAY, *UNDECLARED_DELAY])
def test_every_format_is_read(kind: str, tmp_path: Path) -> None:
    wave = tone(440, RATE, 2.0) * np.hanning(2 * RATE)
    data = (DECLARED_DELAY | UNDECLARED_DELAY)[kind](wave, RATE)
    (tmp_path / "audio.txt").write_bytes(data)  # the header decides, not the name
    delay = 1_024 // 3 if kind in UNDECLARED_DELAY else 0
    for source in (data, str(tmp_path / "audio.txt")):
        audio, notices = load_audio(source)
        expected = ["audio-video"] if "video" in kind else ["audio-delay"] if kind in UNDECLARED_DELAY else []
        assert codes(notices) == [*expected, "audio-resampled"]
        assert audio.seconds == pytest.approx(2.0, abs=0.03 if kind in UNDECLARED_DELAY else 0.006)
        expected_wave = (tone(440, 16_000, 2.0) * np.hanning(32_000))[: len(audio.wave) - delay]
        assert np.abs(audio.wave[delay : delay + len(expected_wave)] - expected_wave).max() < (0.04 if delay else 0.02)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 32_000, 44_100, 48_000])
def test_every_sampling_rate_of_aac(rate: int) -> None:
    wave = tone(440, rate, 2.0) * np.hanning(2 * rate)
    audio, notices = load_audio(muxed(wave, rate, "ipod"))
    assert codes(notices) == (["audio-resampled"] if rate != 16_000 else [])
    assert audio.seconds == 2.0
    assert np.abs(audio.wave[:32_000] - (tone(440, 16_000, 2.0) * np.hanning(32_000))[: len(audio.wave)]).max() < 0.02


@pytest.mark.parametrize("kind", [*DECLARED_DELAY, *UNDECLARED_DELAY])
def test_a_click_stays_at_its_time(kind: str) -> None:
    times = (0.05, 0.5, 1.2345, 1.9)
    audio, notices = load_audio((DECLARED_DELAY | UNDECLARED_DELAY)[kind](clicks(RATE, times), RATE))
    delays = [notice.parameters["seconds"] for notice in notices if notice.code == "audio-delay"]
    assert bool(delays) == (kind in UNDECLARED_DELAY)
    for time in times:
        first = round((time - 0.04) * 16_000)
        around = np.abs(audio.wave[max(0, first) : first + 16 * 100]) ** 2
        centre = (np.arange(len(around)) * around).sum() / around.sum() / 16_000 + max(0, first) / 16_000
        assert -0.001 < centre - time < 0.001 + sum(delays), (time, centre)


# limits


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [lambda: muxed(np.zeros(61 * 8_000), 8_000, "ipod"), lambda: muxed(np.zeros(61 * RATE), RATE, "webm", "libopus")],
    ids=["m4a", "webm"],
)
def test_limits_are_checked_before_decoding(make: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    def blocks(*args: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(containers.Track, "blocks", blocks)
    error = refusal(make())
    assert error.code == "audio-long" and "61.0 s long" in str(error)


def without_edits(m4a: bytes) -> bytes:
    return m4a.replace(b"edts", b"free")


LONG = np.zeros(200 * RATE)
WRONG_LENGTHS: dict[str, Callable[[], bytes]] = {
    "m4a": lambda: without_edits(m4a_with_length(muxed(LONG, RATE, "ipod"), 1.0)),
    "webm": lambda: webm_with_length(muxed(LONG, RATE, "webm", "libopus"), 1.0),
    "webm, browser": lambda: muxed(LONG, RATE, "webm", "libopus", live="1"),
    "webm, video": lambda: muxed(LONG, RATE, "webm", "libopus", video="libvpx"),
    "aac": lambda: muxed(LONG, RATE, "adts"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG_LENGTHS)
def test_decoding_stops_soon_after_the_longest_length(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []

    def samples(frame: object, real: Callable[[object], np.ndarray] = containers._samples) -> np.ndarray:
        decoded.append(real(frame))
        return decoded[-1]

    monkeypatch.setattr(containers, "_samples", samples)
    assert refusal(WRONG_LENGTHS[name]()).code in {"audio-longer", "audio-long"}
    assert sum(map(len, decoded)) <= 60.2 * RATE


def test_an_edit_list_is_applied_as_a_player_does() -> None:
    audio, _ = load_audio(m4a_with_length(muxed(tone(440, RATE, 3.0), RATE, "ipod"), 1.0))
    assert audio.seconds == pytest.approx(1.0, abs=0.001)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (muxed(np.zeros(3_000), RATE, "ipod"), "audio-short"),
        (muxed(np.zeros(3_000), RATE, "webm", "libopus", live="1"), "audio-short"),
        (muxed(np.zeros(3_000), RATE, "adts"), "audio-short"),
        (muxed(np.zeros(RATE), RATE, "matroska", "ac3"), "audio-codec"),
        (muxed(None, 0, "mp4", video="mpeg4"), "audio-no-track"),
        (muxed(None, 0, "webm", video="libvpx"), "audio-no-track"),
        (muxed(np.zeros(7_350), 7_350, "adts"), "audio-rate"),
        (muxed(np.zeros(4_000), 4_000, "matroska", "pcm_s16le"), "audio-rate"),
        (muxed(tone(440, RATE), RATE, "adts") + muxed(tone(440, 16_000), 16_000, "adts"), "audio-changes"),
        (b"#EXTM3U\n#EXTINF:1,\nfile.aac\n", "audio-format"),
        (b"ffconcat version 1.0\nfile a.m4a\n", "audio-format"),
        (b"\0\0\0\x18ftypM4A ", "audio-damaged"),
        (b"\0\0\0\x18ftypM4A \0\0\0\0#EXTM3U\nfile.aac", "audio-damaged"),
        (b"\x1a\x45\xdf\xa3", "audio-damaged"),
        (b"\x1a\x45\xdf\xa3\x80ffconcat version 1.0", "audio-damaged"),
        (b"\xff\xf1", "audio-damaged"),
    ],
    ids=lambda value: "bytes" if isinstance(value, bytes) else value,
)
def test_unusable_files_are_refused(data: bytes, code: str) -> None:
    error = refusal(data)
    assert error.code == code
    assert "M4A" in str(error) or code not in {"audio-format", "audio-codec"}


def test_ffmpeg_gets_bytes_one_demuxer_and_no_other_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = []

    def open_container(file: object, *args: object, **options: object) -> object:
        calls.append((file, options["format"]))
        return real(file, *args, **options)

    real = av.open
    monkeypatch.setattr(av, "open", open_container)
    for kind, demuxer in (("m4a", "mov"), ("aac", "aac"), ("webm", "matroska")):
        (tmp_path / kind).write_bytes((DECLARED_DELAY | UNDECLARED_DELAY)[kind](np.zeros(RATE), RATE))
        load_audio(tmp_path / kind)
        assert calls[-1][1] == demuxer and not isinstance(calls[-1][0], str | Path)
    with pytest.raises(PermissionError):
        containers._refuse_file("other.mp4", 1, {})


def test_pyav_is_loaded_with_the_first_file_that_needs_it() -> None:
    program = (
        "import sys; from mmviz.inputs import make_sample;"
        "data = sys.stdin.buffer.read(); wav, m4a = data[: int(sys.argv[1])], data[int(sys.argv[1]) :];"
        "make_sample(audio=wav); print('av' in sys.modules); make_sample(audio=m4a); print('av' in sys.modules)"
    )
    wav, m4a = encoded(np.zeros(16_000), 16_000), muxed(np.zeros(16_000), 16_000, "ipod")
    command = [sys.executable, "-c", program, str(len(wav))]
    process = subprocess.run(command, input=wav + m4a, capture_output=True, check=True, timeout=120)
    assert process.stdout.split() == [b"False", b"True"] and process.stderr == b""


# the same checks as for other audio


def test_cover_art_is_no_video() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        track = container.add_stream("aac", rate=RATE, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width = cover.height = 16
        cover.pix_fmt = "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic.value  # PyAV 14.1 takes no other
        container.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")))
        container.mux(cover.encode(None))
        for start in range(0, RATE, 1_024):
            frame = av.AudioFrame.from_ndarray(np.full((1, 1_024), 0.01, np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = RATE, start
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    assert codes(load_audio(file.getvalue())[1]) == ["audio-resampled"]


@pytest.mark.parametrize(("format", "codec"), [("ipod", "aac"), ("webm", "libopus"), ("matroska", "pcm_f32le")])
def test_channels_silence_and_cancelling_give_notices(format: str, codec: str) -> None:
    left, right = tone(500, RATE, 1.0, 0.4), tone(2_000, RATE, 1.0, 0.2)
    audio, notices = load_audio(muxed(np.stack((left, right), 1), RATE, format, codec))
    assert codes(notices) == ["audio-mixed", "audio-resampled"] and notices[0].parameters == {"channels": 2}
    expected = (tone(500, 16_000, 1.0, 0.4) + tone(2_000, 16_000, 1.0, 0.2)) / 2
    assert np.abs(audio.wave[1_000:15_000] - expected[1_000:15_000]).max() < 0.05
    _, notices = load_audio(muxed(np.stack((left, -left), 1), RATE, format, codec))
    assert codes(notices) == ["audio-mixed", "audio-cancels", "audio-resampled"]
    assert codes(load_audio(muxed(np.zeros(RATE), RATE, format, codec))[1]) == ["audio-silent", "audio-resampled"]


def test_values_that_are_not_finite_are_refused() -> None:
    wave = tone(440, RATE)
    wave[20_000] = np.nan
    assert refusal(muxed(wave, RATE, "matroska", "pcm_f32le")).code == "audio-not-finite"


@pytest.mark.parametrize(("format", "codec"), [("ipod", "aac"), ("webm", "libopus")])
def test_gaps_give_a_notice(format: str, codec: str) -> None:
    audio, notices = load_audio(muxed(tone(440, RATE, 2.0), RATE, format, codec, gap=0.5))
    assert codes(notices) == ["audio-gap", "audio-resampled"]
    assert notices[0].parameters["seconds"] == pytest.approx(0.5, abs=0.03)
    assert audio.seconds == pytest.approx(2.0, abs=0.03)


def test_a_declared_length_that_is_not_there_gives_a_notice() -> None:
    _, notices = load_audio(webm_with_length(muxed(tone(440, RATE, 2.0), RATE, "webm", "libopus"), 30.0))
    assert codes(notices) == ["audio-incomplete", "audio-resampled"] and notices[0].parameters["promised"] == 30
