"""Replays the functions that arranged a tensor, on the numbers of its tokens, so that each vector gets its place.

Queries are often reshaped, split into heads, windowed, shifted or padded on their way from the tokens of a layer to the
attention. The same functions, applied to the numbers of tokens and features instead of activations, tell exactly which
token and which head each vector of the queries is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmviz.capture.data_flow import ATTENTION, Step, name_of
from mmviz.capture.einsum import parse_einsum

MAX_NUMBERS = 1 << 24
"""Largest tensor that is replayed; longer inputs are told by their shapes alone."""
MAX_STEPS = 200
"""Functions between the tokens of a layer and its attention that are replayed."""
PADDING = -1
"""Stands for what is no token of the layer."""

_MOVING = {
    "view", "reshape", "permute", "transpose", "transpose_", "swapaxes", "swapdims", "movedim", "moveaxis", "t",
    "flatten", "unflatten", "unsqueeze", "squeeze", "expand", "broadcast_to", "repeat", "repeat_interleave", "tile",
    "chunk", "split", "split_with_sizes", "tensor_split", "unbind", "__getitem__", "select", "narrow", "index_select",
    "roll", "flip", "hsplit", "vsplit", "unfold",
}  # fmt: skip
"""Functions that move, repeat or leave out numbers, and do nothing else."""
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
}  # fmt: skip
"""Functions of each number by itself, or of the numbers of one token: they move nothing."""
_PICKING = {"__getitem__", "index_select", "roll", "flip", "repeat_interleave", "repeat", "gather"}
"""Functions that may put tokens into another order."""
_PRODUCTS = {"linear", "matmul", "__matmul__", "mm", "addmm", "bmm", "baddbmm", "einsum"}
_LOOKUPS = {"embedding", "one_hot"}
"""Functions that turn the number of each token into features."""
_JOINS = {"cat", "concat", "concatenate", "stack"}
_FOLLOWED = (
    _MOVING | _LIKE | _ELEMENTWISE | _PRODUCTS | _JOINS | _LOOKUPS
    | {"__get__", "pad", "view_as_complex", "view_as_real", ATTENTION}
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


def replay(last: Step, first: Step, feature_axis: int = -1) -> Places | None:
    """Returns the places of ``last``, computed from the tokens ``first`` ``[..., token, feature]``.

    All numbers along ``feature_axis`` of ``last`` belong to one token; that axis is left out of the result.

    Returns None where ``last`` does not come from ``first``, or a function between them does something else to tokens
    than move them, mix features of one token, or change each number by itself.
    """
    if len(first.shape) < 2 or math.prod(first.shape) > MAX_NUMBERS:
        return None
    tokens = torch.arange(math.prod(first.shape[:-1]), device="cpu").reshape(*first.shape[:-1], 1)
    features = torch.arange(first.shape[-1], device="cpu")
    places = _replayed(Places(tokens.expand(first.shape), features.expand(first.shape)), last, first)
    if places is None:
        return None
    token, feature = (tensor.movedim(feature_axis, -1) for tensor in (places.token, places.feature))
    if not bool((token == token[..., :1]).all()):
        return None
    return Places(token[..., 0], feature[..., 0])


def follows(step: Step) -> bool:
    """Returns whether the function of a step is one of those that can be replayed."""
    name = name_of(step)
    return step.func is None or name in _FOLLOWED


def keeps_order(last: Step, first: Step) -> bool:
    """Returns whether ``last`` has the tokens of ``first`` in order, as far as functions that pick tokens tell."""
    names = {name_of(step) for step in takewhile(lambda step: step is not first, last.chain())}
    if not names & _PICKING:
        return True
    places = replay(last, first)
    return places is not None and bool((places.token.flatten() == torch.arange(places.token.numel())).all())


def replay_numbers(numbers: Tensor, last: Step, first: Step) -> Tensor | None:
    """Returns ``numbers`` in the shape of ``first`` as the functions between ``first`` and ``last`` move them.

    Returns None where a function does something else than move them or change each by itself.
    """
    places = _replayed(Places(numbers, numbers, has_features=False), last, first)
    return None if places is None else places.token


def _replayed(places: Places, last: Step, first: Step) -> Places | None:
    steps: list[Step] = []
    for step in islice(last.chain(), MAX_STEPS):
        if step is first:
            break
        if math.prod(step.shape) > MAX_NUMBERS:
            return None
        steps.append(step)
    else:
        return None
    with torch._C.DisableTorchFunction(), torch.inference_mode(False), torch.no_grad():
        for step in reversed(steps):
            moved = _after(step, places)
            if moved is None or tuple(moved.token.shape) != step.shape:
                return None
            places = moved
    return places


def _after(step: Step, places: Places) -> Places | None:
    """Returns the places after one function."""
    name = name_of(step)
    if (name in _MOVING or name == "__get__") and step.func is not None:  # the getter is that of T, mT and the like
        return _moved(step, places, torch.Tensor.reshape if name == "view" else step.func)
    if name in _LIKE:
        method = torch.Tensor.expand if name == "expand_as" else torch.Tensor.reshape
        return _mapped(places, lambda tensor: method(tensor, step.shape))
    if name == ATTENTION:
        return _mapped(places, lambda tensor: tensor[..., :1].expand(step.shape))
    if name in _LOOKUPS:
        if step.shape[:-1] != tuple(places.token.shape):
            return None
        return Places(places.token[..., None].expand(step.shape), torch.arange(step.shape[-1]).expand(step.shape))
    if name == "pad":
        return _padded(step, places)
    if name in _PRODUCTS:
        return _after_linear(name, step, places)
    if name in _JOINS:  # parts of the same tokens, else they begin here
        return _widened(step, places)
    if name == "view_as_complex":
        return _mapped(places, lambda tensor: tensor[..., 0])
    if name == "view_as_real":
        return _mapped(places, lambda tensor: tensor[..., None].expand(step.shape))
    if name in _ELEMENTWISE:
        return _mapped(places, lambda tensor: tensor.expand(step.shape))
    return None


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
    feature = _mapped(places, lambda tensor: F.pad(tensor, pad))
    token = _mapped(places, lambda tensor: F.pad(tensor, pad, value=PADDING))
    return Places(token.token, feature.feature) if token and feature else None


def _after_linear(name: str, step: Step, places: Places) -> Places | None:
    """Returns the places after a linear map of the features of each token; None for products of other kinds."""
    token = places.token
    if token.shape[-1] > 1 and not bool((token == token[..., :1]).all()):
        return None
    if name == "einsum":
        return _after_einsum(step, places)
    weights = [part for part in step.parents() if part is not step.source]
    if not any(part.is_parameter or len(part.shape) <= 2 for part in weights):
        return None
    if step.shape[:-1] != tuple(token.shape[:-1]):
        return None
    return Places(token[..., :1].expand(step.shape), torch.arange(step.shape[-1]).expand(step.shape))


def _after_einsum(step: Step, places: Places) -> Places | None:
    """Returns the places after an einsum of tokens ``...d`` with a weight: its own axes are features."""
    axes = parse_einsum(step.args[0], *(len(part.shape) for part in step.args[1:])) if len(step.args) == 3 else None
    if axes is None or len(step.args) != 3:
        return None
    if step.args[1] is not step.source:
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


def _widened(step: Step, places: Places) -> Places | None:
    """Returns the places after parts that hold the same tokens were joined along their features, or stacked."""
    if name_of(step) == "stack":
        axis = step.args[1] if len(step.args) > 1 else (step.kwargs or {}).get("dim", 0)
        return _mapped(places, lambda tensor: tensor.unsqueeze(axis).expand(step.shape))
    if places.has_features:
        return _mapped(places, lambda tensor: tensor[..., :1].expand(step.shape))
    parts = list(step.parents())
    before = sum(part.shape[-1] for part in parts[: parts.index(step.source)]) if step.source in parts else 0
    after = step.shape[-1] - before - places.token.shape[-1]
    return _mapped(places, lambda tensor: F.pad(tensor, (before, after), value=PADDING))  # keys that are no tokens
