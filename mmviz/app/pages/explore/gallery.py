"""What a trio of the gallery looks like in small."""

from __future__ import annotations

import base64
import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from mmviz.figures.theme import MODALITY_COLOURS
from mmviz.inputs.examples import Example
from mmviz.types import Modality

THUMB = (248, 128)
"""Pixels of a thumbnail, twice what it takes on the page."""


@lru_cache(maxsize=64)
def thumbnail(example: Example) -> str:
    """The picture beside the sound's waveform, whatever there is of the two, as a data URI."""
    canvas = Image.new("RGBA", THUMB, (0, 0, 0, 0))
    sample = example.sample()
    at = 0
    if sample.image:
        small = Image.fromarray(sample.image.pixels)
        small.thumbnail((THUMB[0] - (110 if sample.audio else 0), THUMB[1]))
        canvas.paste(small, (0, (THUMB[1] - small.height) // 2))
        at = small.width + 14
    if sample.audio:
        draw = ImageDraw.Draw(canvas)
        bars = (THUMB[0] - at) // 7
        for k, part in enumerate(np.array_split(np.abs(sample.audio.wave), bars)):
            loud = float(part.max(initial=0)) / (float(np.abs(sample.audio.wave).max()) or 1)
            half = 2 + loud * (THUMB[1] / 2 - 14)
            box = (at + 7 * k, THUMB[1] / 2 - half, at + 7 * k + 3, THUMB[1] / 2 + half)
            draw.rounded_rectangle(box, 2, fill=MODALITY_COLOURS[Modality.AUDIO])
    buffer = io.BytesIO()
    canvas.save(buffer, "WEBP", quality=80)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
