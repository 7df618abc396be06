"""How scores come about, while a model is watched: the product they are, what was done to it, the linear maps around.

Seen by identity of tensors, as the ear hears: what follows a product until its softmax may scale it, add to it and mask
it; anything else ends the trail, so that nothing is told of scores that are not what they seem.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch.nn.functional as F
from torch import Tensor

MOST = 32
"""Linear maps before an attention that are kept; of its queries, keys and values are the last of them."""
_PRODUCTS = {"matmul", "bmm", "__matmul__"}
_TIMES, _OVER = {"mul", "mul_", "multiply", "multiply_"}, {"div", "div_", "true_divide", "true_divide_"}
_ADDS = {"add", "add_", "masked_fill", "masked_fill_", "where"}
_CARRIES = {"to", "type_as", "float", "half", "bfloat16", "type", "contiguous", "view", "reshape", "expand", "clone"}


@dataclass(frozen=True, eq=False)
class LinearCall:
    """A linear map that ran: ``made = taken matrix^T + bias``."""

    taken: Tensor
    matrix: Tensor
    bias: Tensor | None
    made: Tensor


@dataclass(frozen=True, eq=False)
class ScoreProduct:
    """Scores that are ``factor`` times ``query`` ``[..., query, d]`` by ``key`` ``[..., key, d]``, and something."""

    query: Tensor
    key: Tensor
    factor: float


@dataclass(eq=False)
class ScoreTrace:
    """What is known of how one attention came about. ``product`` and ``scores``, what its softmax was given, where it
    was written by hand; ``before``: linear maps since the attention before; ``after``: the one that joins its heads."""

    product: ScoreProduct | None = None
    scores: Tensor | None = None
    before: list[LinearCall] = field(default_factory=list)
    after: LinearCall | None = None

    def let_go(self) -> None:
        """Forget all of it, and the tensors with it."""
        self.product = self.scores = self.after = None
        self.before = []


class ScoreTracer:
    """Follows products of queries and keys to their softmax, and keeps linear maps until an attention is heard."""

    def __init__(self) -> None:
        self._trail: list[tuple[weakref.ref[Tensor], ScoreProduct]] = []
        self._lines: list[LinearCall] = []

    def saw(self, func: Callable[..., Any], args: Sequence[Any], given: Mapping[str, Any], result: Any) -> None:
        """A function that the model called."""
        if not isinstance(result, Tensor):
            return
        if func is F.linear:
            self._lines = [*self._lines, _line(args, given, result)][-MOST:]
            return
        name = getattr(func, "__name__", "")
        found = _product(name, args, given, result)
        if found is None and (before := self._on_trail(args)):
            found = _done(name, args, given, before)
        if found:
            self._trail.append((weakref.ref(result), found))

    def making(self, scores: Any) -> ScoreTrace:
        """Of the softmax of ``scores``: the product that they are, where that is known."""
        found = self._on_trail([scores])
        return ScoreTrace(found, scores.detach()) if found else ScoreTrace()

    def heard(self, making: ScoreTrace | None) -> ScoreTrace:
        """An attention was heard: what is known of it, to which the linear maps so far are added."""
        found = making or ScoreTrace()
        found.before, self._lines = self._lines, []
        return found

    def _on_trail(self, args: Sequence[Any]) -> ScoreProduct | None:
        """The product that one of ``args`` comes from; the newest, as a tensor may be written over in its place."""
        self._trail = [(kept, product) for kept, product in self._trail if kept() is not None]
        for kept, product in reversed(self._trail):
            if any(one is kept() for one in args):
                return product
        return None


def joining(args: Sequence[Any], given: Mapping[str, Any], result: Tensor) -> LinearCall:
    """The linear map that joins the heads; a copy of what it made, as the model may add to it in its place."""
    found = _line(args, given, result)
    return LinearCall(found.taken, found.matrix, found.bias, result.detach().clone())


def _line(args: Sequence[Any], given: Mapping[str, Any], result: Tensor) -> LinearCall:
    named = dict(zip(("input", "weight", "bias"), args, strict=False)) | dict(given)
    return LinearCall(named["input"], named["weight"], named.get("bias"), result)


def _product(name: str, args: Sequence[Any], given: Mapping[str, Any], result: Tensor) -> ScoreProduct | None:
    """Of queries and keys, as far as a product's shape tells."""
    factor, tensors = 1.0, [one for one in args if isinstance(one, Tensor)]
    if name in _PRODUCTS and len(tensors) == 2:
        query, key = tensors[0], tensors[1].transpose(-2, -1) if tensors[1].dim() > 1 else tensors[1]
    elif name == "baddbmm" and len(tensors) == 3:
        query, key, factor = tensors[1], tensors[2].transpose(-2, -1), float(given.get("alpha", 1))
    elif name == "einsum" and len(args) == 3:
        return _by_letters(args[0], args[1], args[2])
    else:
        return None
    if result.dim() < 3 or query.dim() < 2 or key.dim() < 2:
        return None
    around = result.shape[:-2]
    query, key = query.expand(*around, *query.shape[-2:]), key.expand(*around, *key.shape[-2:])
    return ScoreProduct(query.detach(), key.detach(), factor)


def _by_letters(equation: Any, one: Any, other: Any) -> ScoreProduct | None:
    """A product that is written as an einsum; it ends with the letters of its queries and keys."""
    inputs, _, output = str(equation).replace(" ", "").partition("->")
    names = inputs.split(",")
    if "." in equation or len(names) != 2 or len(output) < 3 or not isinstance(one, Tensor):
        return None
    ends = [name for name in output[-2:] if (name in names[0]) != (name in names[1])]
    summed = [name for name in names[0] if name in names[1] and name not in output]
    if len(ends) != 2 or len(summed) != 1 or set(output[:-2]) - (set(names[0]) & set(names[1])):
        return None
    if ends[0] in names[1]:
        names, one, other = names[::-1], other, one
    if ends[0] not in names[0] or ends[1] not in names[1]:
        return None
    query, key = (
        tensor.permute([letters.index(name) for name in [*output[:-2], end, *summed]])
        for tensor, letters, end in ((one, names[0], ends[0]), (other, names[1], ends[1]))
    )
    return ScoreProduct(query.detach(), key.detach(), 1.0)


def _done(name: str, args: Sequence[Any], given: Mapping[str, Any], before: ScoreProduct) -> ScoreProduct | None:
    """``before`` after a function that leaves it a product, maybe scaled, and something; None after any other."""
    if name in _CARRIES | _ADDS and not given.get("alpha"):
        return before
    if name in _TIMES | _OVER and len(args) == 2:
        by = [_number(one) for one in args if _number(one) is not None]
        if len(by) == 1 and by[0]:
            is_over = name in _OVER and _number(args[1]) is not None
            factor = before.factor / by[0] if is_over else before.factor * by[0]
            return ScoreProduct(before.query, before.key, factor) if is_over or name in _TIMES else None
    return None


def _number(one: Any) -> float | None:
    """A plain number, also in a tensor; None for anything else."""
    if isinstance(one, Tensor):
        return float(one) if one.numel() == 1 and not one.requires_grad and one.dim() == 0 else None
    return float(one) if isinstance(one, int | float) else None
