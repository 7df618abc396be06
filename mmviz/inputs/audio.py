"""Audio from a file, bytes or numpy, as a checked ``AudioInput``: 16 kHz, mono.

Limits are checked in the header before anything is decoded. Where a header has no length, or one that is too small,
decoding stops soon after the longest length allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import soundfile
from numpy.typing import NDArray

from mmviz.inputs.audio_file_checks import has_length, is_complete, wav_frames
from mmviz.inputs.audio_formats import audio_format
from mmviz.inputs.channel_mix import Mix, join, mix_channels
from mmviz.inputs.decoder_failure import unexpected_errors
from mmviz.inputs.joined_files import joined_files
from mmviz.inputs.mel import SAMPLE_RATE
from mmviz.inputs.mpeg_frame_sync import find_frames
from mmviz.inputs.mpeg_frames import count_frames
from mmviz.inputs.resample import resample
from mmviz.inputs.silent_stderr import silent_stderr
from mmviz.inputs.source_file import open_source
from mmviz.inputs.unknown_audio_length import AudioView, with_lengths
from mmviz.types import AudioInput, InputError, Notice

AudioSource = str | Path | bytes | NDArray[Any]

MIN_RATE, MAX_RATE = 8_000, 192_000
"""Hz."""
MAX_CHANNELS = 8
MIN_SECONDS, MAX_SECONDS = 0.1, 60.0

_FULL_SCALE = {"int16": 2.0**15, "int32": 2.0**31}
_SNDFILE_FORMATS = ("WAV", "RF64", "W64", "AIFF", "CAF", "AU", "FLAC", "OGG", "MP3")
"""Formats that libsndfile reads where it knows the codec and the file declares its length; PyAV reads the rest."""
_SILENCE = 1e-4
"""Peak below which audio is silent: -80 dB of full scale, about three steps of a 16-bit recording."""
_CANCELLED = 0.03
"""Loudness of a mix relative to its channels (-30 dB) below which they cancel; 8 unrelated channels lose 9 dB."""
_BLOCK = 65_536
"""Samples that are decoded at a time."""
_SLACK = 0.01
"""Seconds by which the length in a header may be wrong without a notice."""
_SLACK_CONTAINER = 0.25
"""The same for files that PyAV reads, whose length may include an encoder's delay (2,112 samples at 8 kHz)."""
_GAP = 0.05
"""Seconds, a packet or two, from which a gap is noted; less is rounding of the file's timestamps."""
_CLIPPED_FRACTION = 5e-4
"""Fraction of clipped samples from which a notice is given."""


def load_audio(source: AudioSource, rate: int | None = None) -> tuple[AudioInput, tuple[Notice, ...]]:
    """Returns checked audio, and notices of what was done to it.

    Args:
        source: path or bytes of a WAV (also RF64, W64), AIFF, CAF, AU, FLAC, OGG (Vorbis, Opus, Speex, FLAC), MP3, MP2,
            M4A, AAC, AMR, WMA or WebM file, or of a video in MP4, MOV, 3GP, MKV, WebM or WMV (its first audio track);
            or an array, float -1 .. 1, int16 or int32, ``[sample]`` or ``[sample, channel]``.
        rate: sampling rate of an array in Hz.

    Returns:
        The audio, float32 ``[sample]`` at 16 kHz within -1 .. 1, with the length of the original in seconds.

    Raises:
        InputError: outside 8 to 192 kHz, 1 to 8 channels or 0.1 to 60 s; an array without a rate; values that are not
            finite; a file that is damaged, empty, missing or of another format or codec; a video without audio; a
            decoder that fails for another reason than the file (``decoder-failed``).
    """
    notices: list[Notice] = []
    if isinstance(source, np.ndarray):
        rate = _array_rate(rate)
        blocks = _array_blocks(source, rate)
        mix = mix_channels(blocks)
    else:
        if isinstance(source, bytearray | memoryview):
            source = bytes(source)
        if not isinstance(source, str | Path | bytes):
            raise InputError("audio-source", kind=type(source).__name__)
        if rate is not None:
            raise InputError("audio-rate-known")
        with open_source(source) as file, unexpected_errors("soundfile", "M4A"):
            rate, mix = _read(file, notices)
    return _to_input(mix, rate, notices), tuple(notices)


def _check_header(rate: int, channels: int, samples: int) -> None:
    _check_rate(rate, channels)
    _check_length(samples / rate)


