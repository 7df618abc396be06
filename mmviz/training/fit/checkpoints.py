"""Weights in training on disk: safetensors in half precision, with the number of scenes that they were trained on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from mmviz.types import MmvizError


def save_weights(trained: nn.Module, path: Path, scenes: int) -> None:
    """Writes half-precision safetensors, and beside them a small JSON file with the number of scenes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {
        name: tensor.contiguous().half() if tensor.is_floating_point() else tensor
        for name, tensor in trained.state_dict().items()
    }
    save_file(state, path)
    path.with_suffix(".json").write_text(json.dumps({"scenes": scenes}), encoding="utf-8")


def trained_scenes(weights: Path) -> int:
    """Returns the number of scenes that weights were trained on, from the file or the card beside them; 0 without."""
    for info in (weights.with_suffix(".json"), weights.with_name("card.json")):
        if info.exists():
            return int(json.loads(info.read_text("utf-8")).get("scenes", 0))
    return 0


def load_weights(trained: nn.Module, path: Path) -> Sequence[str]:
    """Loads tensors by name and returns the names that the file lacks, which stay as they are.

    Raises ``MmvizError`` (``weights-unreadable``).
    """
    try:
        result = trained.load_state_dict(load_file(path), strict=False)
    except (OSError, SafetensorError, RuntimeError) as problem:
        raise MmvizError("weights-unreadable", name=path.name) from problem
    if result.unexpected_keys:
        raise MmvizError("weights-unreadable", name=path.name)
    return list(result.missing_keys)
