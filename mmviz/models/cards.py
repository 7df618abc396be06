"""The cards of the bundled models, from their files alone: whoever does not run a model needs no torch for it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from mmviz.assets_path import assets_dir
from mmviz.types import Card

REDUCED = "trio-reduced"
"""The single stream of `trio`, with the sizes and the budget of the other kinds."""
COMPARED = (REDUCED, "crossmodal", "bottleneck", "late")
"""The kinds of fusion that are compared, by id; their weights are ``assets/fusions/ID.safetensors``."""


def fusions_card() -> dict[str, Any]:
    """What is known of the compared kinds of fusion: ``kinds`` by id, and ``measured`` by `compare`."""
    found: dict[str, Any] = json.loads((assets_dir() / "fusions" / "card.json").read_text(encoding="utf-8"))
    return found


def kind_card(kind: str, weights: bytes | None = None) -> Card:
    """The card of one of the `COMPARED` with ``weights`` (safetensors bytes; None: those that travel in the assets) on
    the encoders of `trio`."""
    trio, described = trio_card(), fusions_card()["kinds"][kind]
    data = weights if weights is not None else (assets_dir() / "fusions" / f"{kind}.safetensors").read_bytes()
    return Card(
        id=kind, title=kind, about=described["about"], trained=True, answers=trio.answers,
        weights_digest=hashlib.sha256(data + trio.weights_digest.encode()).hexdigest(), details=described,
    )  # fmt: skip


def trio_card(weights: bytes | None = None) -> Card:
    """The card of `trio` with ``weights`` (safetensors bytes; None: those that travel in ``assets/trio``)."""
    folder = assets_dir() / "trio"
    described = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    data = weights if weights is not None else (folder / "weights.safetensors").read_bytes()
    return Card(
        id="trio", title="trio", about=described["about"], trained=True, answers=tuple(described["answers"]),
        weights_digest=hashlib.sha256(data).hexdigest(), details=described,
    )  # fmt: skip
