"""Weights in files: large matrices as int8 with a scale for each row, all else in half precision."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

SCALE = "int8 scale of "
"""Before the name of a matrix: the name of its scales, float16 ``[row]``."""
_MIN_COLUMNS, _MIN_NUMBERS = 64, 4096


def packed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the tensors of a file: matrices of 64 columns and 4,096 numbers or more as int8, others as float16.

    The largest magnitude of a row becomes 127, so a number is off by at most 1 / 254 of it, and by the half precision
    of the scale.
    """
    tensors: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if not tensor.is_floating_point():
            tensors[name] = tensor.contiguous()
        elif tensor.dim() < 2 or tensor.numel() < _MIN_NUMBERS or tensor[0].numel() < _MIN_COLUMNS:
            tensors[name] = tensor.half().contiguous()
        else:
            rows = tensor.float().flatten(1)
            scale = (rows.abs().amax(1) / 127).clamp_min(1e-7).half()
            numbers = (rows / scale.float()[:, None]).round().clamp(-127, 127)
            tensors[name] = numbers.to(torch.int8).view_as(tensor).contiguous()
            tensors[SCALE + name] = scale
    return tensors


def unpacked(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the weights in float32. Raises ``KeyError`` for a matrix without its scales."""
    state: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.startswith(SCALE):
            continue
        if tensor.dtype is torch.int8:
            scale = tensors[SCALE + name].float()
            state[name] = tensor.float() * scale.view(-1, *[1] * (tensor.dim() - 1))
        else:
            state[name] = tensor.float() if tensor.is_floating_point() else tensor
    return state
