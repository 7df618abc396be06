"""Puts trained weights, their tokenizer and their card into the assets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from mmviz.training.art import concepts
from mmviz.training.words import answers, build_tokenizer

ABOUT = (
    "A small fusion transformer trained from scratch on drawn scenes, synthetic speech and questions about them. "
    "It knows 148 words and 11 kinds of question, and nothing else: photos and free speech are foreign to it."
)


def ship(weights: Path, folder: Path, way: str, details: dict[str, Any]) -> None:
    """Write ``weights.safetensors`` (half precision), ``tokenizer.json`` and ``card.json`` into ``folder``.

    ``way``: the way of looking chosen on held-out seeds; ``details``: what was measured, as the card is to say it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    words = concepts()
    state = load_file(weights)
    prefix = "module." if any(name.startswith("module.") for name in state) else ""
    save_file({name.removeprefix(prefix): tensor for name, tensor in state.items()}, folder / "weights.safetensors")
    build_tokenizer(words).save(str(folder / "tokenizer.json"))
    card = {"about": ABOUT, "answers": list(answers(words)), "way": way, **details}
    (folder / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
