"""Digests by which what was computed of inputs is told again: of their content, and of the weights it went through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


def weights_state(tensors: Iterable[Tensor]) -> bytes:
    """Returns what changes whenever any of ``tensors`` is changed or replaced.

    Inference tensors have no version, so they are left out.
    """
    states = [(t.data_ptr(), t._version, str(t.device)) for t in tensors if not t.is_inference()]
    return repr(states).encode()


def add_content(digest: Any, value: Any) -> bool:
    """Adds tensors, arrays and plain values, also nested, to a ``hashlib`` digest.

    Returns whether all of it could be told by its content; an object of another class cannot.
    """
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = value.float().numpy() if value.dtype is torch.bfloat16 else value.numpy()
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype} {value.shape} ".encode() + value.tobytes())
        return bool(value.dtype != object)
    if is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return all(add_content(digest, part) for item in value.items() for part in item)
    digest.update(f"{type(value).__name__} {len(value) if isinstance(value, list | tuple) else value!r} ".encode())
    if isinstance(value, list | tuple):
        return all(add_content(digest, part) for part in value)
    return value is None or isinstance(value, str | int | float | bool)
