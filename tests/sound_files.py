"""Sound files made in memory: by libsndfile, by PyAV, and by hand where these cannot."""

from __future__ import annotations

import io
import struct
from fractions import Fraction

import av
import numpy as np
import soundfile


def encoded(wave: np.ndarray, rate: int, format: str = "WAV", subtype: str | None = None) -> bytes:
    """By libsndfile; ``wave`` ``[sample]`` or ``[sample, channel]``."""
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format=format, subtype=subtype)
    return file.getvalue()


def muxed(
    wave: np.ndarray | None,
    rate: int,
    format: str,
    codec: str = "aac",
    video: str | None = None,
    seconds: float = 1.0,
    gap: float = 0.0,
    **options: str,
) -> bytes:
    """By PyAV; ``wave`` ``[sample]`` or ``[sample, channel]``, ``video`` a codec of pictures of ``seconds``.

    ``gap``: seconds that the clock jumps ahead in the middle. ``options`` are the muxer's.
    """
    file = io.BytesIO()
    with av.open(file, "w", format=format, options=options) as container:
        if wave is not None:
            columns = wave[:, None] if wave.ndim == 1 else wave
            layout = "mono" if columns.shape[1] == 1 else "stereo"
            sound = container.add_stream(codec, rate=rate, layout=layout)
        if video is not None:
            pictures = container.add_stream(video, rate=10)
            pictures.width = pictures.height = 64
            pictures.pix_fmt = "yuv420p"
            for index in range(round(10 * seconds)):
                frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), index * 25 % 256, np.uint8), format="rgb24")
                container.mux(pictures.encode(frame))
            container.mux(pictures.encode(None))
        if wave is not None:
            wanted = sound.codec_context.format.name if sound.codec_context.format is not None else "fltp"
            resampler = av.AudioResampler(format=wanted, layout=layout, rate=rate)
            size = sound.codec_context.frame_size or 1_024
            for start in range(0, len(columns), size):
                block = np.ascontiguousarray(columns[start : start + size].T, dtype=np.float32)
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
                frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
                frame.pts = start + (round(gap * rate) if start >= len(columns) // 2 else 0)
                for ready in resampler.resample(frame):
                    container.mux(sound.encode(ready))
            container.mux(sound.encode(None))
    return file.getvalue()


def header_first(m4a: bytes) -> bytes:
    """The same M4A with its index before the sound, as files made for streaming have it."""
    boxes = {}
    at = 0
    while at < len(m4a):
        length, name = struct.unpack_from(">I4s", m4a, at)
        boxes[name] = bytearray(m4a[at : at + length])
        at += length
    index = boxes[b"moov"]
    table = index.index(b"stco") + 4
    for entry in range(struct.unpack_from(">I", index, table + 4)[0]):
        place = table + 8 + 4 * entry
        struct.pack_into(">I", index, place, struct.unpack_from(">I", index, place)[0] + len(index))
    return bytes(boxes.pop(b"ftyp") + boxes.pop(b"moov") + b"".join(boxes.values()))


def m4a_that_says(m4a: bytes, seconds: float) -> bytes:
    """The same M4A with another length in all its headers (version 0, one track)."""
    said = bytearray(m4a)
    scale_of_film = struct.unpack_from(">I", said, said.index(b"mvhd") + 16)[0]
    for name, to_scale, to_length in ((b"mvhd", 16, 20), (b"mdhd", 16, 20), (b"tkhd", 0, 24), (b"elst", 0, 12)):
        at = said.index(name)
        scale = struct.unpack_from(">I", said, at + to_scale)[0] if to_scale else scale_of_film
        struct.pack_into(">I", said, at + to_length, round(seconds * scale))
    return bytes(said)


def webm_that_says(webm: bytes, seconds: float) -> bytes:
    """The same WebM with another length in its header, which counts milliseconds."""
    at = webm.index(b"\x44\x89\x88") + 3
    return webm[:at] + struct.pack(">d", seconds * 1e3) + webm[at + 8 :]


def wav_header(
    rate: int = 16_000, channels: int = 1, size: int = 0, tag: int = 1, extra: bytes = b"", bits: int = 16
) -> bytes:
    """A WAV up to its samples, which promises ``size`` bytes of them."""
    frame = channels * bits // 8
    body = b"WAVE" + extra + b"fmt " + struct.pack("<IHHIIHH", 16, tag, channels, rate, rate * frame, frame, bits)
    return b"RIFF" + struct.pack("<I", (len(body) + 8 + size) & 0xFFFFFFFF) + body + b"data" + struct.pack("<I", size)


def tone(hertz: float, rate: int, seconds: float = 1.0, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
