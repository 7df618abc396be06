"""Baselines: what stands in a removed input's place, for any model.

Images keep their size and audio its length, so nothing else moves. No baseline is neutral: a grey patch is content too,
so every measured effect names the baseline that was used.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mmviz.types import (
    AudioInput,
    Chars,
    ImageInput,
    InputBaseline,
    Modality,
    PixelBox,
    ReplaceInput,
    Sample,
    Seconds,
    SpectrogramPatch,
)

BLUR_RADIUS = 0.08
"""Radius of the blur as a fraction of the image's longer side."""
_LOUDNESS_BLOCK = 0.02
"""Length in seconds of the blocks whose loudness blurred audio keeps."""


def replace_input(sample: Sample, change: ReplaceInput, seed: int = 0) -> Sample:
    """Returns ``sample`` with parts of one modality replaced by a baseline, see `mmviz.types.ReplaceInput`.

    A missing modality stays missing, and a text of which nothing is left becomes missing. ``seed``: of the noise.
    """
    if change.modality is Modality.IMAGE and sample.image is not None:
        boxes = _boxes_of(change.locations)
        return replace(sample, image=_replace_image(sample.image, boxes, change.baseline, seed))
    if change.modality is Modality.AUDIO and sample.audio is not None:
        intervals = [location for location in change.locations if isinstance(location, Seconds)]
        return replace(sample, audio=_replace_audio(sample.audio, intervals, change.baseline, seed))
    if change.modality is Modality.TEXT and sample.text is not None:
        spans = [location for location in change.locations if isinstance(location, Chars)]
        return replace(sample, text=_remove_text(sample.text, spans))
    return sample


def swap_input(
    sample: Sample, other: Sample, modality: Modality, locations: Sequence[PixelBox | Seconds | Chars] = ()
) -> Sample:
    """Returns ``sample`` with one modality taken from ``other``, whole or at ``locations`` only.

    The other image is resized to this one's size and the other audio cut or padded to this one's length. Words are
    replaced by the words of the same number in the other text. Where one of the two lacks the modality, it is swapped
    as a whole.
    """
    if modality is Modality.IMAGE:
        image, other_image = sample.image, other.image
        if image is None or other_image is None or not locations:
            return replace(sample, image=other_image)
        height, width = image.pixels.shape[:2]
        resized = np.asarray(Image.fromarray(other_image.pixels).resize((width, height), Image.Resampling.BOX))
        mask = _box_mask(image, _boxes_of(locations))
        return replace(sample, image=replace(image, pixels=np.where(mask[..., None], resized, image.pixels)))
    if modality is Modality.AUDIO:
        audio, other_audio = sample.audio, other.audio
        if audio is None or other_audio is None or not locations:
            return replace(sample, audio=other_audio)
        wave = np.zeros_like(audio.wave)
        wave[: len(other_audio.wave)] = other_audio.wave[: len(wave)]
        intervals = [location for location in locations if isinstance(location, Seconds)]
        return replace(sample, audio=replace(audio, wave=_blended(audio, wave, intervals)))
    if sample.text is None or other.text is None or not locations:
        return replace(sample, text=other.text)
    replaced = {k for span in locations if isinstance(span, Chars) for k in range(span.start, span.end)}
    other_words = other.text.split()
    words = [
        word[0] if not replaced & set(range(word.start(), word.end())) else " ".join(other_words[k : k + 1])
        for k, word in enumerate(re.finditer(r"\S+", sample.text))
    ]
    return replace(sample, text=" ".join(word for word in words if word) or None)


def _boxes_of(locations: Sequence[PixelBox | Seconds | Chars]) -> list[PixelBox]:
    """Returns the rectangles of all locations in an image, those of a tube in each of its frames."""
    return [box for location in locations if isinstance(location, PixelBox) for box in location.boxes]


def _box_mask(image: ImageInput, boxes: Sequence[PixelBox]) -> NDArray[np.bool_]:
    """Returns ``[height, width]``, True inside ``boxes``, which are in pixels of the (maybe larger) original."""
    height, width = image.pixels.shape[:2]
    mask = np.zeros((height, width), bool)
    for box in boxes:
        columns = _index_range(box.x0, box.x1, image.width, width)
        mask[_index_range(box.y0, box.y1, image.height, height), columns] = True
    return mask


