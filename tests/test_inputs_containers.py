"""M4A, AAC, WebM and the sound of videos: what arrives, when, how much of it, and what is refused."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from sound_files import encoded, header_first, m4a_that_says, muxed, tone, webm_that_says

from mmviz.inputs import audio_containers as containers
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


def clicks(rate: int, moments: tuple[float, ...], seconds: float = 2.0) -> np.ndarray:
    """Bursts of 2 ms around the moments."""
    wave = np.zeros(round(seconds * rate))
    width = rate // 500
    for moment in moments:
        start = round(moment * rate) - width // 2
        wave[start : start + width] += 0.8 * np.hanning(width) * np.sin(np.arange(width))
    return wave


Maker = Callable[[np.ndarray, int], bytes]
FRAGMENTS = "frag_keyframe+empty_moov"
WAYS: dict[str, Maker] = {
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
"""Files that say how far their encoder delayed the sound."""
SILENT_WAYS: dict[str, Maker] = {
    "aac": lambda wave, rate: muxed(wave, rate, "adts"),
    "aac after a tag": lambda wave, rate: b"ID3\x04\0\0\0\0\x01\x02" + bytes(130) + muxed(wave, rate, "adts"),
    "mp4 in fragments, no edits": lambda wave, rate: muxed(wave, rate, "mp4", movflags=FRAGMENTS),
}
"""Files that do not."""


@pytest.mark.parametrize("route", [*WAYS, *SILENT_WAYS])
def test_formats(route: str, tmp_path: Path) -> None:
    wave = tone(440, RATE, 2.0) * np.hanning(2 * RATE)
    data = (WAYS | SILENT_WAYS)[route](wave, RATE)
    (tmp_path / "sound.txt").write_bytes(data)  # the header decides, not the name
    late = 1_024 // 3 if route in SILENT_WAYS else 0
    for source in (data, str(tmp_path / "sound.txt")):
        sound, notices = load_audio(source)
        expected = ["sound-video"] if "video" in route else ["sound-delay"] if route in SILENT_WAYS else []
        assert codes(notices) == [*expected, "sound-resampled"]
        assert sound.seconds == pytest.approx(2.0, abs=0.03 if route in SILENT_WAYS else 0.006)
        right = (tone(440, 16_000, 2.0) * np.hanning(32_000))[: len(sound.wave) - late]
        assert np.abs(sound.wave[late : late + len(right)] - right).max() < (0.04 if late else 0.02)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 32_000, 44_100, 48_000])
def test_every_rate_of_aac(rate: int) -> None:
    wave = tone(440, rate, 2.0) * np.hanning(2 * rate)
    sound, notices = load_audio(muxed(wave, rate, "ipod"))
    assert codes(notices) == (["sound-resampled"] if rate != 16_000 else [])
    assert sound.seconds == 2.0
    assert np.abs(sound.wave[:32_000] - (tone(440, 16_000, 2.0) * np.hanning(32_000))[: len(sound.wave)]).max() < 0.02


@pytest.mark.parametrize("route", [*WAYS, *SILENT_WAYS])
def test_a_click_stays_at_its_moment(route: str) -> None:
    moments = (0.05, 0.5, 1.2345, 1.9)
    sound, notices = load_audio((WAYS | SILENT_WAYS)[route](clicks(RATE, moments), RATE))
    late = [notice.parameters["seconds"] for notice in notices if notice.code == "sound-delay"]
    assert bool(late) == (route in SILENT_WAYS)
    for moment in moments:
        first = round((moment - 0.04) * 16_000)
        around = np.abs(sound.wave[max(0, first) : first + 16 * 100]) ** 2
        found = (np.arange(len(around)) * around).sum() / around.sum() / 16_000 + max(0, first) / 16_000
        assert -0.001 < found - moment < 0.001 + sum(late), (moment, found)


# limits


@pytest.mark.parametrize(
    "data",
    [muxed(np.zeros(61 * 8_000), 8_000, "ipod"), muxed(np.zeros(61 * RATE), RATE, "webm", "libopus")],
    ids=["m4a", "webm"],
)
def test_limits_are_decided_before_decoding(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def blocks(*args: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(containers.Track, "blocks", blocks)
    error = refusal(data)
    assert error.code == "sound-long" and "61.0 s long" in str(error)


def without_edits(m4a: bytes) -> bytes:
    return m4a.replace(b"edts", b"free")


LONG = np.zeros(200 * RATE)
LIARS = {
    "m4a": without_edits(m4a_that_says(muxed(LONG, RATE, "ipod"), 1.0)),
    "webm": webm_that_says(muxed(LONG, RATE, "webm", "libopus"), 1.0),
    "webm, browser": muxed(LONG, RATE, "webm", "libopus", live="1"),
    "webm, video": muxed(LONG, RATE, "webm", "libopus", video="libvpx"),
    "aac": muxed(LONG, RATE, "adts"),
}


@pytest.mark.parametrize("liar", LIARS)
def test_decoding_stops_soon_after_the_longest(liar: str, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []

    def values(frame: object, real: Callable[[object], np.ndarray] = containers._values) -> np.ndarray:
        decoded.append(real(frame))
        return decoded[-1]

    monkeypatch.setattr(containers, "_values", values)
    assert refusal(LIARS[liar]).code in {"sound-longer", "sound-long"}
    assert sum(map(len, decoded)) <= 60.2 * RATE


def test_an_edit_list_cuts_as_a_player_would() -> None:
    sound, _ = load_audio(m4a_that_says(muxed(tone(440, RATE, 3.0), RATE, "ipod"), 1.0))
    assert sound.seconds == pytest.approx(1.0, abs=0.001)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (muxed(np.zeros(3_000), RATE, "ipod"), "sound-short"),
        (muxed(np.zeros(3_000), RATE, "webm", "libopus", live="1"), "sound-short"),
        (muxed(np.zeros(3_000), RATE, "adts"), "sound-short"),
        (muxed(np.zeros(RATE), RATE, "matroska", "ac3"), "sound-codec"),
        (muxed(None, 0, "mp4", video="mpeg4"), "sound-no-track"),
        (muxed(None, 0, "webm", video="libvpx"), "sound-no-track"),
        (muxed(np.zeros(7_350), 7_350, "adts"), "sound-rate"),
        (muxed(np.zeros(4_000), 4_000, "matroska", "pcm_s16le"), "sound-rate"),
        (muxed(tone(440, RATE), RATE, "adts") + muxed(tone(440, 16_000), 16_000, "adts"), "sound-changes"),
        (b"#EXTM3U\n#EXTINF:1,\nfile.aac\n", "sound-format"),
        (b"ffconcat version 1.0\nfile a.m4a\n", "sound-format"),
        (b"\0\0\0\x18ftypM4A ", "sound-damaged"),
        (b"\0\0\0\x18ftypM4A \0\0\0\0#EXTM3U\nfile.aac", "sound-damaged"),
        (b"\x1a\x45\xdf\xa3", "sound-damaged"),
        (b"\x1a\x45\xdf\xa3\x80ffconcat version 1.0", "sound-damaged"),
        (b"\xff\xf1", "sound-damaged"),
    ],
    ids=lambda value: "bytes" if isinstance(value, bytes) else value,
)
def test_refusals(data: bytes, code: str) -> None:
    error = refusal(data)
    assert error.code == code
    assert "M4A" in str(error) or code not in {"sound-format", "sound-codec"}


def test_ffmpeg_gets_bytes_and_one_format_and_no_other_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def opened(file: object, *args: object, **options: object) -> object:
        asked.append((file, options["format"]))
        return real(file, *args, **options)

    real = av.open
    monkeypatch.setattr(av, "open", opened)
    for route, demuxer in (("m4a", "mov"), ("aac", "aac"), ("webm", "matroska")):
        (tmp_path / route).write_bytes((WAYS | SILENT_WAYS)[route](np.zeros(RATE), RATE))
        load_audio(tmp_path / route)
        assert asked[-1][1] == demuxer and not isinstance(asked[-1][0], str | Path)
    with pytest.raises(PermissionError):
        containers._no_other_file("other.mp4", 1, {})


def test_pyav_comes_with_the_first_such_file_alone() -> None:
    program = (
        "import sys; from mmviz.inputs import make_sample;"
        "data = sys.stdin.buffer.read(); wav, m4a = data[: int(sys.argv[1])], data[int(sys.argv[1]) :];"
        "make_sample(audio=wav); print('av' in sys.modules); make_sample(audio=m4a); print('av' in sys.modules)"
    )
    wav, m4a = encoded(np.zeros(16_000), 16_000), muxed(np.zeros(16_000), 16_000, "ipod")
    command = [sys.executable, "-c", program, str(len(wav))]
    done = subprocess.run(command, input=wav + m4a, capture_output=True, check=True)
    assert done.stdout.split() == [b"False", b"True"] and done.stderr == b""


# the same looks at a sound as for every other


def test_cover_art_is_no_video() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=RATE, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width = cover.height = 16
        cover.pix_fmt = "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")))
        container.mux(cover.encode(None))
        for start in range(0, RATE, 1_024):
            frame = av.AudioFrame.from_ndarray(np.full((1, 1_024), 0.01, np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = RATE, start
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    assert codes(load_audio(file.getvalue())[1]) == ["sound-resampled"]


@pytest.mark.parametrize(("format", "codec"), [("ipod", "aac"), ("webm", "libopus"), ("matroska", "pcm_f32le")])
def test_channels_silence_and_cancelling(format: str, codec: str) -> None:
    left, right = tone(500, RATE, 1.0, 0.4), tone(2_000, RATE, 1.0, 0.2)
    sound, notices = load_audio(muxed(np.stack((left, right), 1), RATE, format, codec))
    assert codes(notices) == ["sound-mixed", "sound-resampled"] and notices[0].parameters == {"channels": 2}
    expected = (tone(500, 16_000, 1.0, 0.4) + tone(2_000, 16_000, 1.0, 0.2)) / 2
    assert np.abs(sound.wave[1_000:15_000] - expected[1_000:15_000]).max() < 0.05
    _, notices = load_audio(muxed(np.stack((left, -left), 1), RATE, format, codec))
    assert codes(notices) == ["sound-mixed", "sound-cancels", "sound-resampled"]
    assert codes(load_audio(muxed(np.zeros(RATE), RATE, format, codec))[1]) == ["sound-silent", "sound-resampled"]


def test_values_that_are_no_numbers() -> None:
    wave = tone(440, RATE)
    wave[20_000] = np.nan
    assert refusal(muxed(wave, RATE, "matroska", "pcm_f32le")).code == "sound-not-finite"


@pytest.mark.parametrize(("format", "codec"), [("ipod", "aac"), ("webm", "libopus")])
def test_gaps_are_said(format: str, codec: str) -> None:
    sound, notices = load_audio(muxed(tone(440, RATE, 2.0), RATE, format, codec, gap=0.5))
    assert codes(notices) == ["sound-gap", "sound-resampled"]
    assert notices[0].parameters["seconds"] == pytest.approx(0.5, abs=0.03)
    assert sound.seconds == pytest.approx(2.0, abs=0.03)


def test_a_length_that_is_not_there_is_said() -> None:
    _, notices = load_audio(webm_that_says(muxed(tone(440, RATE, 2.0), RATE, "webm", "libopus"), 30.0))
    assert codes(notices) == ["sound-incomplete", "sound-resampled"] and notices[0].parameters["promised"] == 30
