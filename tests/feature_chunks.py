"""Features of a few pictures and sounds of the world on disk, as training reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from made_up_tokens import Voices
from safetensors.torch import save_file

from mmviz.training.fit.feature_store import picture_chunk, sound_chunk
from mmviz.training.world.examples import World

FeatureStore = tuple[list[Path], list[Path]]
"""Chunks of pictures, and of sounds."""


def write_chunks(folder: Path) -> FeatureStore:
    """Writes a chunk of six pictures and one of twelve sounds into ``folder``."""
    world = World(("noto",), Voices())  # type: ignore[arg-type]
    save_file(picture_chunk(world, np.random.default_rng(1), 6), folder / "pictures.safetensors")
    save_file(sound_chunk(world, np.random.default_rng(2), 12), folder / "sounds.safetensors")
    return [folder / "pictures.safetensors"], [folder / "sounds.safetensors"]
