"""What the names of files in a folder of examples mean: which example a file is part of, as what, and their order."""

from __future__ import annotations

import re
from pathlib import Path

from mmviz.inputs.audio_formats import AUDIO_SUFFIXES
from mmviz.inputs.image_formats import IMAGE_SUFFIXES

TEXT_SUFFIX, ANSWER_SUFFIX, PLACES_SUFFIX = ".txt", ".answer.txt", ".places.json"


def role_of(name: str) -> tuple[str, str]:
    """Returns what a file is to its example, by the suffix of its name ("" for nothing), and the example's name."""
    lower, stem = name.lower(), Path(name).stem
    for ending in (ANSWER_SUFFIX, PLACES_SUFFIX):
        if lower.endswith(ending):
            return ending, name[: -len(ending)]
    suffix = Path(lower).suffix
    if suffix == TEXT_SUFFIX:
        return TEXT_SUFFIX, stem
    return "image" if suffix in IMAGE_SUFFIXES else "audio" if suffix in AUDIO_SUFFIXES else "", stem


def natural_key(name: str) -> list[tuple[str, int]]:
    """Returns a key that sorts cat2 before cat10."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(word, int(number or 0)) for word, number in zip(parts[::2], [*parts[1::2], "0"], strict=True)]