def _check_rate(rate: int, channels: int) -> None:
    if not MIN_RATE <= rate <= MAX_RATE:
        raise InputError("audio-rate", rate=rate, low=MIN_RATE, high=MAX_RATE)
    if not 1 <= channels <= MAX_CHANNELS:
        raise InputError("audio-channels", channels=channels, limit=MAX_CHANNELS)


def _check_length(seconds: float) -> None:
    if seconds < MIN_SECONDS:
        raise InputError("audio-short", seconds=seconds, limit=MIN_SECONDS)
    if seconds > MAX_SECONDS:
        raise InputError("audio-long", seconds=seconds, limit=MAX_SECONDS)


def _array_rate(rate: object) -> int:
    if rate is None:
        raise InputError("audio-no-rate")
    if isinstance(rate, bool) or not isinstance(rate, int | float | np.integer | np.floating) or rate != rate // 1:
        raise InputError("audio-rate-value", rate=rate)
    return int(rate)


def _array_blocks(array: NDArray[Any], rate: int) -> Iterator[NDArray[np.float32]]:
    """Checks an array, and returns it as blocks, float32 ``[sample, channel]`` with full scale 1."""
    is_float = np.issubdtype(array.dtype, np.floating)
    if array.ndim not in (1, 2) or not (is_float or array.dtype.name in _FULL_SCALE):
        raise InputError("audio-array", shape=array.shape, dtype=array.dtype)
    if array.ndim == 1:
        array = array[:, None]
    if array.shape[1] > MAX_CHANNELS >= array.shape[0]:
        raise InputError("audio-sideways", shape=array.shape)
    _check_header(rate, array.shape[1], array.shape[0])
    scale = 1.0 if is_float else _FULL_SCALE[array.dtype.name]

    def block(start: int) -> NDArray[np.float32]:
        with np.errstate(over="ignore"):  # becomes infinite, which is refused later
            return np.asarray(array[start : start + _BLOCK] / scale, dtype=np.float32)

    return (block(start) for start in range(0, len(array), _BLOCK))


def _read(file: BinaryIO, notices: list[Notice]) -> tuple[int, Mix]:
    """Returns the sampling rate of a file and its audio."""
    own_notices: list[Notice] = []
    try:
        kind = audio_format(file)
    except InputError as error:
        frames = find_frames(file) if error.code == "audio-unknown" else None
        if frames is None:
            raise
        kind, start = frames
        file = cast("BinaryIO", AudioView(file, start))
        own_notices.append(Notice("audio-late-start", {"bytes": start}))
    file, kind = with_lengths(file, kind)
    parts: list[_Part] = []
    for joined in joined_files(file, kind):
        parts.append(_read_part(joined, kind, own_notices))
        if sum(len(part.mix.mono) / part.rate for part in parts) > MAX_SECONDS:
            break
    notices += {notice.code: notice for notice in reversed(own_notices)}.values()  # of several parts the first one's
    if len({(part.rate, part.mix.channels) for part in parts}) > 1:
        raise InputError("audio-changes")
    rate, mix = parts[0].rate, join([part.mix for part in parts])
    promises = [part.promised for part in parts if part.promised is not None]
    promised = sum(promises) if len(promises) == len(parts) else None
    whole, slack = all(part.is_whole for part in parts), sum(part.slack for part in parts)
    seconds = len(mix.mono) / rate
    if seconds < MIN_SECONDS and (promised is not None or not whole):
        raise InputError("audio-damaged")  # the header promised enough
    if seconds > MAX_SECONDS:
        raise InputError("audio-longer", limit=MAX_SECONDS)  # decoding stopped there
    _check_length(seconds)
    if promised is not None and promised - seconds > slack:
        notices.append(Notice("audio-incomplete", {"seconds": seconds, "promised": promised}))
    elif not whole:
        notices.append(Notice("audio-open-end", {"seconds": seconds}))
    return rate, mix


@dataclass(frozen=True, eq=False)
class _Part:
    """The audio of a file, or of one of several that were put one after another."""

    rate: int
    mix: Mix
    promised: float | None
    """Seconds that the header declares."""
    is_whole: bool
    """Whether the end is there."""
    slack: float
    """Seconds by which the audio may be shorter than declared without a notice."""


def _read_part(file: BinaryIO, kind: str, notices: list[Notice]) -> _Part:
    is_sndfile = kind in _SNDFILE_FORMATS and has_length(file, kind)
    try:
        read = _read_sndfile if is_sndfile else _read_container
        with silent_stderr() if kind == "MP3" else nullcontext():  # libmpg123 writes lines about broken frames and tags
            rate, mix, promised, whole = read(file, kind, notices)
    except _UnknownToSndfile:
        is_sndfile = False
        rate, mix, promised, whole = _read_container(file, kind, notices)
    return _Part(rate, mix, promised, whole, _SLACK if is_sndfile or not whole else _SLACK_CONTAINER)


