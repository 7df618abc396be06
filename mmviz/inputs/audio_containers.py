"""Sounds that libsndfile does not read (M4A, AAC, WebM, the sound of a video), decoded by PyAV (FFmpeg).

FFmpeg sees bytes alone, as the one format that they were recognised as: no path, no playlist, no other file, no
network. Only codecs of sound are decoded, and what the container says about an encoder's delay is followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NoReturn

import av
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray

from mmviz.inputs.audio_header import is_whole, webm_seconds
from mmviz.types import InputError

DEMUXERS = {"MP4": "mov", "AAC": "aac", "WEBM": "matroska"}
"""Format as in `known_format` -> the one demuxer of FFmpeg that may read it."""
_CODECS = (
    "aac alac flac mp3 mp3float opus vorbis pcm_s16le pcm_s16be pcm_s24le pcm_s24be pcm_s32le pcm_s32be pcm_f32le "
    "pcm_f32be"
).split()
_FULL_SCALE = {"int16": 2.0**15, "int32": 2.0**31}
_RUN_IN = 2_112
"""Samples that AAC encoders put before the sound: 1,024 (FFmpeg's) to 2,112 (Apple's)."""
_PADDING = 4_096
"""Samples by which the last frames may reach beyond the length in an MP4 header."""


class Track:
    """The first sound track of an open file. Headers are read, nothing is decoded until `blocks`.

    ``rate`` Hz, ``channels``, and ``seconds`` (None: not said) are those of the header; ``has_video``. After `blocks`:
    ``rate`` as decoded; ``is_whole``, whether the end is there; ``gap``, seconds by which the sound lags behind the
    file's own clock; ``delay``, seconds of an encoder's delay about which the file says nothing (0: it does).
    """

    def __init__(self, container: Any, kind: str, said: float | None, is_whole: bool):
        videos = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
        self.has_video = bool(videos)
        tracks = [one for one in container.streams if one.type == "audio"]
        codecs = [one.codec_context.name if one.codec_context is not None else "unknown" for one in tracks]
        known = [one for one, codec in zip(tracks, codecs, strict=True) if codec in _CODECS]
        if not known and not is_whole:
            raise InputError("sound-damaged")
        if not tracks:
            raise InputError("sound-no-track")
        if not known:
            raise InputError("sound-codec", codec=codecs[0])
        self._container, self._kind, self._stream = container, kind, known[0]
        self.rate = int(self._stream.codec_context.sample_rate)
        self.channels = int(self._stream.codec_context.channels)
        if not self.rate or not self.channels:
            raise InputError("sound-damaged")  # no frame was found that says them
        self.seconds: float | None = None
        if kind == "MP4" and self._stream.duration:
            self.seconds = float(self._stream.duration * self._stream.time_base)
        elif kind == "WEBM" and not self.has_video:  # otherwise it may be the length of the pictures
            self.seconds = said
        self.is_whole, self.gap, self.delay = is_whole, 0.0, 0.0

    def blocks(self, longest: float) -> Iterator[NDArray[np.float32]]:
        """float32 ``[sample, channel]``, full scale 1, little more than ``longest`` seconds: a header may understate.

        Raises ``InputError``: the rate or the number of channels changes on the way.
        """
        read, first, shape, end = 0, None, None, float("inf")
        beyond: list[NDArray[np.float32]] = []
        for frame in self._frames():
            found = (frame.sample_rate, len(frame.layout.channels))
            if shape is None:
                shape, self.rate, first = found, found[0], frame.time
                if self._kind == "MP4" and self.seconds is not None:
                    end = round(self.seconds * self.rate)
            elif found != shape:
                raise InputError("sound-changes")
            if first is not None and frame.time is not None:
                self.gap = max(self.gap, frame.time - first - read / self.rate)
            block = _values(frame)
            kept = int(min(len(block), max(0, end - read)))
            read += len(block)
            if kept:
                yield block[:kept]
            if kept < len(block):  # padding of the encoder, or more than the header says
                beyond.append(block[kept:])
                if read - end > _PADDING:
                    yield from beyond
                    beyond, end = [], float("inf")
            if read > longest * self.rate:
                return

    def _frames(self) -> Iterator[Any]:
        is_first = True
        for packet in self._container.demux(self._stream):
            if packet.is_corrupt:
                self.is_whole = False
                continue
            if is_first and self._stream.codec_context.name == "aac":
                # a delay that the file says lies before the zero of its clock
                self.delay = 0.0 if packet.pts is not None and packet.pts < 0 else _RUN_IN / self.rate
            is_first = False
            yield from packet.decode()


@contextmanager
def opened_track(file: BinaryIO, kind: str) -> Iterator[Track]:
    """The sound track of ``file``, whose format is ``kind``. Raises ``InputError`` for whatever fails in between."""
    try:
        # before FFmpeg relies on where the file stands
        whole, said = is_whole(file, kind), webm_seconds(file) if kind == "WEBM" else None
        file.seek(0)
        options = {"codec_whitelist": ",".join(_CODECS)}  # no decoder of pictures is opened, not even to look
        with av.open(
            file, "r", format=DEMUXERS[kind], options=options, metadata_errors="replace", io_open=_no_other_file
        ) as container:
            yield Track(container, kind, said, whole)
    except InputError:
        raise
    except Exception as error:  # hostile bytes make FFmpeg fail in many ways; all mean the same to the user
        raise InputError("sound-damaged") from error


def _no_other_file(*asked: object) -> NoReturn:
    raise PermissionError


def _values(frame: Any) -> NDArray[np.float32]:
    """The samples of a frame, float32 ``[sample, channel]``, full scale 1."""
    array = frame.to_ndarray()  # planar: [channel, sample]; packed: [1, sample * channel]
    values = array.T if frame.format.is_planar else array.reshape(-1, len(frame.layout.channels))
    return np.asarray(values / _FULL_SCALE.get(values.dtype.name, 1.0), dtype=np.float32)
