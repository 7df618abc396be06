"""Inputs and tokens that test files share: a small image, audio, and voices that need no synthesiser."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmviz.training.world.compose_sound import CARRIERS
from mmviz.types import Modality, PixelBox, Seconds, Token

ANSWER = Token(Modality.SPECIAL, "answer")
FRAMES = [Token(Modality.AUDIO, f"frame {i}", Seconds(i * 0.08, (i + 1) * 0.08)) for i in range(6)]
RATE = 16_000
PIXELS = np.random.default_rng(4).integers(40, 256, (187, 301, 3), dtype=np.uint8)
WAVE = np.sin(np.arange(8000) / 9).astype(np.float32)
MEL = np.linspace(-1, 1, 64 * 50).reshape(64, 50).astype(np.float32)


def patches(width: float, height: float, rows: int, columns: int) -> list[Token]:
    """Patches of an image, row by row."""
    across, down = width / columns, height / rows
    return [
        Token(Modality.IMAGE, "p", PixelBox(c * across, r * down, (c + 1) * across, (r + 1) * down))
        for r in range(rows)
        for c in range(columns)
    ]


PATCHES = patches(301, 187, 3, 5)


class Voices:
    """Stands in for the speech bank: one voice that says each text as its own tone, longer for carrier sentences."""

    voices = ("tone",)

    def choose_voice(self, rng: np.random.Generator) -> str:
        return self.voices[0]

    def clip(self, voice: str, text: str) -> NDArray[np.float32]:
        pitch = 0.05 + sum(map(ord, text)) % 100 / 100
        return (0.5 * np.sin(np.arange(8_000 if text in CARRIERS else 6_000) * pitch)).astype(np.float32)
