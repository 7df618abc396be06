"""The files that examples in docstrings and documents name, with the inputs of one example of the gallery in them."""

from __future__ import annotations

from pathlib import Path

import soundfile
from PIL import Image

from mmviz.inputs.examples import load_gallery

QUESTION = "What is right of the spoken thing?"


def write_inputs(folder: Path) -> None:
    """Writes ``picture.png``, ``photo.jpg`` and ``voice.wav`` into a folder."""
    sample = next(example for example in load_gallery() if example.id == "spoken-place").sample()
    assert sample.image is not None and sample.audio is not None and sample.text == QUESTION
    picture = Image.fromarray(sample.image.pixels)
    picture.save(folder / "picture.png")
    picture.save(folder / "photo.jpg")
    soundfile.write(folder / "voice.wav", sample.audio.wave, sample.audio.rate)
