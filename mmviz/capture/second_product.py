"""Arranges the product of attention weights and values, whichever function and order of axes the model uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mmviz.capture.einsum import Einsum
from mmviz.capture.product_call import ProductCall

View = Callable[[Tensor], Tensor]


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

    @property
    def keeps_weights(self) -> bool:
        """Whether the weights have the order of axes that ``weights`` brings them to."""
        return self.weights is _same


def weighted_sum(product: ProductCall[Tensor], operand: int) -> WeightedSum | None:
    """Returns the views of a product whose ``operand`` 0 or 1 are attention weights; None for other products."""
    if product.einsum is not None:
        return _einsum_sum(product.einsum if operand == 0 else product.einsum.swapped(), product.operands[operand])
    dims = [tensor.dim() for tensor in product.operands]
    if not product.is_plain or min(dims) < 2 or (product.pairs_last_axes and max(dims) > 2):
        return None
    turn: View = _same if operand == 0 else _transposed
    if product.pairs_last_axes:  # a b^T: the other operand is given transposed
        return WeightedSum(_same, _transposed, turn, turn)
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
        """Joins the axes of queries, before the last axis; without any, a single query gets a new axis."""
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
