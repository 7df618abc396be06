"""A sound from a file, bytes or numpy -> a checked ``AudioInput``, 16 kHz mono.

Limits are decided from the header, before any sample is decoded; where a header says no length, or too small a one,
decoding stops soon after the longest that is allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from mmviz.inputs import opened
from mmviz.inputs.audio_header import is_whole, known_format, wav_samples
from mmviz.inputs.mel import SAMPLE_RATE
from mmviz.types import AudioInput, InputError, Notice

AudioSource = str | Path | bytes | NDArray[Any]

LOWEST_RATE, HIGHEST_RATE = 8_000, 192_000
MOST_CHANNELS = 8
SHORTEST, LONGEST = 0.1, 60.0
"""Seconds."""

_FULL_SCALE = {"int16": 2.0**15, "int32": 2.0**31}
_PLAIN = ("WAV", "FLAC", "OGG", "MP3")
"""What libsndfile reads; PyAV reads the rest."""
_SILENCE = 1e-4
"""-80 dB of full scale: about three steps of a 16-bit recording."""
_CANCELLED = 0.03
"""A mix 30 dB below its channels; unrelated channels lose 9 dB at most (8 of them)."""
_BLOCK = 65_536
_SLACK = 0.01
"""Seconds by which a header may be wrong without a word."""
_SLACK_CODED = 0.25
"""The same for M4A and WebM, whose length may count an encoder's delay (2,112 samples at 8 kHz)."""
_GAP = 0.05
"""Seconds: a packet or two; less is rounding of the file's clock."""
_CLIPPED_SHARE = 5e-4
_CLIPPED_RUN = 4
_CLIPPED_LEVEL = 0.98
"""Of full scale: the highest value of 8-bit and mu-law sounds is 0.98 to 0.992."""
_CLIPPED_DROP = 0.13


def load_audio(source: AudioSource, rate: int | None = None) -> tuple[AudioInput, tuple[Notice, ...]]:
    """A checked sound and what was done to it.

    Parameters: ``source``, the path or the bytes of a WAV, FLAC, OGG, MP3, M4A, AAC or WebM file or of a video in
    MP4 or WebM (its first sound track), or an array, float -1 .. 1, int16 or int32, ``[sample]`` or
    ``[sample, channel]``; ``rate`` of an array in Hz.
    Returns: ``wave`` float32 ``[sample]`` at 16 kHz, within -1 .. 1; ``seconds`` is samples / rate of the original.
    Raises ``InputError``: outside 8 .. 192 kHz, 8 channels or 0.1 .. 60 s; an array without a rate; values that are
    not finite; damaged, empty, missing, another format or codec, a video without sound.
    """
    notices: list[Notice] = []
    if isinstance(source, np.ndarray):
        rate = _array_rate(rate)
        blocks = _array_blocks(source, rate)
        mixed = _mix(blocks)
    else:
        if isinstance(source, bytearray | memoryview):
            source = bytes(source)
        if not isinstance(source, str | Path | bytes):
            raise InputError("sound-source", kind=type(source).__name__)
        if rate is not None:
            raise InputError("sound-rate-known")
        with opened(source) as file:
            rate, mixed = _read(file, notices)
    return _finish(mixed, rate, notices), tuple(notices)


@dataclass(frozen=True)
class _Mixed:
    """``mono`` float32 ``[sample]`` at the original rate; loudness of the channels it was mixed from.

    ``clipped``: the share of their values that is cut off at full scale.
    """

    mono: NDArray[np.float32]
    channels: int
    peak: float
    rms: float
    clipped: float


def _check(rate: int, channels: int, samples: int) -> None:
    _check_rate(rate, channels)
    _check_length(samples / rate)


def _check_rate(rate: int, channels: int) -> None:
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise InputError("sound-rate", rate=rate, low=LOWEST_RATE, high=HIGHEST_RATE)
    if not 1 <= channels <= MOST_CHANNELS:
        raise InputError("sound-channels", channels=channels, limit=MOST_CHANNELS)