def _time_mask(audio: AudioInput, intervals: Sequence[Seconds]) -> NDArray[np.bool_]:
    """Returns ``[sample]``, True inside ``intervals``."""
    mask = np.zeros(audio.wave.shape, bool)
    for interval in intervals:
        mask[_index_range(interval.start, interval.end, len(audio.wave) / audio.rate, len(audio.wave))] = True
    return mask


def _blended(audio: AudioInput, values: NDArray[np.floating], intervals: Sequence[Seconds]) -> NDArray[np.float32]:
    """Returns the wave with ``values`` inside ``intervals``; of a patch of the spectrogram, in its band alone."""
    mask = _time_mask(audio, [interval for interval in intervals if not isinstance(interval, SpectrogramPatch)])
    wave = np.where(mask, values, audio.wave).astype(np.float64)
    difference = np.where(mask, 0, values - audio.wave)
    for patch in intervals:
        if isinstance(patch, SpectrogramPatch):
            part = _index_range(patch.start, patch.end, len(wave) / audio.rate, len(wave))
            spectrum = np.fft.rfft(difference[part])
            hertz = np.fft.rfftfreq(part.stop - part.start, 1 / audio.rate)
            spectrum[(hertz < patch.low_hertz) | (hertz >= patch.high_hertz)] = 0
            wave[part] += np.fft.irfft(spectrum, part.stop - part.start)
    return np.clip(wave, -1, 1).astype(np.float32)


def _index_range(start: float, end: float, length: float, count: int) -> slice:
    """Returns the indices of ``start`` to ``end`` where a ``length`` is stored as ``count`` values."""
    first, last = (round(min(max(0.0, edge), length) * count / length) for edge in (start, end))
    return slice(first, last)


def _replace_image(image: ImageInput, boxes: Sequence[PixelBox], baseline: InputBaseline, seed: int) -> ImageInput:
    pixels = image.pixels
    height, width = pixels.shape[:2]
    if baseline == "mean":
        values = np.broadcast_to(np.rint(pixels.mean((0, 1))), pixels.shape)
    elif baseline == "blur":
        blur = ImageFilter.GaussianBlur(BLUR_RADIUS * max(width, height))
        values = np.asarray(Image.fromarray(pixels).filter(blur))
    else:
        rng = np.random.default_rng(seed)
        values = rng.normal(pixels.mean((0, 1)), pixels.std((0, 1)), pixels.shape)
    mask = _box_mask(image, boxes) if boxes else np.ones((height, width), bool)
    replaced = np.where(mask[..., None], np.rint(np.clip(values, 0, 255)), pixels)
    return replace(image, pixels=replaced.astype(np.uint8))


def _replace_audio(audio: AudioInput, intervals: Sequence[Seconds], baseline: InputBaseline, seed: int) -> AudioInput:
    wave = audio.wave
    rng = np.random.default_rng(seed)
    values: NDArray[np.floating]
    if baseline == "mean":
        values = np.full_like(wave, wave.mean())
    elif baseline == "noise":
        values = rng.normal(0, wave.std(), wave.shape)
    else:
        values = rng.normal(0, 1, wave.shape) * _loudness(wave, max(1, round(_LOUDNESS_BLOCK * audio.rate)))
    values = np.clip(values, -1, 1)
    return replace(audio, wave=_blended(audio, values, intervals) if intervals else values.astype(np.float32))


def _loudness(wave: NDArray[np.float32], block: int) -> NDArray[np.float64]:
    """Returns ``[sample]``: the root mean square of the block of ``block`` samples that each sample is in."""
    starts = np.arange(0, len(wave), block)
    power = np.add.reduceat(wave.astype(np.float64) ** 2, starts) / np.diff([*starts, len(wave)])
    return np.repeat(np.sqrt(power), block)[: len(wave)]


def _remove_text(text: str, spans: Sequence[Chars]) -> str | None:
    """Returns the text without the characters in ``spans``, or without any for no spans; None where nothing is left."""
    removed = {k for span in spans for k in range(span.start, min(span.end, len(text)))}
    kept = "".join(letter for k, letter in enumerate(text) if spans and k not in removed)
    return " ".join(kept.split()) or None
