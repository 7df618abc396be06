"""Audio that libsndfile does not read (M4A, AAC, WebM, audio tracks of videos), decoded by PyAV (FFmpeg).

FFmpeg gets bytes alone and one demuxer: no path, no playlist, no other file, no network. Only audio codecs are decoded.
The encoder delay that a container declares is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NoReturn

import av
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray

from mmviz.inputs.audio_file_checks import is_complete, webm_seconds
from mmviz.types import InputError

DEMUXERS = {"MP4": "mov", "AAC": "aac", "WEBM": "matroska"}
"""The one demuxer of FFmpeg for each format of `audio_format`."""
_CODECS = (
    "aac alac flac mp3 mp3float opus vorbis pcm_s16le pcm_s16be pcm_s24le pcm_s24be pcm_s32le pcm_s32be pcm_f32le "
    "pcm_f32be"
).split()
_FULL_SCALE = {"int16": 2.0**15, "int32": 2.0**31}
_MAX_DELAY = 2_112
"""Samples that AAC encoders put before the audio: 1,024 (FFmpeg) to 2,112 (Apple)."""
_PADDING = 4_096
"""Samples that the last frames may have beyond the length in an MP4 header."""


class Track:
    """The first audio track of an open file. Its header is read; nothing is decoded before `blocks`.

    Raises ``InputError``: ``audio-no-track``, ``audio-codec``, ``audio-damaged``.
    """

    rate: int
    """Hz, from the header; after `blocks` as decoded."""
    channels: int
    """Number of channels, from the header."""
    seconds: float | None
    """Length from the header; None where it has none."""
    has_video: bool
    """Whether the file is a video."""
    is_complete: bool
    """Whether the end of the file is there; final after `blocks`."""
    gap: float
    """Seconds by which the decoded audio lags behind the timestamps of the file; after `blocks`."""
    delay: float
    """Seconds of encoder delay that the file does not declare, 0 where it does; after `blocks`."""

    def __init__(self, container: Any, kind: str, header_seconds: float | None, is_complete: bool):
        videos = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
        self.has_video = bool(videos)
        tracks = [stream for stream in container.streams if stream.type == "audio"]
        codecs = [track.codec_context.name if track.codec_context is not None else "unknown" for track in tracks]
        known = [track for track, codec in zip(tracks, codecs, strict=True) if codec in _CODECS]
        if not known and not is_complete:
            raise InputError("audio-damaged")
        if not tracks:
            raise InputError("audio-no-track")
        if not known:
            raise InputError("audio-codec", codec=codecs[0])
        self._container, self._kind, self._stream = container, kind, known[0]
        self.rate = int(self._stream.codec_context.sample_rate)
        self.channels = int(self._stream.codec_context.channels)
        if not self.rate or not self.channels:
            raise InputError("audio-damaged")  # no frame declares them
        self.seconds = None
        if kind == "MP4" and self._stream.duration:
            self.seconds = float(self._stream.duration * self._stream.time_base)
        elif kind == "WEBM" and not self.has_video:  # otherwise it may be the length of the video
            self.seconds = header_seconds
        self.is_complete, self.gap, self.delay = is_complete, 0.0, 0.0

    def blocks(self, limit: float) -> Iterator[NDArray[np.float32]]:
        """Yields float32 ``[sample, channel]`` with full scale 1, little more than ``limit`` seconds.

        Raises ``InputError`` (``audio-changes``) where the rate or the number of channels changes.
        """
        read, start, layout, end = 0, None, None, float("inf")
        beyond: list[NDArray[np.float32]] = []
        for frame in self._frames():
            frame_layout = (frame.sample_rate, len(frame.layout.channels))
            if layout is None:
                layout, self.rate, start = frame_layout, frame.sample_rate, frame.time
                if self._kind == "MP4" and self.seconds is not None:
                    end = round(self.seconds * self.rate)
            elif frame_layout != layout:
                raise InputError("audio-changes")
            if start is not None and frame.time is not None:
                self.gap = max(self.gap, frame.time - start - read / self.rate)
            block = _samples(frame)
            kept = int(min(len(block), max(0, end - read)))
            read += len(block)
            if kept:
                yield block[:kept]
            if kept < len(block):  # padding of the encoder, or more than the header declares
                beyond.append(block[kept:])
                if read - end > _PADDING:
                    yield from beyond
                    beyond, end = [], float("inf")
            if read > limit * self.rate:
                return

    def _frames(self) -> Iterator[Any]:
        is_first = True
        for packet in self._container.demux(self._stream):
            if packet.is_corrupt:
                self.is_complete = False
                continue
            if is_first and self._stream.codec_context.name == "aac":
                # a delay that the file declares has negative timestamps
                self.delay = 0.0 if packet.pts is not None and packet.pts < 0 else _MAX_DELAY / self.rate
            is_first = False
            yield from packet.decode()


@contextmanager
def open_track(file: BinaryIO, kind: str) -> Iterator[Track]:
    """Opens the audio track of a file of format ``kind``. Raises ``InputError`` for any failure inside the block."""
    try:
        # before FFmpeg relies on the position in the file
        whole, header_seconds = is_complete(file, kind), webm_seconds(file) if kind == "WEBM" else None
        file.seek(0)
        options = {"codec_whitelist": ",".join(_CODECS)}  # no video decoder is opened, not even to probe
        with av.open(
            file, "r", format=DEMUXERS[kind], options=options, metadata_errors="replace", io_open=_refuse_file
        ) as container:
            yield Track(container, kind, header_seconds, whole)
    except InputError:
        raise
    except Exception as error:  # hostile bytes make FFmpeg fail in many ways; all mean the same to the user
        raise InputError("audio-damaged") from error


def _refuse_file(*args: object) -> NoReturn:
    raise PermissionError


def _samples(frame: Any) -> NDArray[np.float32]:
    """Returns the samples of a frame, float32 ``[sample, channel]`` with full scale 1."""
    array = frame.to_ndarray()  # planar: [channel, sample]; packed: [1, sample * channel]
    values = array.T if frame.format.is_planar else array.reshape(-1, len(frame.layout.channels))
    return np.asarray(values / _FULL_SCALE.get(values.dtype.name, 1.0), dtype=np.float32)
