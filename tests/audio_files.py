"""Audio files made in memory: by libsndfile, by PyAV, and by hand where neither can."""

from __future__ import annotations

import io
import struct
from fractions import Fraction

import av
import numpy as np
import soundfile


def encoded(wave: np.ndarray, rate: int, format: str = "WAV", subtype: str | None = None) -> bytes:
    """Returns ``wave`` ``[sample]`` or ``[sample, channel]`` as a file written by libsndfile."""
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format=format, subtype=subtype)
    return file.getvalue()


class Pipe:
    """A file that can only be written to, one byte after another."""

    def __init__(self, file: io.BytesIO):
        self.write = file.write


def muxed(
    wave: np.ndarray | None,
    rate: int,
    format: str,
    codec: str = "aac",
    video: str | None = None,
    seconds: float = 1.0,
    gap: float = 0.0,
    bit_rate: int | None = None,
    quality: int | None = None,
    is_pipe: bool = False,
    **options: str,
) -> bytes:
    """Returns ``wave`` ``[sample]`` or ``[sample, channel]`` as a file written by PyAV.

    ``video``: codec of a video track of ``seconds``. ``gap``: seconds by which timestamps jump ahead in the middle.
    ``bit_rate``: bits per second, where the codec needs one. ``quality``: for a variable rate.
    ``is_pipe``: the muxer cannot go back to fill in a length.
    ``options``: of the muxer.
    """
    file = io.BytesIO()
    target = Pipe(file) if is_pipe else file
    with av.open(target, "w", format=format, options=options) as container:
        if wave is not None:
            columns = wave[:, None] if wave.ndim == 1 else wave
            layout = "mono" if columns.shape[1] == 1 else "stereo"
            audio = container.add_stream(codec, rate=rate, layout=layout)
            if bit_rate is not None:
                audio.bit_rate = bit_rate
            if quality is not None:
                steps = 118 * quality  # of FFmpeg's lambda
                audio.options = {"flags": "+qscale", "global_quality": str(steps)}
        if video is not None:
            track = container.add_stream(video, rate=10)
            track.width = track.height = 64
            track.pix_fmt = "yuv420p"
            for index in range(round(10 * seconds)):
                frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), index * 25 % 256, np.uint8), format="rgb24")
                container.mux(track.encode(frame))
            container.mux(track.encode(None))
        if wave is not None:
            sample_format = audio.codec_context.format.name if audio.codec_context.format is not None else "fltp"
            resampler = av.AudioResampler(format=sample_format, layout=layout, rate=rate)
            size = audio.codec_context.frame_size or 1_024
            for start in range(0, len(columns), size):
                block = np.ascontiguousarray(columns[start : start + size].T, dtype=np.float32)
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
                frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
                frame.pts = start + (round(gap * rate) if start >= len(columns) // 2 else 0)
                for resampled in resampler.resample(frame):
                    container.mux(audio.encode(resampled))
            container.mux(audio.encode(None))
    return file.getvalue()


def header_first(m4a: bytes) -> bytes:
    """Returns the same M4A with its index before the audio, as in files made for streaming."""
    boxes = {}
    at = 0
    while at < len(m4a):
        length, name = struct.unpack_from(">I4s", m4a, at)
        boxes[name] = bytearray(m4a[at : at + length])
        at += length
    index = boxes[b"moov"]
    table = index.index(b"stco") + 4
    for entry in range(struct.unpack_from(">I", index, table + 4)[0]):
        offset = table + 8 + 4 * entry
        struct.pack_into(">I", index, offset, struct.unpack_from(">I", index, offset)[0] + len(index))
    return bytes(boxes.pop(b"ftyp") + boxes.pop(b"moov") + b"".join(boxes.values()))


def m4a_with_length(m4a: bytes, seconds: float) -> bytes:
    """Returns the same M4A with another length in all its headers (version 0, one track)."""
    data = bytearray(m4a)
    movie_scale = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)[0]
    for name, to_scale, to_length in ((b"mvhd", 16, 20), (b"mdhd", 16, 20), (b"tkhd", 0, 24), (b"elst", 0, 12)):
        at = data.index(name)
        scale = struct.unpack_from(">I", data, at + to_scale)[0] if to_scale else movie_scale
        struct.pack_into(">I", data, at + to_length, round(seconds * scale))
    return bytes(data)


def webm_with_length(webm: bytes, seconds: float) -> bytes:
    """Returns the same WebM with another length in its header, which is in milliseconds."""
    at = webm.index(b"\x44\x89\x88") + 3
    return webm[:at] + struct.pack(">d", seconds * 1e3) + webm[at + 8 :]


def wav_header(
    rate: int = 16_000, channels: int = 1, size: int = 0, tag: int = 1, extra: bytes = b"", bits: int = 16
) -> bytes:
    """Returns a WAV file up to its samples, which declares ``size`` bytes of them."""
    frame = channels * bits // 8
    body = b"WAVE" + extra + b"fmt " + struct.pack("<IHHIIHH", 16, tag, channels, rate, rate * frame, frame, bits)
    return b"RIFF" + struct.pack("<I", (len(body) + 8 + size) & 0xFFFFFFFF) + body + b"data" + struct.pack("<I", size)


def tone(hertz: float, rate: int, seconds: float = 1.0, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
