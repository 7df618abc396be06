"""A lens as plain values and arrays, for files and for the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.io.npz import Arrays
from mmviz.types import TokenLens

_ARRAYS = ("top", "top_log_probabilities", "answer_ranks", "answer_log_probabilities")
_VALUES = ("stream", "layers", "through", "labels", "answer", "answer_token", "answers", "parity")
_STRINGS = ("layers", "through", "labels")


def lens_to_parts(lens: TokenLens | None) -> tuple[dict[str, Any] | None, dict[str, NDArray[Any]]]:
    """Returns a lens as plain values and arrays; None and nothing where there is none."""
    if lens is None:
        return None, {}
    values = {name: list(value) if name in _STRINGS else value for name, value in vars(lens).items() if name in _VALUES}
    return values, {f"lens-{name}": getattr(lens, name) for name in _ARRAYS}


def lens_from_parts(fields: Mapping[str, Any] | None, arrays: Arrays) -> TokenLens | None:
    """Returns the lens that `lens_to_parts` took apart.

    Raises ``ValueError``, ``TypeError`` or ``LookupError`` for what is no lens.
    """
    if fields is None:
        return None
    values: dict[str, Any] = {name: fields[name] for name in _VALUES}
    for name in _STRINGS:
        if not isinstance(values[name], list) or not all(isinstance(value, str) for value in values[name]):
            raise TypeError(name)
    for name in ("stream", "answer"):
        if not isinstance(values[name], str):
            raise TypeError(name)
    for name in ("answer_token", "answers"):
        if not isinstance(values[name], int) or isinstance(values[name], bool):
            raise TypeError(name)
    if not isinstance(values["parity"], int | float):
        raise TypeError("parity")
    parts: dict[str, Any] = {name: arrays[f"lens-{name}"] for name in _ARRAYS}
    if parts["top"].ndim != 3 or any(parts[name].dtype.kind != "i" for name in ("top", "answer_ranks")):
        raise ValueError("lens")
    for name in ("top_log_probabilities", "answer_log_probabilities"):
        if parts[name].dtype != np.float64 or not (parts[name] <= 1e-6).all():
            raise ValueError(name)
    return TokenLens(**values, **parts)