def _check_length(seconds: float) -> None:
    if seconds < SHORTEST:
        raise InputError("sound-short", seconds=seconds, limit=SHORTEST)
    if seconds > LONGEST:
        raise InputError("sound-long", seconds=seconds, limit=LONGEST)


def _array_rate(rate: object) -> int:
    if rate is None:
        raise InputError("sound-no-rate")
    if isinstance(rate, bool) or not isinstance(rate, int | float | np.integer | np.floating) or rate != rate // 1:
        raise InputError("sound-rate-value", rate=rate)
    return int(rate)


def _array_blocks(array: NDArray[Any], rate: int) -> Iterator[NDArray[np.float32]]:
    """Checks first, then float32 ``[sample, channel]``, full scale 1, piece by piece."""
    is_float = np.issubdtype(array.dtype, np.floating)
    if array.ndim not in (1, 2) or not (is_float or array.dtype.name in _FULL_SCALE):
        raise InputError("sound-array", shape=array.shape, dtype=array.dtype)
    if array.ndim == 1:
        array = array[:, None]
    if array.shape[1] > MOST_CHANNELS >= array.shape[0]:
        raise InputError("sound-sideways", shape=array.shape)
    _check(rate, array.shape[1], array.shape[0])
    scale = 1.0 if is_float else _FULL_SCALE[array.dtype.name]

    def block(start: int) -> NDArray[np.float32]:
        with np.errstate(over="ignore"):  # becomes infinite, which is refused later
            return np.asarray(array[start : start + _BLOCK] / scale, dtype=np.float32)

    return (block(start) for start in range(0, len(array), _BLOCK))


def _read(file: BinaryIO, notices: list[Notice]) -> tuple[int, _Mixed]:
    """The rate in the header of ``file`` and its samples, mixed."""
    kind = known_format(file)
    read = _read_plain if kind in _PLAIN else _read_coded
    rate, mixed, promised, whole = read(file, kind, notices)
    found = len(mixed.mono) / rate
    if found < SHORTEST and (promised is not None or not whole):
        raise InputError("sound-damaged")  # the header promised enough
    if found > LONGEST:
        raise InputError("sound-longer", limit=LONGEST)  # decoding stopped there
    _check_length(found)
    slack = _SLACK_CODED if whole and kind not in _PLAIN else _SLACK
    if promised is not None and promised - found > slack:
        notices.append(Notice("sound-incomplete", {"seconds": found, "promised": promised}))
    elif not whole:
        notices.append(Notice("sound-open-end", {"seconds": found}))
    return rate, mixed


def _read_plain(file: BinaryIO, kind: str, notices: list[Notice]) -> tuple[int, _Mixed, float | None, bool]:
    """By libsndfile: rate, samples, the seconds that the header promises, and whether the end is there."""
    promised = wav_samples(file) if kind == "WAV" else None
    file.seek(0)
    try:
        with soundfile.SoundFile(file) as sound:
            if sound.format not in (kind, kind + "EX"):
                raise InputError("sound-damaged")
            rate = int(sound.samplerate)
            samples = int(sound.frames) if promised is None else promised
            if samples == 0:
                raise InputError("sound-damaged")
            _check(rate, int(sound.channels), samples)
            mixed = _mix(_file_blocks(sound, int(LONGEST * rate)))
            return rate, mixed, samples / rate, is_whole(file, kind)
    except (soundfile.SoundFileError, OSError, ValueError, TypeError) as error:
        raise InputError("sound-damaged") from error


def _read_coded(file: BinaryIO, kind: str, notices: list[Notice]) -> tuple[int, _Mixed, float | None, bool]:
    """The same by PyAV, which is loaded now."""
    from mmviz.inputs.audio_containers import opened_track

    with opened_track(file, kind) as track:
        _check_rate(track.rate, track.channels)
        if track.seconds is not None:
            _check_length(track.seconds)
        mixed = _mix(track.blocks(LONGEST))
        _check_rate(track.rate, mixed.channels)  # a header of AAC may say half the rate
        if track.has_video:
            notices.append(Notice("sound-video"))
        if track.delay:
            notices.append(Notice("sound-delay", {"seconds": track.delay}))
        promised = track.seconds
        if track.gap > _GAP:
            notices.append(Notice("sound-gap", {"seconds": track.gap}))
            promised = None if promised is None else promised - track.gap
        return track.rate, mixed, promised, track.is_whole


