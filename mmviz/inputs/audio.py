"""A sound from a file, bytes or numpy -> a checked ``Sound``, 16 kHz mono.

Limits are decided from the header, before any sample is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from mmviz.inputs import opened
from mmviz.inputs.mel import SAMPLE_RATE
from mmviz.types import InputError, Notice, Sound

AudioSource = str | Path | bytes | NDArray[Any]

LOWEST_RATE, HIGHEST_RATE = 8_000, 192_000
MOST_CHANNELS = 8
SHORTEST, LONGEST = 0.1, 60.0
"""Seconds."""

_FULL_SCALE = {"int16": 2.0**15, "int32": 2.0**31}
_SILENCE = 1e-4
"""-80 dB of full scale: about three steps of a 16-bit recording."""
_CANCELLED = 0.03
"""A mix 30 dB below its channels; unrelated channels lose 9 dB at most (8 of them)."""
_BLOCK = 65_536
_SLACK = 0.01
"""Seconds by which a header may be wrong without a word."""
_PLAIN_WAV = (1, 3, 0xFFFE)
_UNKNOWN_SIZE = 0x7FFF_0000
"""Programs that write WAV into a pipe put this or more as the size, for want of a better one."""


def load_audio(source: AudioSource, rate: int | None = None) -> tuple[Sound, tuple[Notice, ...]]:
    """A checked sound and what was done to it.

    Parameters: ``source``, the path or the bytes of a WAV, FLAC, OGG or MP3 file, or an array, float -1 .. 1, int16
    or int32, ``[sample]`` or ``[sample, channel]``; ``rate`` of an array in Hz.
    Returns: ``wave`` float32 ``[sample]`` at 16 kHz, within -1 .. 1; ``seconds`` is samples / rate of the original.
    Raises ``InputError``: outside 8 .. 192 kHz, 8 channels or 0.1 .. 60 s; an array without a rate; values that are
    not finite; damaged, empty, missing, another format.
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
    """``mono`` float32 ``[sample]`` at the original rate; loudness of the channels it was mixed from."""

    mono: NDArray[np.float32]
    channels: int
    peak: float
    rms: float


def _check(rate: int, channels: int, samples: int) -> None:
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise InputError("sound-rate", rate=rate, low=LOWEST_RATE, high=HIGHEST_RATE)
    if not 1 <= channels <= MOST_CHANNELS:
        raise InputError("sound-channels", channels=channels, limit=MOST_CHANNELS)
    _check_length(samples / rate)


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
    start = file.read(16)
    if not start:
        raise InputError("sound-empty")
    expected = _known_format(start)
    promised = _wav_samples(file) if expected == "WAV" else None
    file.seek(0)
    try:
        with soundfile.SoundFile(file) as sound:
            if sound.format not in (expected, expected + "EX"):
                raise InputError("sound-damaged")
            rate = int(sound.samplerate)
            samples = int(sound.frames) if promised is None else promised
            if samples == 0:
                raise InputError("sound-damaged")
            _check(rate, int(sound.channels), samples)
            mixed = _mix(_file_blocks(sound, int(LONGEST * rate)))
            is_whole = _is_whole(file, expected)
    except (soundfile.SoundFileError, OSError, ValueError, TypeError) as error:
        raise InputError("sound-damaged") from error
    found = len(mixed.mono) / rate
    if found < SHORTEST:
        raise InputError("sound-damaged")  # the header promised enough
    _check_length(found)
    if samples / rate - found > _SLACK:
        notices.append(Notice("sound-incomplete", {"seconds": found, "promised": samples / rate}))
    elif not is_whole:
        notices.append(Notice("sound-open-end", {"seconds": found}))
    return rate, mixed


def _known_format(start: bytes) -> str:
    if start.startswith(b"RIFF") and start[8:12] == b"WAVE":
        return "WAV"
    if start.startswith(b"fLaC"):
        return "FLAC"
    if start.startswith(b"OggS"):
        return "OGG"
    if start.startswith(b"ID3") or (start[0] == 0xFF and len(start) > 1 and start[1] & 0xE6 == 0xE2):
        return "MP3"
    raise InputError("sound-format")


