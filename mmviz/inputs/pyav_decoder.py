"""Audio that libsndfile does not read, or whose length it would have to guess, decoded by PyAV (FFmpeg).

FFmpeg gets bytes alone and one demuxer: no path, no playlist, no other file, no network. Only audio codecs are decoded.
The encoder delay that a container declares is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, NoReturn

import av
import numpy as np
from av.error import FFmpegError
from av.stream import Disposition
from numpy.typing import NDArray

from mmviz.inputs.audio_file_checks import asf_seconds, has_length, is_complete, webm_seconds
from mmviz.inputs.decoder_failure import unexpected_errors
from mmviz.types import InputError

DEMUXERS = {
    "MP4": "mov",
    "AAC": "aac",
    "WEBM": "matroska",
    "MP3": "mp3",
    "MP2": "mp3",
    "FLAC": "flac",
    "OGG": "ogg",
    "WAV": "wav",
    "RF64": "wav",
    "W64": "w64",
    "AIFF": "aiff",
    "CAF": "caf",
    "AU": "au",
    "AMR": "amr",
    "ASF": "asf",
}
"""The one demuxer of FFmpeg for each format of `audio_format`."""
_CODECS = (
    "aac alac flac mp3 mp3float mp2 mp2float opus vorbis speex libspeex amrnb amrwb libopencore_amrnb "
    "libopencore_amrwb wmav1 wmav2 wmapro wmavoice gsm gsm_ms adpcm_ms adpcm_ima_wav adpcm_ima_qt pcm_mulaw pcm_alaw "
    "pcm_u8 pcm_s8 pcm_s16le pcm_s16be pcm_s24le pcm_s24be pcm_s32le pcm_s32be pcm_f32le pcm_f32be pcm_f64le pcm_f64be"
).split()
_CODEC_NAMES = {
    "amrnb": "AMR", "amr_nb": "AMR", "amrwb": "AMR-WB", "amr_wb": "AMR-WB", "speex": "Speex", "wmav1": "WMA",
    "wmav2": "WMA", "ac3": "AC-3", "eac3": "E-AC-3", "dca": "DTS", "cook": "RealAudio",
}  # fmt: skip
"""Names of codecs as people know them, where FFmpeg has others."""
_HAS_DURATION = ("MP4", "FLAC", "OGG", "WAV", "RF64", "W64", "AIFF", "CAF", "AU")
"""Formats whose declared length FFmpeg returns; it guesses that of others from the bit rate."""
_FULL_SCALE = {"int16": 2.0**15, "int32": 2.0**31}
_MAX_DELAY = {"aac": 2_112, "mp3": 1_689, "mp3float": 1_689, "mp2": 481, "mp2float": 481}
"""Samples that encoders put before the audio: of AAC 1,024 (FFmpeg) to 2,112 (Apple), of MP3 529 for the decoder and
576 (LAME) to 1,160 (Fraunhofer), of MP2 those of its filters."""
_PADDING = 4_096
"""Samples that the last frames may have beyond the length in an MP4 header."""
_IS_SPEEX_NARROW = av.library_versions["libavcodec"][0] < 62
"""Whether this FFmpeg (before 8, in PyAV before 16) decodes Speex above 8 kHz to twice its length, with wrong tones."""
_METADATA_OPTIONS: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
"""Tags in another encoding than UTF-8 are no reason to refuse a file; from version 19 on they never are."""


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

    def __init__(self, container: Any, kind: str, header_seconds: float | None, has_length: bool, is_complete: bool):
        videos = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
        self.has_video = bool(videos)
        tracks = container.streams.audio
        codecs = [track.codec_context.name if track.codec_context is not None else "unknown" for track in tracks]
        known = [track for track, codec in zip(tracks, codecs, strict=True) if codec in _CODECS]
        if not known and not is_complete:
            raise InputError("audio-damaged")
        if not tracks:
            raise InputError("audio-no-track")
        if not known:
            if codecs[0] == "unknown":
                raise InputError("audio-codec-unknown")
            raise InputError("audio-codec", codec=_CODEC_NAMES.get(codecs[0], codecs[0]))
        self._container, self._kind, self._stream = container, kind, known[0]
        self.rate = int(self._stream.codec_context.sample_rate)
        self.channels = int(self._stream.codec_context.channels)
        if codecs[tracks.index(self._stream)] in ("speex", "libspeex") and self.rate > 8_000 and _IS_SPEEX_NARROW:
            raise InputError("audio-codec", codec="Speex (wide band)")
        if not self.rate or not self.channels:
            raise InputError("audio-damaged")  # no frame declares them
        self.seconds = None
        if kind in _HAS_DURATION and has_length and self._stream.duration:
            self.seconds = float(self._stream.duration * self._stream.time_base)
        elif not self.has_video:  # otherwise it may be the length of the video
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
        is_first, codec, has_frames = True, self._stream.codec_context.name, False
        for packet in self._container.demux(self._stream):
            if packet.is_corrupt and not codec.startswith(
                "pcm"
            ):  # the last packet of PCM may be shorter than the others
                self.is_complete = False
                continue
            if is_first:
                # a delay that the file declares has negative timestamps
                is_declared = packet.pts is not None and packet.pts < 0
                self.delay = 0.0 if is_declared else _MAX_DELAY.get(codec, 0) / self.rate
            is_first = False
            try:
                frames = packet.decode()
            except FFmpegError:
                if (
                    self._kind == "MP3"
                ):  # a tag between two files, or a frame that needs bits of frames that were cut off
                    continue
                if not has_frames:
                    raise
                self.is_complete = False  # what comes after it has no certain place in time
                return
            has_frames = has_frames or bool(frames)
            yield from frames


@contextmanager
def open_track(file: BinaryIO, kind: str) -> Iterator[Track]:
    """Opens the audio track of a file of format ``kind``.

    Raises ``InputError`` for any failure inside the block: ``audio-damaged`` for FFmpeg's own errors,
    ``decoder-failed`` for all others.
    """
    with unexpected_errors("av", "WAV"):
        # before FFmpeg relies on the position in the file
        has_known_length = has_length(file, kind)
        whole = is_complete(file, kind)
        read_seconds = {"WEBM": webm_seconds, "ASF": asf_seconds}.get(kind)
        header_seconds = None if read_seconds is None else read_seconds(file)
        file.seek(0)
        try:
            with open_container(file, DEMUXERS[kind], _CODECS) as container:
                yield Track(container, kind, header_seconds, has_known_length, whole)
        except FFmpegError as error:
            raise InputError("audio-damaged") from error


def open_container(file: BinaryIO, demuxer: str, codecs: Sequence[str]) -> Any:
    """Opens a file by one demuxer. No decoder but those in ``codecs`` is opened, not even to probe."""
    options = {"codec_whitelist": ",".join(codecs)}
    return av.open(file, "r", format=demuxer, options=options, io_open=_refuse_file, **_METADATA_OPTIONS)


def _refuse_file(*args: object) -> NoReturn:
    raise PermissionError


def _samples(frame: Any) -> NDArray[np.float32]:
    """Returns the samples of a frame, float32 ``[sample, channel]`` with full scale 1."""
    array = frame.to_ndarray()  # planar: [channel, sample]; packed: [1, sample * channel]
    values = array.T if frame.format.is_planar else array.reshape(-1, len(frame.layout.channels))
    if values.dtype == np.uint8:  # 128 is silence
        values = (values.astype(np.int16) - 128) * 256
    return np.asarray(values / _FULL_SCALE.get(values.dtype.name, 1.0), dtype=np.float32)
