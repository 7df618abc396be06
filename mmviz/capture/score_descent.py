"""Tells what scores are: a product of queries and keys, the outputs of a linear map, or something else.

Scores may be scaled, added to, masked, gathered, viewed and cast on their way, in any order: only where they come from
counts here. Whatever mixes features anew (a linear map, a convolution, a norm) ends the way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

from mmviz.capture.data_flow import Step, name_of
from mmviz.capture.einsum import parse_einsum

Origin = Literal["", "product", "linear", "one output"]
"""Where scores come from: a product of two activations, a linear map of several outputs or of a single one, or ""."""

MAX_STEPS = 200
"""Functions that are followed back from a tensor."""
PRODUCTS = {
    "matmul": (0, 1), "__matmul__": (0, 1), "__rmatmul__": (0, 1), "bmm": (0, 1), "mm": (0, 1), "inner": (0, 1),
    "cdist": (0, 1), "einsum": (1, 2), "baddbmm": (1, 2), "addmm": (1, 2), "addbmm": (1, 2),
}  # fmt: skip
"""Functions that multiply two tensors, and the places of both among their tensors and the equation."""
SOFTMAXES = {"softmax", "softmin", "gumbel_softmax", "special_softmax", "log_softmax"}
"""Functions that turn scores into weights that sum to 1, or into their logarithm."""
_ENDS = {
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "layer_norm", "rms_norm", "group_norm",
    "batch_norm", "instance_norm", "embedding", "cos", "sin", "scaled_dot_product_attention", "argmax", "argsort",
} | SOFTMAXES  # fmt: skip
"""Functions after which numbers are no longer scores."""
RESIZING = {
    "__getitem__", "narrow", "select", "index_select", "gather", "take_along_dim", "cat", "concat", "concatenate",
    "stack", "pad", "expand", "expand_as", "repeat", "repeat_interleave", "chunk", "split", "split_with_sizes",
    "unbind", "where", "__setitem__", "copy_", "index_put", "index_put_", "topk", "roll", "broadcast_to",
}  # fmt: skip
"""Functions whose result may have another number of entries than the scores among their arguments."""
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
    """Returns the function that made weights of scores, such as ``"sigmoid"``; "" where none or a softmax did."""
    for step, activation in _ancestors(weights):
        if activation and _own_origin(step) == "product":
            return activation
    return ""


def factors(step: Step) -> list[Step]:
    """Returns the two tensors that a product multiplies; fewer where they are not known."""
    places = PRODUCTS[name_of(step)]
    values = [*step.args, *(step.kwargs or {}).values()]
    if name_of(step) == "einsum" and len(values) == 2 and type(values[1]) is tuple:
        values = [values[0], *values[1]]
    return [values[place] for place in places if place < len(values) and isinstance(values[place], Step)]


def is_weight(step: Step, depth: int = 8) -> bool:
    """Returns whether a tensor is a parameter of the model, or was computed from parameters alone."""
    if step.is_parameter or step.func is None or not depth:
        return step.is_parameter
    parents = step.parents()
    return bool(parents) and all(is_weight(parent, depth - 1) for parent in parents)


def _ancestors(last: Step) -> Iterator[tuple[Step, str]]:
    """Yields ``last`` and the steps that its numbers come from, with the activation function passed on the way."""
    open_steps, known = [(last, "")], {id(last)}
    while open_steps and len(known) < MAX_STEPS:
        step, activation = open_steps.pop()
        yield step, activation
        name = name_of(step)
        if name in _ENDS or (_own_origin(step) and not _mixes_heads(step)):
            continue
        if name in _ACTIVATIONS:
            activation = activation or name.rstrip("_")
        for parent in step.parents():
            if id(parent) not in known and (
                name in RESIZING or math.prod(parent.shape) == math.prod(step.shape) or _is_outer_sum(step)
            ):
                known.add(id(parent))
                open_steps.append((parent, activation))


def _own_origin(step: Step) -> Origin:
    """Returns what the function of a step itself makes."""
    name = name_of(step)
    if name == "linear":
        return "one output" if step.shape[-1:] == (1,) else "linear"
    if name in PRODUCTS:
        operands = factors(step)
        if len(operands) != 2:
            return ""
        if not any(is_weight(operand) for operand in operands):
            return "product"
        if not is_weight(operands[1]) and not _is_linear_einsum(step, operands):
            return "product"  # learned queries
        return "one output" if step.shape[-1:] == (1,) else "linear"
    return "product" if _is_outer_sum(step) else ""


def _is_linear_einsum(step: Step, operands: list[Step]) -> bool:
    """Returns whether the last axis of an einsum's output is one of its weight alone."""
    if name_of(step) != "einsum":
        return False
    axes = parse_einsum(step.args[0], *(len(operand.shape) for operand in operands))
    return axes is None or not axes.output or axes.output[-1] in axes.first_only


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