def _wav_samples(file: BinaryIO) -> int | None:
    """Samples per channel that a WAV header promises: libsndfile quietly trims the number to what is there."""
    file.seek(12)
    frame = 0
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        if name == b"fmt ":
            fields = file.read(16)
            if len(fields) < 16:
                return None
            tag, frame = struct.unpack_from("<H", fields)[0], struct.unpack_from("<H", fields, 12)[0]
            if tag not in _PLAIN_WAV:
                return None  # compressed: a block is not a sample
            file.seek(size - 16 + size % 2, 1)
        elif name == b"data":
            return None if frame == 0 or size == 0 or size >= _UNKNOWN_SIZE else int(size // frame)
        else:
            file.seek(size + size % 2, 1)
    return None


def _file_blocks(sound: Any, most: int) -> Iterator[NDArray[np.float32]]:
    """float32 ``[sample, channel]``, at most one block over ``most`` samples: a header may understate the length."""
    read = 0
    while read <= most and len(block := sound.read(_BLOCK, dtype="float32", always_2d=True)):
        read += len(block)
        yield block


def _is_whole(file: BinaryIO, format: str) -> bool:
    """False where the end of the sound is missing or was not reached; ``file`` stands where the decoder left it."""
    read, size = file.tell(), file.seek(0, 2)
    if format == "MP3":  # without a length in it libsndfile guesses one, and stops there (a tag may follow the sound)
        return size - read <= max(4_096, size // 20)
    if format == "OGG":  # the last page says that it is the last; a page is at most 65,307 bytes
        file.seek(max(0, size - 65_536))
        tail = file.read()
        page = tail.rfind(b"OggS")
        return page >= 0 and len(tail) > page + 5 and tail[page + 5] & 4 != 0
    return True


def _mix(blocks: Iterable[NDArray[np.float32]]) -> _Mixed:
    """The mean of the channels. In pieces, because a minute of 8 channels at 192 kHz is 370 MB."""
    means, peak, energy, values, channels = [np.zeros(0, np.float32)], 0.0, 0.0, 0, 1
    for block in blocks:
        if not np.isfinite(block).all():
            raise InputError("sound-not-finite")
        channels = block.shape[1]
        means.append(np.asarray(block.mean(axis=1, dtype=np.float64), dtype=np.float32))
        peak = max(peak, float(np.abs(block).max()))
        energy += float(np.square(block, dtype=np.float64).sum())
        values += block.size
    return _Mixed(np.concatenate(means), channels, peak, (energy / max(values, 1)) ** 0.5)


def _finish(mixed: _Mixed, rate: int, notices: list[Notice]) -> Sound:
    """Mixed samples -> 16 kHz within -1 .. 1."""
    wave = mixed.mono
    seconds = len(wave) / rate
    if mixed.channels > 1:
        notices.append(Notice("sound-mixed", {"channels": mixed.channels}))
    if mixed.peak < _SILENCE:
        notices.append(Notice("sound-silent"))
    elif float(np.square(wave, dtype=np.float64).mean()) ** 0.5 < _CANCELLED * mixed.rms:
        notices.append(Notice("sound-cancels", {"channels": mixed.channels}))
    if rate != SAMPLE_RATE:
        wave = np.asarray(soxr.resample(wave, rate, SAMPLE_RATE, quality="HQ"), dtype=np.float32)
        notices.append(Notice("sound-resampled", {"rate": rate, "kept": SAMPLE_RATE}))
    peak = float(np.abs(wave).max())
    if peak > 1:
        wave = np.clip(wave / np.float32(peak), -1, 1)
        notices.append(Notice("sound-quieter", {"peak": peak}))
    return Sound(np.array(wave, dtype=np.float32), SAMPLE_RATE, seconds)
