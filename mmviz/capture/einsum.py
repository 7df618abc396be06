"""Parses the equation of an einsum of two operands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Einsum:
    """The axes of an einsum ``"first,second->output"``, one letter each."""

    first: str
    """Axes of the first operand, in order."""
    second: str
    """Axes of the second operand, in order."""
    output: str
    """Axes of the output, in order."""

    @property
    def batch(self) -> str:
        """Axes of both operands and of the output, in the order of the output."""
        return "".join(axis for axis in self.output if axis in self.first and axis in self.second)

    @property
    def summed(self) -> str:
        """Axes of both operands that are summed over."""
        return "".join(axis for axis in self.first if axis not in self.output)

    @property
    def first_only(self) -> str:
        """Axes of the output that the first operand alone has."""
        return "".join(axis for axis in self.output if axis not in self.second)

    @property
    def second_only(self) -> str:
        """Axes of the output that the second operand alone has."""
        return "".join(axis for axis in self.output if axis not in self.first)

    def swapped(self) -> Einsum:
        """Returns the same einsum with its operands in the other order."""
        return Einsum(self.second, self.first, self.output)


def parse_einsum(equation: object) -> Einsum | None:
    """Returns the axes of an einsum of two operands.

    Returns None for anything that is not a plain product of two operands: an ellipsis, no explicit output, an axis
    that occurs twice in one operand, or one that is summed over in a single operand.
    """
    if not isinstance(equation, str) or "." in equation or "->" not in equation:
        return None
    inputs, _, output = equation.replace(" ", "").partition("->")
    operands = inputs.split(",")
    if len(operands) != 2 or any(len(set(axes)) < len(axes) for axes in operands):
        return None
    first, second = operands
    if (set(first) ^ set(second)) - set(output):
        return None
    return Einsum(first, second, output)


def permute_axes(tensor: Tensor, axes: str, order: Iterable[str]) -> Tensor:
    """Returns ``tensor``, whose axes are named ``axes``, with its axes in ``order``."""
    return tensor.permute([axes.index(axis) for axis in order])
