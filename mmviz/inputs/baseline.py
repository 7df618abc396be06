"""Something without content in the place of a part of an input: what "taken away" can mean for any model.

Pictures and sounds keep their size and length, so that nothing else moves. None of the fills is neutral: a grey patch
is a thing to see, too. So whoever measures an effect says which one was used.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mmviz.types import AudioInput, Chars, ImageInput, InputBaseline, Modality, PixelBox, ReplaceInput, Sample, Seconds

BLUR_SHARE = 0.08
"""Radius of the blur as a share of the picture's longer side."""
_BLOCK = 0.02
"""Seconds over which the loudness of a blurred sound is even."""


def replaced(sample: Sample, change: ReplaceInput, seed: int = 0) -> Sample:
    """``sample`` with a part of one modality replaced, see `mmviz.types.Replace`; a modality that is missing stays so.

    ``seed``: of the noise. A text of which nothing is left is missing.
    """
    if change.modality is Modality.IMAGE and sample.image is not None:
        boxes = [place for place in change.locations if isinstance(place, PixelBox)]
        return replace(sample, image=_picture(sample.image, boxes, change.fill, seed))
    if change.modality is Modality.AUDIO and sample.audio is not None:
        stretches = [place for place in change.locations if isinstance(place, Seconds)]
        return replace(sample, audio=_sound(sample.audio, stretches, change.fill, seed))
    if change.modality is Modality.TEXT and sample.text is not None:
        return replace(
            sample, text=_text(sample.text, [place for place in change.locations if isinstance(place, Chars)])
        )
    return sample


def swapped(
    sample: Sample, other: Sample, modality: Modality, where: Sequence[PixelBox | Seconds | Chars] = ()
) -> Sample:
    """``sample`` with one modality of ``other`` in place of its own, or only at ``where``: the same part of the other
    picture or sound (as large as this one, as long), the words of the same number of the other text.

    A modality that either lacks is taken whole, or left out."""
    if modality is Modality.IMAGE:
        mine, its = sample.image, other.image
        if mine is None or its is None or not where:
            return replace(sample, image=its)
        height, width = mine.pixels.shape[:2]
        fitted = np.asarray(Image.fromarray(its.pixels).resize((width, height), Image.Resampling.BOX))
        within = _within_boxes(mine, [place for place in where if isinstance(place, PixelBox)])
        return replace(sample, image=replace(mine, pixels=np.where(within[..., None], fitted, mine.pixels)))
    if modality is Modality.AUDIO:
        own, theirs = sample.audio, other.audio
        if own is None or theirs is None or not where:
            return replace(sample, audio=theirs)
        wave = np.zeros_like(own.wave)
        wave[: len(theirs.wave)] = theirs.wave[: len(wave)]
        within = _within_time(own, [place for place in where if isinstance(place, Seconds)])
        return replace(sample, audio=replace(own, wave=np.where(within, wave, own.wave)))
    if sample.text is None or other.text is None or not where:
        return replace(sample, text=other.text)
    gone = {k for place in where if isinstance(place, Chars) for k in range(place.start, place.end)}
    its_words = other.text.split()
    made = [
        word[0] if not gone & set(range(word.start(), word.end())) else " ".join(its_words[k : k + 1])
        for k, word in enumerate(re.finditer(r"\S+", sample.text))
    ]
    return replace(sample, text=" ".join(word for word in made if word) or None)


def _within_boxes(picture: ImageInput, boxes: Sequence[PixelBox]) -> NDArray[np.bool_]:
    """``[height, width]``: the pixels in ``boxes``, whose places are in pixels of the original, which may be larger."""
    height, width = picture.pixels.shape[:2]
    within = np.zeros((height, width), bool)
    for box in boxes:
        across = _indices(box.x0, box.x1, picture.width, width)
        within[_indices(box.y0, box.y1, picture.height, height), across] = True
    return within


def _within_time(sound: AudioInput, stretches: Sequence[Seconds]) -> NDArray[np.bool_]:
    """``[sample]``: what is heard in ``stretches``."""
    within = np.zeros(sound.wave.shape, bool)
    for stretch in stretches:
        within[_indices(stretch.start, stretch.end, len(sound.wave) / sound.rate, len(sound.wave))] = True
    return within


def _indices(start: float, end: float, length: float, count: int) -> slice:
    """From ``start`` to ``end`` of a ``length`` that is kept as ``count`` numbers; what lies outside has none."""
    first, last = (round(min(max(0.0, edge), length) * count / length) for edge in (start, end))
    return slice(first, last)


def _picture(picture: ImageInput, boxes: Sequence[PixelBox], fill: InputBaseline, seed: int) -> ImageInput:
    pixels = picture.pixels
    height, width = pixels.shape[:2]
    if fill == "mean":
        filled = np.broadcast_to(np.rint(pixels.mean((0, 1))), pixels.shape)
    elif fill == "blur":
        blur = ImageFilter.GaussianBlur(BLUR_SHARE * max(width, height))
        filled = np.asarray(Image.fromarray(pixels).filter(blur))
    else:
        rng = np.random.default_rng(seed)
        filled = rng.normal(pixels.mean((0, 1)), pixels.std((0, 1)), pixels.shape)
    within = _within_boxes(picture, boxes) if boxes else np.ones((height, width), bool)
    made = np.where(within[..., None], np.rint(np.clip(filled, 0, 255)), pixels)
    return replace(picture, pixels=made.astype(np.uint8))


def _sound(sound: AudioInput, stretches: Sequence[Seconds], fill: InputBaseline, seed: int) -> AudioInput:
    wave = sound.wave
    rng = np.random.default_rng(seed)
    filled: NDArray[np.floating]
    if fill == "mean":
        filled = np.full_like(wave, wave.mean())
    elif fill == "noise":
        filled = rng.normal(0, wave.std(), wave.shape)
    else:
        filled = rng.normal(0, 1, wave.shape) * _loudness(wave, max(1, round(_BLOCK * sound.rate)))
    within = _within_time(sound, stretches) if stretches else np.ones(wave.shape, bool)
    return replace(sound, wave=np.where(within, np.clip(filled, -1, 1), wave).astype(np.float32))


def _loudness(wave: NDArray[np.float32], block: int) -> NDArray[np.float64]:
    """Root mean square of each stretch of ``block`` samples, as long as ``wave``."""
    starts = np.arange(0, len(wave), block)
    power = np.add.reduceat(wave.astype(np.float64) ** 2, starts) / np.diff([*starts, len(wave)])
    return np.repeat(np.sqrt(power), block)[: len(wave)]


def _text(text: str, places: Sequence[Chars]) -> str | None:
    """The text without the characters at ``places``, or any without places; None where nothing is left."""
    gone = {k for place in places for k in range(place.start, min(place.end, len(text)))}
    kept = "".join(letter for k, letter in enumerate(text) if places and k not in gone)
    return " ".join(kept.split()) or None
