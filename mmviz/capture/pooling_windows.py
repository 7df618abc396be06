"""The windows of places that pools and convolutions take together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmviz.capture.data_flow_step import Step, name_of

_NAME = re.compile(r"(adaptive_)?(?:(conv)|(?:avg|max|lp)_pool)([123])d(?:_with_indices)?")
_CONV = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_INTERPOLATE = ("input", "size", "scale_factor", "mode", "align_corners", "recompute_scale_factor", "antialias")
_TAPS = {"nearest": 1, "linear": 2, "bilinear": 2, "bicubic": 4}
"""Places that a result is made of along an axis, by the mode."""
_POOL = ("input", "kernel_size", "stride", "padding")


def pooling_windows(step: Step) -> list[Tensor] | None:
    """Returns the places that each result takes together along each of the last axes, int64 ``[result, window]``.

    Places outside are -1. Returns None where a function is no pool and no convolution.
    """
    match = _NAME.fullmatch(name_of(step))
    if match is None:
        return None
    is_adaptive, is_conv, axes = bool(match[1]), bool(match[2]), int(match[3])
    values = dict(zip(_CONV if is_conv else _POOL, step.args, strict=False)) | dict(step.kwargs or {})
    sizes, results = values["input"].shape[-axes:], step.shape[-axes:]
    if is_adaptive:
        return [_adaptive(size, result) for size, result in zip(sizes, results, strict=True)]
    kernels = values["weight"].shape[2:] if is_conv else _each(values["kernel_size"], axes)
    strides = _each(values.get("stride") or (1 if is_conv else kernels), axes)
    padding, dilation = values.get("padding", 0), values.get("dilation", 1)
    dilations = _each(dilation, axes)
    if isinstance(padding, str):  # "same" puts the larger half after, "valid" is none
        is_same = padding == "same"
        pads = [gap * (kernel - 1) // 2 if is_same else 0 for kernel, gap in zip(kernels, dilations, strict=True)]
    else:
        pads = list(_each(padding, axes))
    windows = zip(sizes, results, kernels, strides, pads, dilations, strict=True)
    return [_strided(*window) for window in windows]


def interpolation_windows(step: Step) -> list[Tensor] | None:
    """Returns the places that each result of ``interpolate`` is made of along each of the last axes.

    As `pooling_windows` does; None for another function, and for a mode that takes more than neighbours.
    """
    if name_of(step) != "interpolate":
        return None
    values = dict(zip(_INTERPOLATE, step.args, strict=False)) | dict(step.kwargs or {})
    taps = _TAPS.get(values.get("mode") or "nearest")
    if taps is None or values.get("antialias"):
        return None
    sizes, results = values["input"].shape[2:], step.shape[2:]
    is_aligned = bool(values.get("align_corners"))
    return [_neighbours(size, result, taps, is_aligned) for size, result in zip(sizes, results, strict=True)]


def _neighbours(size: int, results: int, taps: int, is_aligned: bool) -> Tensor:
    """Returns the ``taps`` places around that of each result; one alone where it falls on it."""
    order = torch.arange(results, dtype=torch.float64)
    if taps == 1:
        return (order * size / results).floor().long()[:, None]
    places = order * (size - 1) / max(1, results - 1) if is_aligned else (order + 0.5) * size / results - 0.5
    first = places.floor()
    offsets = torch.arange(taps) - (taps // 2 - 1)
    around = first[:, None] + offsets
    is_used = (offsets == 0) | ((places - first)[:, None] > 1e-9)
    return torch.where(is_used & (around >= 0) & (around < size), around, -1.0).long()


def _strided(size: int, results: int, kernel: int, stride: int, padding: int, dilation: int) -> Tensor:
    places = torch.arange(results)[:, None] * stride - padding + torch.arange(kernel) * dilation
    return torch.where((places >= 0) & (places < size), places, -1)


def _adaptive(size: int, results: int) -> Tensor:
    """As torch does: from ``floor(k * size / results)`` to ``ceil((k + 1) * size / results)``."""
    starts = [k * size // results for k in range(results)]
    ends = [-((-(k + 1) * size) // results) for k in range(results)]
    widest = max(end - start for start, end in zip(starts, ends, strict=True))
    rows = [[place if place < end else -1 for place in range(start, start + widest)]
            for start, end in zip(starts, ends, strict=True)]  # fmt: skip
    return torch.tensor(rows)


def _each(value: Any, axes: int) -> Sequence[int]:
    return (value,) * axes if isinstance(value, int) else (tuple(value) * axes)[:axes]
