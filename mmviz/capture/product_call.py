"""Products of two tensors: which functions multiply, which of their arguments, and over which axes they sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from torch import Tensor

from mmviz.capture.data_flow_step import Step
from mmviz.capture.einsum import Einsum, parse_einsum

_ARGUMENTS = {
    "matmul": ("input", "other"), "__matmul__": ("input", "other"), "__rmatmul__": ("other", "input"),
    "bmm": ("input", "mat2"), "mm": ("input", "mat2"), "inner": ("input", "other"), "cdist": ("x1", "x2"),
    "baddbmm": ("input", "batch1", "batch2"), "addbmm": ("input", "batch1", "batch2"),
    "addmm": ("input", "mat1", "mat2"),
}  # fmt: skip
"""Functions that multiply two tensors, the last two of these arguments; one before them is added."""
PRODUCTS = frozenset(_ARGUMENTS) | {"einsum"}
"""Functions that multiply two tensors."""
_ROWS_BY_ROWS = {"inner", "cdist"}
"""Functions that pair the last axes of both tensors, as in ``a b^T``."""
_WITHOUT_SUM = {"cdist", "addbmm"}
"""Functions that do something else than to sum over a single axis."""

T = TypeVar("T", Tensor, Step)
"""What stands for a tensor: itself, or its step in the flow of data."""


@dataclass(frozen=True, eq=False)
class Factor(Generic[T]):
    """The queries or the keys in a product of both."""

    tensor: T
    """The queries or the keys themselves, or their step."""
    feature_axis: int
    """Its axis of features, which the product sums over."""
    order: tuple[int, ...]
    """The axes of the product that its other axes are, counted from the end."""


@dataclass(frozen=True, eq=False)
class ProductCall(Generic[T]):
    """A call of a function that multiplies two tensors."""

    name: str
    """The name of the function, one of `PRODUCTS`."""
    operands: tuple[T, T]
    """The two tensors, or their steps, in the order of the product."""
    added: Tensor | None = None
    """What is added to the product, already scaled; None also for steps."""
    factor: float = 1.0
    """Factor of the product."""
    einsum: Einsum | None = None
    """The axes of an einsum; None for other functions, and for an einsum that is no plain product of both."""

    @property
    def is_plain(self) -> bool:
        """Whether it sums over axes of both tensors, and does nothing else."""
        return self.name not in _WITHOUT_SUM and (self.einsum is not None or self.name != "einsum")

    def contracted_axis(self, operand: int) -> int | None:
        """Returns the axis of an operand that is summed over; None where that is not a single one."""
        if not self.is_plain:
            return None
        if self.einsum is not None:
            axes = (self.einsum.first, self.einsum.second)[operand]
            return axes.index(self.einsum.summed) if len(self.einsum.summed) == 1 else None
        count = len(self.operands[operand].shape)
        return count - 1 if operand == 0 or count < 2 or self.pairs_last_axes else count - 2

    @property
    def pairs_last_axes(self) -> bool:
        """Whether it is ``a b^T`` rather than ``a b``."""
        return self.name in _ROWS_BY_ROWS

    def score_factors(self) -> tuple[Factor[T], Factor[T]] | None:
        """Returns queries and keys, where the last axes of the product are those of both; else None."""
        first, second = self.operands
        if self.name == "einsum":
            return None if self.einsum is None else _einsum_factors(self.einsum, first, second)
        lengths = (len(first.shape), len(second.shape))
        if min(lengths) < 2 or not (self.is_plain or self.name == "cdist"):
            return None
        if self.name == "inner" and max(lengths) > 2:  # all axes of the first, then all of the second
            return None
        of_queries: tuple[int, ...] = tuple(range(-lengths[0], -2))
        of_keys: tuple[int, ...] = tuple(range(-lengths[1], -2))
        key_axis = -1 if self.pairs_last_axes else -2
        return Factor(first, -1, (*of_queries, -2)), Factor(second, key_axis, (*of_keys, -1))


def product_call(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], kind: type[T]) -> ProductCall[T] | None:
    """Returns the two tensors of type ``kind`` that a function multiplies; None where it multiplies no two tensors."""
    if name == "einsum":
        operands = args[1:] if len(args) != 2 or isinstance(args[1], kind) else args[1]
        if len(operands) != 2 or not all(isinstance(operand, kind) for operand in operands):
            return None
        einsum = parse_einsum(args[0], *(len(operand.shape) for operand in operands))
        return ProductCall(name, tuple(operands), einsum=einsum)
    names = _ARGUMENTS.get(name)
    if names is None:
        return None
    if name == "__rmatmul__":
        args = args[::-1]
    values = dict(zip(names, args, strict=False)) | dict(kwargs)
    tensors: list[Any] = [values.get("self", values.get(key)) if key == "input" else values.get(key) for key in names]
    *added, first, second = tensors
    if not all(isinstance(tensor, kind) for tensor in tensors):
        return None
    if not added:
        return ProductCall(name, (first, second))
    beta, alpha = kwargs.get("beta", 1), kwargs.get("alpha", 1)
    scaled = added[0] * beta if beta and isinstance(added[0], Tensor) else None
    return ProductCall(name, (first, second), scaled, float(alpha))


def _einsum_factors(axes: Einsum, first: T, second: T) -> tuple[Factor[T], Factor[T]] | None:
    """Returns the factors of an einsum whose output ends with the axes of queries and keys."""
    if len(axes.summed) != 1 or len(axes.output) < 2:
        return None
    if axes.output[-1] in axes.first_only:
        axes, first, second = axes.swapped(), second, first
    if axes.output[-1] not in axes.second_only or axes.output[-2] not in axes.first_only:
        return None
    factors = []
    for tensor, letters in ((first, axes.first), (second, axes.second)):
        order = tuple(axes.output.index(axis) - len(axes.output) for axis in letters if axis != axes.summed)
        factors.append(Factor(tensor, letters.index(axes.summed), order))
    return factors[0], factors[1]
