"""What each function does to the places of tokens, told by running it on the numbers of tokens and features."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmviz.capture.data_flow_step import ATTENTION, Step, name_of
from mmviz.capture.einsum import parse_einsum
from mmviz.capture.function_tables import CONVOLUTIONS, JOINS, MOVES
from mmviz.capture.token_source_argument import is_constant

MAX_NUMBERS = 1 << 24
"""Largest tensor that is replayed; longer inputs are told by their shapes alone."""
PADDING = -1
"""Stands for what is no token of the layer."""

_LIKE = {"view_as", "reshape_as", "expand_as"}
"""Functions that take the shape of another tensor."""
_ELEMENTWISE = {
    "softmin", "gumbel_softmax", "special_softmax", "to", "float", "half", "bfloat16", "double", "long", "int",
    "type", "type_as", "cuda", "cpu", "contiguous", "clone", "detach",
    "add", "add_", "__add__", "__radd__", "__iadd__", "sub", "sub_", "__sub__", "__rsub__", "mul", "mul_", "__mul__",
    "__rmul__", "__imul__", "div", "div_", "__truediv__", "true_divide", "neg", "__neg__", "multiply", "divide",
    "layer_norm", "rms_norm", "group_norm", "normalize", "native_layer_norm", "batch_norm", "dropout", "dropout_",
    "feature_dropout", "alpha_dropout", "gelu", "relu", "silu", "tanh", "sigmoid", "softplus", "leaky_relu", "elu",
    "pow", "__pow__", "rsqrt", "sqrt", "clamp", "clamp_", "nan_to_num", "masked_fill", "masked_fill_", "where", "lerp",
    "index_put", "index_put_", "__setitem__", "copy_", "scatter", "scatter_", "masked_scatter", "addcmul",
    "requires_grad_", "softmax", "log_softmax", "quick_gelu", "hardtanh", "mish", "exp", "log", "abs", "real",
    "max", "min", "maximum", "minimum",
}  # fmt: skip
"""Functions of each number by itself, or of the numbers of one token: they move nothing."""
_LINEAR = {"linear", "linear_dynamic", "matmul", "__matmul__", "mm", "addmm", "bmm", "baddbmm", "einsum"}
_LOOKUPS = {"embedding", "one_hot"}
"""Functions that turn the number of each token into features."""
FOLLOWED = (
    MOVES | JOINS | CONVOLUTIONS | _ELEMENTWISE | _LINEAR | _LOOKUPS
    | {"glu", "pad", "view_as_complex", "view_as_real", ATTENTION}
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Places:
    """The token and the feature that each number of a tensor belongs to, int64, in the shape of the tensor."""

    token: Tensor
    """Flat number of the token in the layer; `PADDING` for none."""
    feature: Tensor
    """Number of the feature in the output of the last linear map."""
    has_features: bool = True
    """Whether the last axis is one of features; that of scores is one of keys."""


def steps_between(first: Step, last: Step) -> list[Step]:
    """Returns the steps from ``first`` to ``last`` by which the tokens came, both included."""
    return [first, *reversed([*takewhile(lambda step: step is not first, last.chain())])]


@contextmanager
def quietly() -> Iterator[None]:
    """Lets torch compute outside of the model that runs."""
    with torch._C.DisableTorchFunction(), torch.inference_mode(False), torch.no_grad():
        yield


def along(path: Sequence[Step], places: Places) -> Places | None:
    """Returns the places of the last step of a path, from those of its first step."""
    for before, step in pairwise(path):
        moved = after(step, places, before)
        if moved is None or tuple(moved.token.shape) != step.shape:
            return None
        places = moved
    return places


def after(step: Step, places: Places, before: Step) -> Places | None:
    """Returns the places after one function, of the argument ``before`` of which they are known."""
    name = name_of(step)
    if name in _LIKE:
        method = torch.Tensor.expand if name == "expand_as" else torch.Tensor.reshape
        return _mapped(places, lambda tensor: method(tensor, step.shape))
    if name in MOVES and step.func is not None:
        return _moved(step, places, torch.Tensor.reshape if name == "view" else step.func)
    if name == ATTENTION:
        return _mapped(places, lambda tensor: of_queries(step, tensor))
    if name in _LOOKUPS:
        if step.shape[:-1] != tuple(places.token.shape):
            return None
        return Places(places.token[..., None].expand(step.shape), torch.arange(step.shape[-1]).expand(step.shape))
    if name == "pad":
        return _padded(step, places)
    if name == "glu":
        axis = step.args[1] if len(step.args) > 1 else (step.kwargs or {}).get("dim", -1)
        return _mapped(places, lambda tensor: tensor.narrow(axis, 0, step.shape[axis]))
    if name in CONVOLUTIONS:
        return _after_convolution(step, places)
    if name in _LINEAR:
        return _after_linear(name, step, places, before)
    if name in JOINS:
        return _joined(step, places, before)
    if name == "view_as_complex":
        return _mapped(places, lambda tensor: tensor[..., 0])
    if name == "view_as_real":
        return _mapped(places, lambda tensor: tensor[..., None].expand(step.shape))
    if name == "__setitem__" and before.shape != step.shape:  # the features of new memory are overwritten
        return _mapped(places, lambda tensor: tensor[..., :1].expand(step.shape))
    if name in _ELEMENTWISE:
        return _mapped(places, lambda tensor: tensor.expand(step.shape))
    return None


def of_queries(step: Step, numbers: Tensor) -> Tensor:
    """Returns what ``numbers``, in the shape of its queries, are for the output ``step`` of an attention."""
    first = numbers.flatten()[step.places[0]] if step.places else numbers[..., :1]
    return first.expand(step.shape)


def _mapped(places: Places, function: Callable[[Tensor], Tensor]) -> Places | None:
    try:
        return Places(function(places.token), function(places.feature), places.has_features)
    except (RuntimeError, IndexError, TypeError, ValueError):
        return None


def _moved(step: Step, places: Places, func: Callable[..., Any]) -> Places | None:
    """Returns the places after a function that moves numbers, which is called with them in place of its tensor."""
    kwargs = dict(step.kwargs or {})
    part = kwargs.pop("part", None)

    def move(tensor: Tensor) -> Tensor:
        result = func(*_with(step.args, tensor), **{name: _with((value,), tensor)[0] for name, value in kwargs.items()})
        moved: Tensor = result if part is None else result[part]
        return moved

    return _mapped(places, move)


def _with(values: Sequence[Any], tensor: Tensor) -> tuple[Any, ...]:
    """Returns arguments with ``tensor`` in place of the step, and tensors of indices on its device."""
    return tuple(
        tensor if isinstance(value, Step)
        else value.cpu() if isinstance(value, Tensor)
        else _with(value, tensor) if type(value) is tuple
        else value
        for value in values
    )  # fmt: skip


def _padded(step: Step, places: Places) -> Places | None:
    """Returns the places after padding: what was added is no token."""
    pad = step.args[1] if len(step.args) > 1 else (step.kwargs or {}).get("pad")
    mode = step.args[2] if len(step.args) > 2 else (step.kwargs or {}).get("mode", "constant")
    if mode != "constant" or pad is None:
        return None
    token, feature = places.token, places.feature
    for number, axis in enumerate(range(-1, -1 - len(pad) // 2, -1)):
        size, (before, after_) = token.shape[axis], pad[2 * number : 2 * number + 2]
        feature = feature.index_select(axis, torch.arange(-before, size + after_).clamp(0, size - 1))
    return Places(F.pad(token, pad, value=PADDING), feature, places.has_features)


def _after_convolution(step: Step, places: Places) -> Places | None:
    """Returns the places after a convolution of stride 1, of the token in the middle of its kernel."""
    names = ("input", "weight", "bias", "stride", "padding", "dilation")
    values = dict(zip(names, step.args, strict=False)) | (step.kwargs or {})
    kernel = values["weight"].shape[2:]
    token, count = places.token, len(kernel)
    padding, dilation = (
        (value,) * count if isinstance(value := values.get(name, default), int) else tuple(value)
        for name, default in (("padding", 0), ("dilation", 1))
    )
    if token.dim() != count + 2 or values.get("padding") == "same" or bool((token != token[:, :1]).any()):
        return None
    token = F.pad(token[:, :1], [size for size in reversed(padding) for _ in range(2)], value=PADDING)
    for axis in range(count):
        token = token.narrow(axis + 2, dilation[axis] * (kernel[axis] - 1) // 2, step.shape[axis + 2])
    features = torch.arange(step.shape[1]).view(-1, *[1] * count)
    return Places(token.expand(step.shape), features.expand(step.shape))


def _after_linear(name: str, step: Step, places: Places, before: Step) -> Places | None:
    """Returns the places after a linear map of the features of each token; None for products of other kinds."""
    token = places.token
    if token.shape[-1] > 1 and not bool((token == token[..., :1]).all()):
        return None
    if name == "einsum":
        return _after_einsum(step, places, before)
    weights = [part for part in step.parents() if part is not before]
    if weights and not any(part.is_parameter or len(part.shape) <= 2 for part in weights):
        return None
    if step.shape[:-1] != tuple(token.shape[:-1]):
        return None
    return Places(token[..., :1].expand(step.shape), torch.arange(step.shape[-1]).expand(step.shape))


def _after_einsum(step: Step, places: Places, before: Step) -> Places | None:
    """Returns the places after an einsum of tokens ``...d`` with a weight: its own axes are features."""
    axes = parse_einsum(step.args[0], *(len(part.shape) for part in step.args[1:])) if len(step.args) == 3 else None
    if axes is None or len(step.args) != 3:
        return None
    if step.args[1] is not before:
        axes = axes.swapped()
    if not axes.summed or axes.batch or axes.first[-len(axes.summed) :] != axes.summed:
        return None
    sizes = dict(zip(axes.output, step.shape, strict=True))
    token = places.token.flatten(-len(axes.summed))[..., 0] if len(axes.summed) > 1 else places.token[..., 0]
    kept = axes.first[: -len(axes.summed)]
    shape = [sizes[axis] if axis in kept else 1 for axis in axes.output]
    order = [kept.index(axis) for axis in axes.output if axis in kept]
    new = [sizes[axis] if axis in axes.second_only else 1 for axis in axes.output]
    feature = torch.arange(math.prod(new)).reshape(new)
    return Places(token.permute(order).reshape(shape).expand(step.shape), feature.expand(step.shape))


def _no_tokens(step: Step) -> Places:
    """Returns the places of a tensor of one number that pads others."""
    return Places(torch.full(step.shape, PADDING), torch.zeros(step.shape, dtype=torch.int64))


def _joined(step: Step, places: Places, before: Step) -> Places | None:
    """Returns the places after parts were joined: along features, which hold the same tokens, or along tokens."""
    parts, kwargs = step.args[0], step.kwargs or {}
    axis = step.args[1] if len(step.args) > 1 else kwargs.get("dim", kwargs.get("axis", 0))
    is_last = axis in (-1, len(step.shape) - 1)
    if not places.has_features:
        if not is_last or name_of(step) == "stack" or before not in parts:
            return None
        first = sum(part.shape[-1] for part in parts[: parts.index(before)])
        rest = step.shape[-1] - first - places.token.shape[-1]
        return _mapped(places, lambda tensor: F.pad(tensor, (first, rest), value=PADDING))  # keys that are no tokens
    if is_last and before in parts:
        if name_of(step) == "stack":
            return _mapped(places, lambda tensor: tensor.unsqueeze(-1).expand(step.shape))
        return _mapped(places, lambda tensor: tensor[..., :1].expand(step.shape))
    of_parts = [
        _no_tokens(part) if is_constant(part) else along(steps_between(before, part), places)
        for part in parts if math.prod(part.shape)
    ]  # fmt: skip
    if any(part is None for part in of_parts):
        return None
    join = torch.stack if name_of(step) == "stack" else torch.cat
    try:
        tokens, features = ([getattr(part, name) for part in of_parts] for name in ("token", "feature"))
        return Places(join(tokens, axis), join(features, axis))
    except (RuntimeError, IndexError):
        return None
