"""The card of the bundled model, from its files alone: whoever does not run the model needs no torch for it."""

from __future__ import annotations

import hashlib
import json

from mmviz.assets_path import assets_dir
from mmviz.types import Card


def trio_card(weights: bytes | None = None) -> Card:
    """The card of `trio` with ``weights`` (safetensors bytes; None: those that travel in ``assets/trio``)."""
    folder = assets_dir() / "trio"
    described = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    data = weights if weights is not None else (folder / "weights.safetensors").read_bytes()
    return Card(
        id="trio", title="trio", about=described["about"], trained=True, answers=tuple(described["answers"]),
        weights_digest=hashlib.sha256(data).hexdigest(), details=described,
    )  # fmt: skip
