"""Which argument of a function the tokens of its result come from."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice, takewhile
from typing import Any

from torch import Tensor

from mmviz.capture.data_flow_step import PLAIN, Step, name_of, steps_in
from mmviz.capture.function_tables import CONVOLUTIONS, JOINS, OF_FIRST

_JOINING = JOINS | {
    "hstack", "vstack", "index_copy", "index_copy_", "copy_", "where",
    "masked_scatter", "masked_scatter_", "scatter", "scatter_", "__setitem__", "index_put", "index_put_",
}  # fmt: skip
"""Functions whose result has tokens of several arguments, unless they join along the last axis, that of features."""
_NEAR = 32
"""Steps within which a tensor that is written into another was computed from it, so that no token is new."""
_CONSTANTS = {"new_zeros", "new_ones", "new_full", "zeros_like", "ones_like", "full_like"}
_CONDITIONS = {
    "where": 0, "masked_scatter": 1, "masked_scatter_": 1, "__setitem__": 1, "index_put": 1, "index_put_": 1,
    "scatter": 2, "scatter_": 2,
}  # fmt: skip
"""The place of the argument that tells where numbers are written, and has no tokens."""


def source_of(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any] | None) -> Step | None:
    """Returns the argument that the tokens of a result come from: the first of the largest; None where they are joined.

    Parameters of the model come last, since a weight is no token; a token that is learned is.
    """
    steps = steps_in(args)
    if kwargs:
        steps += steps_in(kwargs.values())
    if not steps:
        return None
    name = getattr(func, "__name__", "")
    if name == "linear" or name in CONVOLUTIONS:
        return steps[0]
    if name.startswith("new_") or name.endswith("_like"):  # takes the shape of its argument, not its tokens
        return None
    if len(steps) == 1:
        return steps[0]
    if name in OF_FIRST and isinstance(args[0], Step):
        return args[0]
    if name == "__setitem__" and isinstance(args[2], Step) and _is_of_features(args[1], len(steps[0].shape)):
        return steps[0] if steps[0].source or steps[0].func is None else args[2]  # new memory holds no tokens yet
    if name in _JOINING:
        if (place := _CONDITIONS.get(name)) is not None:
            steps = steps_in((*args[:place], *args[place + 1 :])) or steps
        parts = [step for step in steps if math.prod(step.shape) > 1] or steps
        if len(parts) > 1 and name in JOINS:
            parts = [part for part in parts if not is_constant(part)] or parts  # padding holds no tokens
            return parts[0] if _joins_features(name, args, kwargs) else common_step(parts)
        if any(parts[0] not in islice(part.chain(), _NEAR) for part in parts[1:]):
            return None
        return parts[0]
    return max(steps, key=lambda step: (not step.is_parameter, bool(step.input_name), math.prod(step.shape)))


def is_constant(step: Step) -> bool:
    """Returns whether a tensor was made of one number, such as zeros, and has the shape of another alone."""
    return name_of(step) in _CONSTANTS


def common_step(parts: Sequence[Step]) -> Step | None:
    """Returns the last step that the tokens of all parts come from; None where that is far or unknown."""
    near = [set(islice(part.chain(), _NEAR)) for part in parts[1:]]
    return next((step for step in islice(parts[0].chain(), _NEAR) if all(step in chain for chain in near)), None)


def are_parallel(parts: Sequence[Step], functions: Collection[str]) -> bool:
    """Returns whether all parts were computed from one tensor by the same of some functions, so that their tokens are
    arranged alike."""
    common = common_step(parts)
    if common is None:
        return False
    paths = [[signature(step) for step in takewhile(lambda step: step is not common, part.chain())] for part in parts]
    names = {getattr(func, "__name__", "") for func, *_ in paths[0]}
    return names <= set(functions) and all(path == paths[0] for path in paths)


def signature(step: Step) -> tuple[object, ...]:
    """Returns what tells how a function moves tokens: itself, and its arguments with the shapes of tensors."""
    if step.signature is None:
        plain = _plain((step.args, tuple((step.kwargs or {}).items())), step.source)
        step.signature = (step.func, step.shape, str(plain))
    return step.signature


def _plain(value: Any, source: Step | None) -> object:
    """Returns arguments with the shapes of tensors in their place, and which of them the tokens come from."""
    kind = type(value)
    if kind is Step:
        return (value.shape, value is source, value.is_parameter)
    if kind is tuple:
        return tuple([entry if type(entry) in PLAIN else _plain(entry, source) for entry in value])
    return id(value) if isinstance(value, Tensor) else value  # indices


def _joins_features(name: str, args: Sequence[Any], kwargs: Mapping[str, Any] | None) -> bool:
    """Returns whether tensors are joined along the last axis of the result."""
    axis = args[1] if len(args) > 1 else (kwargs or {}).get("dim", (kwargs or {}).get("axis", 0))
    axes = len(steps_in(args[:1])[0].shape) + (name == "stack")
    return axis in (-1, axes - 1)


def _is_of_features(index: Any, axes: int) -> bool:
    """Returns whether an index takes some of the last axis, and all of the others."""
    if not isinstance(index, tuple) or not index or not isinstance(index[-1], slice):
        return False
    return index[:-1] == (...,) or (len(index) == axes and index[:-1] == (slice(None),) * (axes - 1))


def begins_tokens(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any] | None) -> bool:
    """Returns whether nothing before a function is a token yet: a convolution that skips places."""
    if getattr(func, "__name__", "") not in CONVOLUTIONS:
        return False
    stride = args[3] if len(args) > 3 else (kwargs or {}).get("stride", 1)
    return stride != 1 and any(step != 1 for step in (stride if isinstance(stride, tuple) else (stride,)))
