"""The cards of the bundled models, read from their files alone, without torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from mmviz.assets_path import assets_dir
from mmviz.models.out_of_distribution import stored
from mmviz.types import Card

REDUCED = "trio-reduced"
"""The single sequence of `trio`, in the size and with the training budget of the other kinds."""
COMPARED = (REDUCED, "crossmodal", "bottleneck", "late")
"""Ids of the compared fusion kinds."""


def kind_file(kind: str) -> Path:
    """Returns the file with the weights of one of the `COMPARED`: safetensors in an ``.xz``, a seventh smaller."""
    return assets_dir() / "fusions" / f"{kind}.safetensors.xz"


def fusions_card() -> dict[str, Any]:
    """Returns the card file of the compared kinds: ``kinds`` by id, and the figures ``measured``."""
    card: dict[str, Any] = json.loads((assets_dir() / "fusions" / "card.json").read_text(encoding="utf-8"))
    return card


def kind_card(kind: str, weights: bytes | None = None) -> Card:
    """Returns the card of one of the `COMPARED`, on the encoders of `trio`.

    ``weights``: the bytes of a safetensors file (None: `kind_file`).
    """
    trio, details = trio_card(), fusions_card()["kinds"][kind]
    data = weights if weights is not None else kind_file(kind).read_bytes()
    return Card(
        id=kind, title=kind, description=details["about"], trained=True, answers=trio.answers,
        weights_digest=hashlib.sha256(data + trio.weights_digest.encode()).hexdigest(), details=details,
    )  # fmt: skip


def trio_card(weights: bytes | None = None) -> Card:
    """Returns the card of `trio`. ``weights``: the bytes of a safetensors file (None: the file in the assets)."""
    folder = assets_dir() / "trio"
    details = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    data = weights if weights is not None else (folder / "weights.safetensors").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if stored().get("weights") == digest:
        details["confidence"] = stored()["confidence"]
    return Card(
        id="trio", title="trio", description=details["about"], trained=True, answers=tuple(details["answers"]),
        weights_digest=digest, details=details,
    )  # fmt: skip
