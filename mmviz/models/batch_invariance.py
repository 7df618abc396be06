"""Rows of a batch that have the numbers that they have alone: padding last, and rows encoded one by one on a CPU."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def row_by_row(encode: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Returns ``encode(inputs)``. On a CPU the rows are encoded one by one: there, convolutions of a batch are no
    faster, and they and products with few rows round a row otherwise than alone."""
    if inputs.device.type != "cpu" or len(inputs) == 1:
        return encode(inputs)
    return torch.cat([encode(row[None]) for row in inputs])


def padding_last(x: Tensor, valid_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the valid tokens of each row of ``x`` ``[B, N, D]`` in their order, and padding behind the shorter rows.

    Zeros at the end change no sum, so that a row of a batch has, on a CPU to the last bit, the numbers that it has
    alone. ``valid_mask`` ``[B, N]`` is returned for the same tokens.
    """
    used = valid_mask.any(0)
    x, valid_mask = x[:, used], valid_mask[:, used]
    if bool(valid_mask.all()):
        return x, valid_mask
    order = (~valid_mask).to(torch.int8).argsort(dim=1, stable=True)[:, : int(valid_mask.sum(1).max())]
    return x.gather(1, order[..., None].expand(-1, -1, x.shape[2])), valid_mask.gather(1, order)


def key_padding_mask(valid_mask: Tensor, x: Tensor) -> Tensor:
    """Returns ``[B, 1, 1, N]`` in the dtype of ``x``: 0 for valid keys, -inf for padding; ``valid_mask`` ``[B, N]``."""
    zeros = torch.zeros_like(valid_mask, dtype=x.dtype)[:, None, None]
    return zeros.masked_fill(~valid_mask[:, None, None], -torch.inf)


def of_rows(tokens: Tensor, numbers: Tensor | None, rows: int) -> Tensor:
    """Returns the tokens ``[B, n, D]`` of every row, each from the row of ``tokens`` that ``numbers`` ``[B]`` names."""
    return tokens.expand(rows, -1, -1) if numbers is None else tokens[numbers]


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """Returns bool ``[B, size]``: True up to the length ``[B]`` of each row."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]
