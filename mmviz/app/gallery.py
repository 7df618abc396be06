"""The trios that come with mmviz: a picture, a sound and a question each, and what they look like in small."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from mmviz.assets_path import assets_dir
from mmviz.figures.theme import MODALITY_COLOURS
from mmviz.inputs import make_sample
from mmviz.types import Modality, Sample

THUMB = (248, 128)
"""Pixels of a thumbnail, twice what it takes on the page."""


@dataclass(frozen=True)
class Trio:
    """A bundled sample: files in ``folder`` (None: this modality is missing) and the expected answer."""

    id: str
    title: str
    family: str
    question: str
    image: Path | None
    audio: Path | None
    truth: str
    needs: tuple[str, ...]
    about: str

    def sample(self) -> Sample:
        """The checked inputs."""
        return make_sample(image=self.image, text=self.question, audio=self.audio)

    def is_right(self, answer: str) -> bool:
        """Whether ``answer`` is the expected one."""
        return answer.strip().casefold() == self.truth.strip().casefold()


@lru_cache(maxsize=1)
def load_gallery() -> tuple[Trio, ...]:
    """All bundled trios, in the order in which they are shown."""
    folder = assets_dir() / "gallery"
    entries = json.loads((folder / "gallery.json").read_text(encoding="utf-8"))
    return tuple(
        Trio(
            id=entry["id"],
            title=entry["title"],
            family=entry["family"],
            question=entry["question"],
            image=folder / entry["image"] if entry["image"] else None,
            audio=folder / entry["audio"] if entry["audio"] else None,
            truth=entry["truth"],
            needs=tuple(entry["needs"]),
            about=entry["about"],
        )
        for entry in entries
    )


@lru_cache(maxsize=64)
def thumbnail(trio: Trio) -> str:
    """The picture beside the sound's waveform, whatever there is of the two, as a data URI."""
    canvas = Image.new("RGBA", THUMB, (0, 0, 0, 0))
    sample = trio.sample()
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
