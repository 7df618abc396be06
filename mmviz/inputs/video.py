"""The frames of a video, evenly spread, as pictures of one sheet that stand for moments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from av.error import FFmpegError
from av.stream import Disposition
from PIL import Image

from mmviz.inputs.audio_formats import audio_format
from mmviz.inputs.decoder_failure import unexpected_errors
from mmviz.inputs.image import load_image
from mmviz.inputs.image_header import check_size, decoding, read_header
from mmviz.inputs.pyav_decoder import DEMUXERS, open_container
from mmviz.inputs.several_inputs import join_pictures
from mmviz.inputs.source_file import open_source
from mmviz.types import ImageInput, InputError, Notice, Seconds

FRAMES = 8
"""Frames that are used of a video."""
MAX_SECONDS = 60.0
"""Longest video."""
_LONGEST_SIDE = 1_024
"""Pixels to which frames are reduced while others are read."""
_CONTAINERS = ("MP4", "WEBM", "ASF")
_CODECS = ("h264", "hevc", "vp8", "vp9", "libvpx", "libvpx-vp9", "av1", "libdav1d", "libaom-av1", "mpeg4", "mjpeg",
           "wmv2", "vc1", "wmv3", "prores")  # fmt: skip


def load_video(source: str | Path | bytes) -> tuple[ImageInput, tuple[Notice, ...]]:
    """Returns frames of a video on one sheet, whose parts are `VideoPatch`es, and notices of what was done.

    Args:
        source: path or bytes of an MP4, MOV, MKV, WebM or WMV file, or of an animated GIF, PNG or WebP.

    Raises:
        InputError: ``video-none`` for a file without a video; ``video-long`` above 60 s; ``video-damaged``; and as
            `load_image` does.
    """
    if not isinstance(source, str | Path | bytes):
        raise InputError("video-source", kind=type(source).__name__)
    with open_source(source) as file, unexpected_errors("av", "MP4"):
        frames = _Thinned()
        kind = _container(file)
        file.seek(0)
        for image, start, end in _animation(file) if kind is None else _decoded(file, kind):
            frames.add(image, start, end)
    chosen = frames.chosen()
    if not chosen:
        raise InputError("video-damaged")
    starts = [start for _, start in chosen]
    moments = [Seconds(*pair) for pair in zip(starts, [*starts[1:], frames.end], strict=True)]
    pictures = [load_image(image)[0] for image, _ in chosen]
    sheet, notices = join_pictures(pictures, moments)
    step = frames.end / len(chosen)
    return sheet, (Notice("video-frames", {"count": len(chosen), "step": step}), *notices)


class _Thinned:
    """Frames at even steps, whatever their number: every second is dropped as soon as there are too many."""

    def __init__(self) -> None:
        self.end = 0.0
        self._kept: list[tuple[Image.Image, float]] = []
        self._step, self._count = 1, 0

    def add(self, image: Image.Image, start: float, end: float) -> None:
        """Takes the next frame. Raises ``InputError`` (``video-long``)."""
        if end > MAX_SECONDS:
            raise InputError("video-long", limit=MAX_SECONDS)
        if self._count % self._step == 0:
            small = image.convert("RGB")
            small.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
            self._kept.append((small, start))
        self._count += 1
        self.end = max(self.end, end)
        if len(self._kept) > 4 * FRAMES:
            self._kept, self._step = self._kept[::2], self._step * 2

    def chosen(self) -> list[tuple[Image.Image, float]]:
        """Returns the frames that are used, with the second at which each begins."""
        count = min(FRAMES, len(self._kept))
        return [self._kept[int(place)] for place in np.arange(count) * len(self._kept) / max(count, 1)]


def _container(file: BinaryIO) -> str | None:
    """Returns the format of a container of videos; None for any other file."""
    try:
        kind = audio_format(file)
    except InputError:
        return None
    return kind if kind in _CONTAINERS else None


def _animation(file: BinaryIO) -> Iterator[tuple[Image.Image, float, float]]:
    """Yields the frames of an animated picture with start and end in seconds."""
    try:
        image: Any = read_header(file)
    except InputError as error:
        raise InputError("video-none") from error
    count = int(getattr(image, "n_frames", 1))
    if count < 2 or image.format not in ("GIF", "PNG", "WEBP"):
        raise InputError("video-none")
    end = 0.0
    for number in range(count):
        with decoding(image.format):
            image.seek(number)
            image.load()
        start, end = end, end + max(float(image.info.get("duration", 0) or 0), 10.0) / 1_000
        yield image, start, end


def _decoded(file: BinaryIO, kind: str) -> Iterator[tuple[Image.Image, float, float]]:
    """Yields the frames of the first video in a container with start and end in seconds."""
    try:
        with open_container(file, DEMUXERS[kind], _CODECS) as container:
            videos = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
            if not videos or videos[0].codec_context is None:
                raise InputError("video-none")
            check_size(videos[0].codec_context.width, videos[0].codec_context.height)
            first, rate = None, float(videos[0].average_rate or 25)
            for frame in container.decode(videos[0]):
                if frame.time is None:
                    continue
                first = frame.time if first is None else first
                start = max(0.0, frame.time - first)
                turned = frame.to_image().rotate(getattr(frame, "rotation", 0) or 0, expand=True)
                yield turned, start, start + 1 / rate
    except FFmpegError as error:
        raise InputError("video-damaged") from error
