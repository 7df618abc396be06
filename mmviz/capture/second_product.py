"""Arranges the product of attention weights and values, whichever function and order of axes the model uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mmviz.capture.einsum import Einsum, parse_einsum

_NAMES = {
    "matmul": ("input", "other"), "__matmul__": ("input", "other"), "bmm": ("input", "mat2"), "mm": ("input", "mat2"),
    "baddbmm": ("input", "batch1", "batch2"), "addmm": ("input", "mat1", "mat2"),
}  # fmt: skip
"""Products by the names of their tensors."""
View = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class ProductCall:
    """A call of a function that multiplies two tensors."""

    name: str
    operands: tuple[Tensor, Tensor]
    added: Tensor | None = None
    """What is added to the product, already scaled."""
    factor: float = 1.0
    """Factor of the product."""
    einsum: Einsum | None = None

    def contracted_axis(self, operand: int) -> int | None:
        """Returns the axis of an operand that is summed over; None where that is not a single one."""
        if self.einsum is not None:
            axes = (self.einsum.first, self.einsum.second)[operand]
            return axes.index(self.einsum.summed) if len(self.einsum.summed) == 1 else None
        count = self.operands[operand].dim()
        return count - 1 if operand == 0 or count < 2 else count - 2


@dataclass(frozen=True, eq=False)
class WeightedSum:
    """A product of weights and values, with views of its tensors in one order of axes."""

    weights: View
    """Brings the weights to ``[*leading, query, key]``."""
    values: View
    """Brings the values to ``[*leading, key, d_v]``."""
    output: View
    """Brings the output to ``[*leading, query, d_v]``."""
    restore: View
    """Brings ``[*leading, query or 1, d_v or 1]`` to the axes of the output."""


def product_call(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> ProductCall | None:
    """Returns the two tensors that a function multiplies; None where it is no product of two tensors."""
    if name == "einsum":
        operands = args[1:] if len(args) != 2 or isinstance(args[1], Tensor) else args[1]
        if len(operands) != 2 or not all(isinstance(operand, Tensor) for operand in operands):
            return None
        einsum = parse_einsum(args[0], *(operand.dim() for operand in operands))
        return None if einsum is None else ProductCall(name, tuple(operands), einsum=einsum)
    names = _NAMES.get(name)
    if names is None:
        return None
    values = dict(zip(names, args, strict=False)) | dict(kwargs)
    tensors: list[Any] = [values.get("self", values.get(key)) if key == "input" else values.get(key) for key in names]
    *added, first, second = tensors
    if not all(isinstance(tensor, Tensor) for tensor in tensors):
        return None
    if not added:
        return ProductCall(name, (first, second))
    beta, alpha = kwargs.get("beta", 1), kwargs.get("alpha", 1)
    return ProductCall(name, (first, second), added[0] * beta if beta else None, float(alpha))


def weighted_sum(product: ProductCall, operand: int) -> WeightedSum | None:
    """Returns the views of a product whose ``operand`` 0 or 1 are attention weights; None for other products."""
    if product.einsum is not None:
        return _einsum_sum(product.einsum if operand == 0 else product.einsum.swapped(), product.operands[operand])
    if min(tensor.dim() for tensor in product.operands) < 2:
        return None
    turn: View = _same if operand == 0 else _transposed
    return WeightedSum(turn, turn, turn, turn)


def _einsum_sum(einsum: Einsum, weights: Tensor) -> WeightedSum | None:
    """Returns the views of an einsum: it sums over keys, and only the weights have the axes of queries.

    Of two such axes beside a single axis of samples, the first holds heads that share their values.
    """
    leading, queries, key, size = einsum.batch, einsum.first_only, einsum.summed, einsum.second_only
    if len(key) != 1 or len(size) != 1:
        return None
    shared = len(queries) == 2 and len(leading) < 2
    if shared:
        leading, queries = leading + queries[0], queries[1]
    sizes = dict(zip(einsum.first, weights.shape, strict=True))
    grid = [sizes[axis] for axis in queries]

    def joined(tensor: Tensor) -> Tensor:
        """Joins the axes of queries, before the last one; without any, a single query has a new one."""
        if len(queries) == 1:
            return tensor
        return torch.reshape(tensor, (*tensor.shape[: len(leading)], -1, tensor.shape[-1]))

    def values(tensor: Tensor) -> Tensor:
        permuted = _permuted(tensor, einsum.second, einsum.batch + key + size)
        return torch.unsqueeze(permuted, -3) if shared else permuted

    def restored(tensor: Tensor) -> Tensor:
        rows = grid if tensor.shape[-2] > 1 else [1] * len(grid)
        cut = tensor.reshape(*tensor.shape[:-2], *rows, tensor.shape[-1])
        order = leading + queries + size
        return cut.permute([order.index(axis) for axis in einsum.output])

    return WeightedSum(
        lambda tensor: joined(_permuted(tensor, einsum.first, leading + queries + key)),
        values,
        lambda tensor: joined(_permuted(tensor, einsum.output, leading + queries + size)),
        restored,
    )


def _permuted(tensor: Tensor, axes: str, order: str) -> Tensor:
    return torch.permute(tensor, [axes.index(axis) for axis in order])


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _transposed(tensor: Tensor) -> Tensor:
    return torch.transpose(tensor, -2, -1)
