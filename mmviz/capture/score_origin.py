"""Tells what scores are: a product of queries and keys, the outputs of a linear map, or something else.

Scores may be scaled, added to, masked, gathered, viewed and cast on their way, in any order: only where they come from
counts here. Whatever mixes features anew (a linear map, a convolution, a norm) ends the way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import Literal

from mmviz.capture.data_flow_step import ATTENTION, Step, name_of
from mmviz.capture.function_tables import CONVOLUTIONS, MIXES, RESIZES, SOFTMAXES
from mmviz.capture.product_call import PRODUCTS, ProductCall, product_call

Origin = Literal["", "product", "linear", "one output"]
"""Where scores come from: a product of two activations, a linear map of several outputs or a single output, or ""."""

MAX_STEPS = 200
"""Functions that are followed back from a tensor."""
_LAYERS = CONVOLUTIONS | {"linear", "layer_norm", ATTENTION}
"""Functions of layers, whose output is no weight."""
_ACTIVATIONS = {
    "sigmoid", "sigmoid_", "exp", "exp_", "exp2", "relu", "relu_", "relu6", "softplus", "clamp", "clamp_", "clamp_min",
    "clip", "hardsigmoid",
}  # fmt: skip
"""Functions that make scores non-negative, as attention without a softmax does."""


def origin_of(scores: Step) -> Origin:
    """Returns where scores come from; a product counts more than a linear map that is added to it."""
    origins = {_own_origin(step) for step, _ in _ancestors(scores)}
    order: tuple[Origin, ...] = ("product", "one output", "linear")
    return next((origin for origin in order if origin in origins), "")


def activation_of(weights: Step) -> str:
    """Returns the function that turned scores into weights, such as ``"sigmoid"``; "" where none or a softmax did."""
    for step, activation in _ancestors(weights):
        if activation and _own_origin(step) == "product":
            return activation
    return ""


def product_of(step: Step) -> ProductCall[Step] | None:
    """Returns the two tensors that a step multiplies; None where it multiplies no two tensors."""
    return product_call(name_of(step), step.args, step.kwargs or {}, Step)


def path_from_product(weights: Step) -> list[Step] | None:
    """Returns the steps from a product of queries and keys to ``weights``, both included; None where there is none.

    The way that the tokens took comes first; where a function joined it with others, any that may hold the scores.
    """
    path = []
    for step in islice(weights.chain(), MAX_STEPS):
        path.append(step)
        if name_of(step) in PRODUCTS and (product := product_of(step)):
            return path[::-1] if product.score_factors() else None
    paths, known = [[weights]], {id(weights)}
    while paths and len(known) < MAX_STEPS:
        following = []
        for path in paths:
            step = path[-1]
            if name_of(step) in PRODUCTS and _own_origin(step) == "product":
                product = product_of(step)
                return path[::-1] if product and product.score_factors() else None
            if name_of(step) not in MIXES:
                parents = [parent for parent in step.parents() if id(parent) not in known and _passes(parent, step)]
                known.update(map(id, parents))
                following += [[*path, parent] for parent in parents]
        paths = following
    return None


def is_weight(step: Step, depth: int = 8) -> bool:
    """Returns whether a tensor is a parameter of the model, or was computed from parameters alone.

    The output of a linear map is none, even of a learned token.
    """
    if step.is_parameter or step.func is None or not depth:
        return step.is_parameter
    if name_of(step) in _LAYERS:
        return False
    parents = step.parents()
    return bool(parents) and all(is_weight(parent, depth - 1) for parent in parents)


def _ancestors(last: Step) -> Iterator[tuple[Step, str]]:
    """Yields ``last`` and the steps that its numbers come from, with the activation function passed on the way."""
    open_steps, known = [(last, "")], {id(last)}
    while open_steps and len(known) < MAX_STEPS:
        step, activation = open_steps.pop()
        yield step, activation
        name = name_of(step)
        if name in MIXES or name in SOFTMAXES or (_own_origin(step) and not _mixes_heads(step)):
            continue
        if name in _ACTIVATIONS:
            activation = activation or name.rstrip("_")
        for parent in step.parents():
            if id(parent) not in known and (_passes(parent, step) or _is_outer_sum(step)):
                known.add(id(parent))
                open_steps.append((parent, activation))


def _passes(parent: Step, step: Step) -> bool:
    """Returns whether the entries of a step may be those of its argument."""
    return name_of(step) in RESIZES or math.prod(parent.shape) == math.prod(step.shape)


def _own_origin(step: Step) -> Origin:
    """Returns what the function of a step itself makes."""
    name = name_of(step)
    if name == "linear":
        return "one output" if step.shape[-1:] == (1,) else "linear"
    if name in PRODUCTS:
        product = product_of(step)
        if product is None:
            return ""
        first, second = product.operands
        if not is_weight(first) and not is_weight(second):
            return "product"
        if not is_weight(second) and not _is_linear_einsum(product):
            return "product"  # learned queries
        return "one output" if step.shape[-1:] == (1,) else "linear"
    return "product" if _is_outer_sum(step) else ""


def _is_linear_einsum(product: ProductCall[Step]) -> bool:
    """Returns whether the last axis of an einsum's output is one of its weight alone."""
    axes = product.einsum
    return product.name == "einsum" and (axes is None or not axes.output or axes.output[-1] in axes.first_only)


def _is_outer_sum(step: Step) -> bool:
    """Returns whether a step sums the products of every query with every key, feature by feature."""
    if name_of(step) != "sum" or not (parents := step.parents()):
        return False
    product = parents[0]
    operands = product.parents()
    size = math.prod(product.shape)
    return (
        name_of(product) in ("mul", "__mul__", "multiply")
        and len(operands) == 2
        and all(math.prod(operand.shape) < size and not is_weight(operand) for operand in operands)
    )


def _mixes_heads(step: Step) -> bool:
    """Returns whether a linear map mixes the heads of scores, as talking heads do: on four axes, of which it keeps the
    sizes."""
    parents = step.parents()
    return name_of(step) == "linear" and len(step.shape) > 3 and bool(parents) and parents[0].shape == step.shape