def _file_blocks(sound: Any, most: int) -> Iterator[NDArray[np.float32]]:
    """float32 ``[sample, channel]``, at most one block over ``most`` samples: a header may understate the length."""
    read = 0
    while read <= most and len(block := sound.read(_BLOCK, dtype="float32", always_2d=True)):
        read += len(block)
        yield block


def _mix(blocks: Iterable[NDArray[np.float32]]) -> _Mixed:
    """The mean of the channels. In pieces, because a minute of 8 channels at 192 kHz is 370 MB."""
    means, peak, energy, clipped, values, channels = [np.zeros(0, np.float32)], 0.0, 0.0, 0, 0, 1
    for block in blocks:
        if not np.isfinite(block).all():
            raise InputError("sound-not-finite")
        channels = block.shape[1]
        means.append(np.asarray(block.mean(axis=1, dtype=np.float64), dtype=np.float32))
        peak = max(peak, float(np.abs(block).max()))
        energy += float(np.square(block, dtype=np.float64).sum())
        clipped += sum(_clipped(sign * block[:, channel]) for channel in range(channels) for sign in (1, -1))
        values += block.size
    values = max(values, 1)
    return _Mixed(np.concatenate(means), channels, peak, (energy / values) ** 0.5, clipped / values)


def _clipped(wave: NDArray[np.float32]) -> int:
    """Samples in runs at the highest value of ``wave`` ``[sample]``, if that is full scale and the runs are cut off.

    A smooth peak has a flat top as well where steps are coarse or the tone is deep. Its top is a parabola, so half
    a run further on it is less than four steps down (0.125 in mu-law); a peak that was cut off by 0.4 dB or more
    falls further.
    """
    highest = wave.max(initial=0)
    if highest < _CLIPPED_LEVEL:
        return 0
    edges = np.flatnonzero(np.diff(np.concatenate(([False], wave == highest, [False])).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    lengths = ends - starts
    before, after = starts - (lengths + 1) // 2, ends - 1 + (lengths + 1) // 2
    falls = np.maximum(highest - wave[np.maximum(before, 0)], highest - wave[np.minimum(after, len(wave) - 1)])
    return int(lengths[(lengths >= _CLIPPED_RUN) & (falls > _CLIPPED_DROP)].sum())


def _finish(mixed: _Mixed, rate: int, notices: list[Notice]) -> AudioInput:
    """Mixed samples -> 16 kHz within -1 .. 1."""
    wave = mixed.mono
    seconds = len(wave) / rate
    if mixed.channels > 1:
        notices.append(Notice("sound-mixed", {"channels": mixed.channels}))
    if mixed.peak < _SILENCE:
        notices.append(Notice("sound-silent"))
    elif float(np.square(wave, dtype=np.float64).mean()) ** 0.5 < _CANCELLED * mixed.rms:
        notices.append(Notice("sound-cancels", {"channels": mixed.channels}))
    if mixed.clipped >= _CLIPPED_SHARE:
        notices.append(Notice("sound-clipped", {"share": mixed.clipped}))
    if rate != SAMPLE_RATE:
        wave = np.asarray(soxr.resample(wave, rate, SAMPLE_RATE, quality="HQ"), dtype=np.float32)
        notices.append(Notice("sound-resampled", {"rate": rate, "kept": SAMPLE_RATE}))
    peak = float(np.abs(wave).max())
    if peak > 1:
        wave = np.clip(wave / np.float32(peak), -1, 1)
        notices.append(Notice("sound-quieter", {"peak": peak}))
    return AudioInput(np.array(wave, dtype=np.float32), SAMPLE_RATE, seconds)
