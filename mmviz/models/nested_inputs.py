"""Inputs of a custom model, tensors in tuples and mappings: moved to a device, and joined into one batch."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def to_device(inputs: Any, device: torch.device | str) -> Any:
    """Returns the inputs with every tensor on ``device``; what is no tensor stays as it is."""
    if isinstance(inputs, Tensor):
        return inputs.to(device)
    if isinstance(inputs, Mapping):
        return {name: to_device(value, device) for name, value in inputs.items()}
    return tuple(to_device(value, device) for value in inputs) if isinstance(inputs, tuple) else inputs


def concatenated(parts: Sequence[Any]) -> Any:
    """Returns inputs with a batch of one each as one batch; None where they do not fit together."""
    first = parts[0]
    if isinstance(first, Tensor):
        fits = first.dim() > 0 and all(part.shape == first.shape and part.shape[0] == 1 for part in parts)
        return torch.cat(list(parts)) if fits else None
    if isinstance(first, Mapping | tuple):
        names = list(first) if isinstance(first, Mapping) else range(len(first))
        if any(type(part) is not type(first) or len(part) != len(first) for part in parts):
            return None
        joined = [concatenated([part[name] for part in parts]) for name in names]
        if any(value is None for value in joined):
            return None
        return dict(zip(names, joined, strict=True)) if isinstance(first, Mapping) else tuple(joined)
    plain = (str, int, float, bool)  # other types may define == in their own way
    return first if all(part is first or (isinstance(part, plain) and part == first) for part in parts) else None


def shapes(inputs: Any) -> Hashable:
    """Returns the shapes of all tensors, which are equal for inputs that `concatenated` can join."""
    if isinstance(inputs, Mapping):
        return tuple((name, shapes(value)) for name, value in inputs.items())
    if isinstance(inputs, tuple):
        return tuple(map(shapes, inputs))
    return tuple(inputs.shape) if isinstance(inputs, Tensor) else None
