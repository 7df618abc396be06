"""The sections of the viewer that hold the picture and the sound of a run."""

from __future__ import annotations

import numpy as np

from mmviz.figures.image import downscaled, jpeg
from mmviz.inputs.mel import log_mel
from mmviz.types import Sample
from mmviz.viewer.binary_format import Section

IMAGE_SIDE = 1024
"""Pixels of the longer side of the image that is sent."""


def input_sections(sample: Sample) -> dict[str, Section]:
    """Returns the ``image`` as a JPEG, and the ``wave`` and the ``mel`` spectrogram of the sound, if any."""
    sections = {}
    if sample.image:
        sections["image"] = Section(np.frombuffer(jpeg(downscaled(sample.image.pixels, IMAGE_SIDE)), np.uint8))
    if sample.audio:
        wave = np.rint(np.clip(sample.audio.wave, -1, 1) * 32_767).astype(np.int16)
        mel = np.rint((np.clip(log_mel(sample.audio.wave), -1, 1) + 1) / 2 * 255).astype(np.uint8)
        sections |= {"wave": Section(wave), "mel": Section(mel)}
    return sections
