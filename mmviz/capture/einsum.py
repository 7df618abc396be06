"""Parses the equation of an einsum of two operands."""

from __future__ import annotations

import string
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


def parse_einsum(equation: object, *dims: int) -> Einsum | None:
    """Returns the axes of an einsum of two operands.

    ``dims`` are the numbers of axes of both operands, by which an ellipsis gets letters; as in torch, the axes of an
    ellipsis are aligned at their last axis. An equation without an output is given torch's own.

    Returns None for anything that is not a plain product of two operands: an axis that occurs twice in one operand,
    an axis that is summed over in a single operand, or an ellipsis of unknown length.
    """
    if not isinstance(equation, str):
        return None
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    operands = inputs.split(",")
    if len(operands) != 2:
        return None
    if not arrow:
        letters = inputs.replace(",", "").replace(".", "")
        single = "".join(sorted(axis for axis in set(letters) if letters.count(axis) == 1))
        output = ("..." if "..." in inputs else "") + single
    if "..." in equation:
        lengths = [dim - len(axes.replace("...", "")) for dim, axes in zip(dims, operands, strict=False)]
        if len(lengths) != 2 or min(lengths) < 0:
            return None
        free = [letter for letter in string.ascii_letters if letter not in equation]
        hidden = "".join(free[: max(lengths)])
        operands = [
            axes.replace("...", hidden[len(hidden) - length :])
            for axes, length in zip(operands, lengths, strict=True)
        ]  # fmt: skip
        output = output.replace("...", hidden)
    if "." in output + "".join(operands) or any(len(set(axes)) < len(axes) for axes in (*operands, output)):
        return None
    first, second = operands
    if (set(first) ^ set(second)) - set(output) or set(output) - set(first + second):
        return None
    return Einsum(first, second, output)


def permute_axes(tensor: Tensor, axes: str, order: Iterable[str]) -> Tensor:
    """Returns ``tensor``, whose axes are named ``axes``, with its axes in ``order``."""
    return tensor.permute([axes.index(axis) for axis in order])
