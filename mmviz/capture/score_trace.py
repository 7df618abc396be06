"""Traces attention scores back to the product of queries and keys, and records the linear maps around an attention.

Tensors are followed by identity. Between the product and its softmax, scores may be scaled, added to and masked; any
other function ends the trace, so that no scores are reported that are not what they seem.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from mmviz.capture.product_call import Factor, product_call

MAX_LINEAR_CALLS = 32
"""Linear maps kept before an attention; those of its queries, keys and values are among the last."""
_MULTIPLICATIONS = {"mul", "mul_", "multiply", "multiply_"}
_DIVISIONS = {"div", "div_", "true_divide", "true_divide_"}
_ADDITIONS = {"add", "add_", "masked_fill", "masked_fill_", "where"}
_CASTS_AND_VIEWS = {
    "to", "type_as", "float", "half", "bfloat16", "type", "contiguous", "view", "reshape", "expand", "clone",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class LinearCall:
    """One call of ``F.linear``: ``output = input weight^T + bias``."""

    input: Tensor
    """``[..., input width]``."""
    weight: Tensor
    """``[output width, input width]``."""
    bias: Tensor | None
    """``[output width]``; None for a map without a bias."""
    output: Tensor
    """``[..., output width]``."""


@dataclass(frozen=True, eq=False)
class ScoreProduct:
    """Scores that are ``factor * query key^T``, possibly plus a mask."""

    query: Tensor
    """``[..., query, d]``."""
    key: Tensor
    """``[..., key, d]``."""
    factor: float
    """The product of all factors by which the scores were scaled, such as ``1 / sqrt(d)``."""


@dataclass(eq=False)
class ScoreTrace:
    """What is known of how the scores of one attention came about."""

    product: ScoreProduct | None = None
    """The product of queries and keys, for eager attention only."""
    scores: Tensor | None = None
    """The input of the softmax, for eager attention only."""
    linear_calls: list[LinearCall] = field(default_factory=list)
    """Linear maps that ran since the previous attention."""
    out_proj: LinearCall | None = None
    """The linear map that joins the heads."""

    def release(self) -> None:
        """Drops all tensors."""
        self.product = self.scores = self.out_proj = None
        self.linear_calls = []


class ScoreTracer:
    """Follows products of queries and keys to their softmax, and keeps linear maps until the next attention."""

    def __init__(self) -> None:
        self._products: list[tuple[weakref.ref[Tensor], ScoreProduct]] = []
        self._linear_calls: list[LinearCall] = []

    def observe(
        self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], result: Any
    ) -> None:  # fmt: skip
        """Takes note of one function call of the model and its result."""
        if not isinstance(result, Tensor):
            return
        if func is F.linear:
            self._linear_calls = [*self._linear_calls, linear_call(args, kwargs, result)][-MAX_LINEAR_CALLS:]
            return
        name = getattr(func, "__name__", "")
        product = _product(name, args, kwargs, result)
        if product is None and (source := self._product_of(args)):
            product = _transformed(name, args, kwargs, source)
        if product:
            self._products.append((weakref.ref(result), product))

    def trace(self, scores: Any) -> ScoreTrace:
        """Returns the trace of the softmax of ``scores``, with their product where it is known."""
        product = self._product_of([scores])
        return ScoreTrace(product, scores.detach()) if product else ScoreTrace()

    def finish(self, trace: ScoreTrace | None) -> ScoreTrace:
        """Returns the trace of an attention just recorded (a new trace for None), with the linear maps so far."""
        trace = trace or ScoreTrace()
        trace.linear_calls, self._linear_calls = self._linear_calls, []
        return trace

    def _product_of(self, args: Sequence[Any]) -> ScoreProduct | None:
        """Returns the product that one of ``args`` comes from: the newest, as a tensor may be overwritten in place."""
        self._products = [(ref, product) for ref, product in self._products if ref() is not None]
        for ref, product in reversed(self._products):
            if any(arg is ref() for arg in args):
                return product
        return None


def linear_call(args: Sequence[Any], kwargs: Mapping[str, Any], output: Tensor) -> LinearCall:
    """Returns the record of a call ``F.linear(*args, **kwargs)`` that gave ``output``."""
    named = dict(zip(("input", "weight", "bias"), args, strict=False)) | dict(kwargs)
    return LinearCall(named["input"], named["weight"], named.get("bias"), output)


def _product(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], result: Tensor) -> ScoreProduct | None:
    """Returns the product of queries and keys that a function returned, as far as its shapes tell; else None."""
    product = product_call(name, args, kwargs, Tensor)
    factors = product.score_factors() if product else None
    if product is None or factors is None or not product.is_plain:
        return None
    query, key = factors
    return ScoreProduct(_spread(query, -2, result).detach(), _spread(key, -1, result).detach(), product.factor)


def _spread(factor: Factor[Tensor], token_axis: int, result: Tensor) -> Tensor:
    """Returns a factor of a product as ``[..., token, d]``, with all leading axes of the product.

    ``token_axis``: the axis of the product, counted from its end, that holds the tokens.
    """
    tensor = factor.tensor.movedim(factor.feature_axis, -1)
    leading = range(-result.dim(), -2)
    order = [factor.order.index(axis) for axis in (*leading, token_axis) if axis in factor.order]
    tensor = tensor.permute(*order, tensor.dim() - 1)
    for place, axis in enumerate(leading):
        if axis not in factor.order:
            tensor = tensor.unsqueeze(place)
    return tensor.expand(*result.shape[:-2], *tensor.shape[-2:])


def _transformed(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], source: ScoreProduct
) -> ScoreProduct | None:
    """Returns ``source`` after a function that scales it, adds to it, masks it or casts it; None after any other."""
    if name in _CASTS_AND_VIEWS | _ADDITIONS and not kwargs.get("alpha"):
        return source
    if name in _MULTIPLICATIONS | _DIVISIONS and len(args) == 2:
        numbers = [number for arg in args if (number := _scalar(arg)) is not None]
        if len(numbers) == 1 and numbers[0]:
            if name in _MULTIPLICATIONS:
                return ScoreProduct(source.query, source.key, source.factor * numbers[0])
            if _scalar(args[1]) is not None:
                return ScoreProduct(source.query, source.key, source.factor / numbers[0])
    return None


def _scalar(value: Any) -> float | None:
    """Returns a plain number, or that in a tensor without axes and gradient; None for anything else."""
    if isinstance(value, Tensor):
        return float(value) if value.numel() == 1 and not value.requires_grad and value.dim() == 0 else None
    return float(value) if isinstance(value, int | float) else None
