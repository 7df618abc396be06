"""The models that mmviz brings, by id."""

from __future__ import annotations

import importlib

from mmviz.models.protocol import Model
from mmviz.types import MmvizError

CATALOGUE = {
    "trio": "mmviz.models.trio_model:BundledTrio",
    "trio-reduced": "mmviz.models.fusion_model:TrioReduced",
    "crossmodal": "mmviz.models.fusion_model:Crossmodal",
    "bottleneck": "mmviz.models.fusion_model:Bottleneck",
    "late": "mmviz.models.fusion_model:Late",
    "toy": "mmviz.models.toy:Toy",
}
"""Model id -> module and name of its class, which is called as ``Class(device)``."""


def load_model(model: str, device: str) -> Model:
    """Returns a model of the catalogue on ``device``. Raises ``MmvizError`` (``model-unknown``)."""
    if model not in CATALOGUE:
        raise MmvizError("model-unknown", model=model, known=", ".join(CATALOGUE))
    module, name = CATALOGUE[model].split(":")
    loaded: Model = getattr(importlib.import_module(module), name)(device)
    return loaded
