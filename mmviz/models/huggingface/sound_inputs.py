"""How the extractor of a checkpoint reads a sound: its rate, how much of it, and where its numbers lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.inputs.resample import resample
from mmviz.types import AudioInput, InputFields, MmvizError

Array = NDArray[np.float64]
FBANK_SECONDS = 0.01
"""Seconds from frame to frame of Kaldi's filter banks, which extractors without a hop length use."""
_LOWEST_HERTZ = 20.0
"""Lower end of Kaldi's filter banks."""


def read_waves(extractor: Any, audio: AudioInput) -> list[NDArray[np.float32]]:
    """Returns what of each sound an extractor reads, float32 ``[sample]`` at its own rate.

    An extractor that would draw a part of a longer sound at random (CLAP's) is given the beginning.
    """
    rate, longest = int(extractor.sampling_rate), getattr(extractor, "nb_max_samples", None)
    waves = (wave if rate == audio.rate else resample(wave, audio.rate, rate) for wave in audio.sounds)
    return [np.array(wave[:longest], np.float32) for wave in waves]


def sound_fields(extractor: Any, shape: tuple[int, ...], samples: int, has_bands: bool) -> InputFields:
    """Returns the time in seconds and the frequencies in hertz that each number of an extractor's output covers.

    Args:
        extractor: The feature extractor.
        shape: The shape of its output: ``[row, sample]``, or ``[..., frame, band]`` or ``[..., band, frame]``. Several
            rows of frames are pieces of the sound, one after another.
        samples: Length of what `read_waves` returned.
        has_bands: Whether bands are told apart. Most models join all bands of a frame at once.
    """
    rate = int(extractor.sampling_rate)
    if len(shape) == 2:
        times, hertz = _times(extractor, shape[1], 1, samples), np.array([[0.0], [rate / 2]])
        return _fields(shape, times[:, None, :], hertz[:, None, :])
    bins = int(getattr(extractor, "feature_size", 0) or extractor.num_mel_bins)
    bins = bins if bins in shape[-2:] else int(getattr(extractor, "num_mel_bins", bins))
    is_last = shape[-1] == bins or shape[-2] != bins
    frames, width = (shape[-2], shape[-1]) if is_last else (shape[-1], shape[-2])
    stacked = max(1, width // bins)  # Granite Speech joins two frames
    settings = getattr(extractor, "melspec_kwargs", {})
    hop = getattr(extractor, "hop_length", None) or settings.get("hop_length") or round(rate * FBANK_SECONDS)
    times = _times(extractor, frames, int(hop) * stacked, samples)
    edges = _band_edges(extractor, bins)
    hertz = np.stack([edges[:-1], edges[1:]]) if has_bands else np.array([[edges[0]], [edges[-1]]])
    leading = (1,) * (len(shape) - 2)
    pieces = (np.arange(shape[0]) * frames * hop * stacked / rate).reshape(-1, 1, 1) if len(shape) == 3 else 0
    if is_last:
        return _fields(shape, times.reshape(2, *leading, -1, 1) + pieces, hertz.reshape(2, *leading, 1, -1))
    return _fields(shape, times.reshape(2, *leading, 1, -1) + pieces, hertz.reshape(2, *leading, -1, 1))


def joined_sound_fields(
    extractor: Any, shape: tuple[int, ...], lengths: Sequence[int], audio: AudioInput, has_bands: bool
) -> InputFields:  # fmt: skip
    """Returns `sound_fields` of several sounds, whose rows follow each other: what is beyond a sound is beyond all.

    ``lengths``: samples of each, as `read_waves` returned them. Raises ``MmvizError`` (``hf-sound-rows``) where the
    rows of the output do not tell the sounds apart.
    """
    rows = _rows_of_sounds(extractor, shape, lengths)
    low: list[Array] = []
    high: list[Array] = []
    for part, length, count in zip(audio.parts, lengths, rows, strict=True):
        fields = sound_fields(extractor, (count, *shape[1:]), length, has_bands)
        seconds = part.end - part.start
        is_beyond = fields.low[0] >= seconds
        for ends, own in ((low, fields.low), (high, fields.high)):
            inside = np.minimum(own[0], seconds) + part.start
            ends.append(np.stack([np.where(is_beyond, own[0] + audio.seconds, inside), own[1]]))
    return InputFields(*(np.concatenate(ends, 1).astype(np.float32) for ends in (low, high)))


def _rows_of_sounds(extractor: Any, shape: tuple[int, ...], lengths: Sequence[int]) -> list[int]:
    """Returns how many rows of an extractor's output each sound has: one, or as many as pieces that fill a row."""
    if shape[0] == len(lengths):
        return [1] * len(lengths)
    piece = int(getattr(extractor, "n_samples", 0)) or max(lengths)
    rows = [-(-length // piece) for length in lengths]
    if sum(rows) != shape[0]:
        raise MmvizError("hf-sound-rows", count=len(lengths), rows=shape[0])
    return rows


def _fields(shape: tuple[int, ...], times: Array, hertz: Array) -> InputFields:
    """Returns the fields of both axes, each given by its lower and upper ends and broadcast to ``shape``."""
    low, high = (
        np.stack([np.broadcast_to(axis[end], shape) for axis in (times, hertz)]).astype(np.float32) for end in (0, 1)
    )
    return InputFields(low, high)


def _times(extractor: Any, frames: int, hop: int, samples: int) -> Array:
    """Returns start and end of each frame in seconds, ``[2, frame]``; those of a sound that is repeated lie in it."""
    first = np.arange(frames, dtype=np.float64) * hop
    last = first + hop
    filling = str(getattr(extractor, "padding", ""))
    longest = getattr(extractor, "nb_max_samples", 0) or 0
    if filling.startswith("repeat") and 0 < samples < longest:
        is_repeat = first < samples * (longest // samples if filling == "repeatpad" else longest)
        first = np.where(is_repeat, first % samples, first)
        last = np.where(is_repeat, np.minimum(first + hop, samples), last)
    if samples == longest:  # the sound may go on, but this is all that is read of it
        first, last = np.minimum(first, samples), np.minimum(last, samples)
    return np.stack([first, last]) / float(extractor.sampling_rate)


def _band_edges(extractor: Any, bins: int) -> Array:
    """Returns where the bands of an extractor meet, in hertz, ``[bin + 1]``: in the middle between their centres."""
    rate = float(extractor.sampling_rate)
    is_slaney = getattr(extractor, "truncation", "") == "rand_trunc"  # CLAP has two sets of filters
    filters = getattr(extractor, "mel_filters_slaney" if is_slaney else "mel_filters", None)
    if isinstance(filters, np.ndarray) and filters.shape[-1] == bins:
        hertz = np.linspace(0, rate / 2, len(filters))
        sums = filters.sum(0)
        numbers = np.flatnonzero(sums > 0)  # narrow filters may fall between two frequencies
        centres = np.interp(np.arange(bins), numbers, (filters.T @ hertz)[numbers] / sums[numbers])
        audible = np.flatnonzero(filters.sum(1) > 0)
        ends = hertz[audible[0]], hertz[audible[-1]]
    else:  # Kaldi's, by torchaudio
        mels = np.linspace(_mel(_LOWEST_HERTZ), _mel(rate / 2), bins + 2)
        centres, ends = 700 * (np.exp(mels[1:-1] / 1127) - 1), (_LOWEST_HERTZ, rate / 2)
    return np.array([ends[0], *((centres[1:] + centres[:-1]) / 2), ends[1]])


def _mel(hertz: float) -> float:
    """Returns a frequency on the mel scale of HTK and Kaldi."""
    return 1127 * float(np.log1p(hertz / 700))