class _UnknownToSndfile(Exception):
    """The header is not one that libsndfile reads, or not in full: another codec, or damage; or a frame is not."""


def _read_sndfile(file: BinaryIO, kind: str, notices: list[Notice]) -> tuple[int, Mix, float | None, bool]:
    """Reads by libsndfile. Returns rate, audio, the seconds that the header promises, and whether the end is there.

    Raises `_UnknownToSndfile`, and ``InputError``.
    """
    promised_frames = wav_frames(file) if kind == "WAV" else None
    whole = is_complete(file, kind)
    try:
        audio = soundfile.SoundFile(AudioView(file))
    except soundfile.SoundFileError as error:
        raise _UnknownToSndfile from error
    with audio:
        if audio.format not in (kind, kind + "EX"):
            raise InputError("audio-damaged")
        if kind != "MP3" and audio.subtype.startswith("MPEG"):  # it would guess the length of MP3 in WAV
            raise _UnknownToSndfile
        rate = int(audio.samplerate)
        frames = int(audio.frames) if promised_frames is None else promised_frames
        if frames == 0:
            raise InputError("audio-damaged")
        _check_header(rate, int(audio.channels), frames)
        try:
            mix = mix_channels(_file_blocks(audio, int(MAX_SECONDS * rate)))
        except soundfile.SoundFileError as error:  # in the middle of a frame of FLAC; PyAV keeps those before it
            raise _UnknownToSndfile from error
        return rate, mix, frames / rate, whole


def _read_container(file: BinaryIO, kind: str, notices: list[Notice]) -> tuple[int, Mix, float | None, bool]:
    """Reads by PyAV, which is loaded now. Returns the same as `_read_sndfile`."""
    with unexpected_errors("av", "WAV"):
        from mmviz.inputs.pyav_decoder import open_track

    if kind in ("MP3", "MP2"):
        seconds = count_frames(file).seconds
        if seconds > MAX_SECONDS:
            raise InputError("audio-long", seconds=seconds, limit=MAX_SECONDS)
    with open_track(file, kind) as track:
        _check_rate(track.rate, track.channels)
        if track.seconds is not None:
            _check_length(track.seconds)
        mix = mix_channels(track.blocks(MAX_SECONDS))
        _check_rate(track.rate, mix.channels)  # the header of an AAC file may say half the rate
        if track.has_video:
            notices.append(Notice("audio-video"))
        if track.delay:
            notices.append(Notice("audio-delay", {"seconds": track.delay}))
        promised = track.seconds
        if track.gap > _GAP:
            notices.append(Notice("audio-gap", {"seconds": track.gap}))
            promised = None if promised is None else promised - track.gap
        return track.rate, mix, promised, track.is_complete


def _file_blocks(audio: Any, limit: int) -> Iterator[NDArray[np.float32]]:
    """Yields float32 ``[sample, channel]``, at most one block beyond ``limit`` samples: a header may be too small."""
    read = 0
    while read <= limit and len(block := audio.read(_BLOCK, dtype="float32", always_2d=True)):
        read += len(block)
        yield block


def _to_input(mix: Mix, rate: int, notices: list[Notice]) -> AudioInput:
    """Returns the audio at 16 kHz within -1 .. 1, and adds notices of what was done."""
    wave = mix.mono
    seconds = len(wave) / rate
    if mix.channels > 1:
        notices.append(Notice("audio-mixed", {"channels": mix.channels}))
    if mix.peak < _SILENCE:
        notices.append(Notice("audio-silent"))
    elif float(np.square(wave, dtype=np.float64).mean()) ** 0.5 < _CANCELLED * mix.rms:
        notices.append(Notice("audio-cancels", {"channels": mix.channels}))
    if mix.clipped >= _CLIPPED_FRACTION:
        notices.append(Notice("audio-clipped", {"share": mix.clipped}))
    if rate != SAMPLE_RATE:
        wave = resample(wave, rate, SAMPLE_RATE)
        notices.append(Notice("audio-resampled", {"rate": rate, "kept": SAMPLE_RATE}))
    peak = float(np.abs(wave).max())
    if peak > 1:
        wave = np.clip(wave / np.float32(peak), -1, 1)
        notices.append(Notice("audio-quieter", {"peak": peak}))
    return AudioInput(np.array(wave, dtype=np.float32), SAMPLE_RATE, seconds)
