"""Sprites of the world, read from their atlases (`mmviz.training.world.build_sprites` makes these)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import binary_fill_holes

from mmviz.assets_path import assets_dir
from mmviz.models.question_templates import known_words

CELL = 144  # pixels, side of an atlas cell
ALPHA_FLOOR = 8  # alpha (0..255) above which a pixel counts as drawn

INK = ("fluent-emoji-high-contrast", "emojione-monotone", "noto-emoji")
"""Styles drawn in one ink; the colours of ink and paper are chosen when a scene is drawn."""


def concepts() -> tuple[str, ...]:
    """Returns all words of the world, in the order of the word list."""
    return known_words()


def styles(held_out: bool = False) -> tuple[str, ...]:
    """Returns the names of the training styles (in colour and in one ink), or of the held-out ones."""
    entries = _index()["styles"]
    return tuple(name for name, entry in entries.items() if entry["held_out"] == held_out)


def load_sprites(style: str) -> dict[str, npt.NDArray[np.uint8]]:
    """Returns the sprites of a style by word: uint8 ``[144, 144, 4]``, RGB with straight alpha.

    Raises ``KeyError`` for an unknown style.
    """
    index = _index()
    if style not in index["styles"]:
        raise KeyError(f"no sprite style {style!r}; known: {', '.join(index['styles'])}")
    cell, columns = int(index["cell"]), int(index["columns"])
    with Image.open(assets_dir() / "sprites" / f"{style}.webp") as image:
        atlas = np.array(image.convert("RGBA"), dtype=np.uint8)
    atlas[atlas[..., 3] == 0] = 0
    sprites: dict[str, npt.NDArray[np.uint8]] = {}
    for number, word in enumerate(index["styles"][style]["words"]):
        y, x = number // columns * cell, number % columns * cell
        sprites[word] = atlas[y : y + cell, x : x + cell].copy()
    return sprites


def load_line_drawings(style: str) -> dict[str, npt.NDArray[np.uint8]]:
    """Returns the drawings of an ink style by word: uint8 ``[144, 144, 2]``, the amounts of ink and of paper.

    Paper is the area that the ink encloses.
    """
    drawings = {}
    for word, sprite in load_sprites(style).items():
        ink = sprite[..., 3]
        paper = binary_fill_holes(ink > 100).astype(np.uint8) * 255
        drawings[word] = np.stack([ink, np.maximum(paper, ink)], axis=-1)
    return drawings


def _index() -> dict[str, Any]:
    """Returns the parsed index of the atlases."""
    text = (assets_dir() / "sprites" / "index.json").read_text(encoding="utf-8")
    index: dict[str, Any] = json.loads(text)
    return index


def fit(image: Image.Image, side: int) -> Image.Image:
    """Crops to the drawn pixels and centres them on a clear square, RGBA, the longer side ``side`` pixels.

    Raises ``ValueError`` for an empty drawing.
    """
    image = image.convert("RGBA")
    box = image.getchannel("A").point(lambda a: 255 if a > ALPHA_FLOOR else 0).getbbox()
    if box is None:
        raise ValueError("an empty drawing")
    width, height = box[2] - box[0], box[3] - box[1]
    scale = side / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = image.crop(box).convert("RGBa").resize(size, Image.Resampling.LANCZOS)
    cell = Image.new("RGBA", (side, side))
    cell.paste(small.convert("RGBA"), ((side - size[0]) // 2, (side - size[1]) // 2))
    return cell
