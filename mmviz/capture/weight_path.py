"""Follows weights from their softmax to the product that uses them: which axis sums to 1, and what took a share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from mmviz.capture.data_flow_step import Step, name_of
from mmviz.capture.function_tables import CUTS, FLAT, MIXES, PARTS, RESIZES, SOFTMAXES, TURNS
from mmviz.capture.product_call import PRODUCTS

MAX_STEPS = 60
"""Functions between a softmax and a product that are followed back."""
_ENDS = MIXES | PRODUCTS | SOFTMAXES - {"log_softmax"} | {"linear", "gt", "lt", "eq", "ge", "le"}
"""Functions before which nothing is weights of the softmax that is looked for."""
_DROPOUTS = {"dropout", "dropout_", "native_dropout"}
_MASKS = {
    "mul", "mul_", "__mul__", "__rmul__", "multiply", "multiply_", "masked_fill", "masked_fill_", "where", "clamp",
    "threshold", "masked_scatter", "index_fill", "index_fill_", "scatter", "scatter_", "tril", "triu", "tril_", "triu_",
    "__setitem__",
}  # fmt: skip
"""Functions that may set some of the weights to 0."""
_SUMS = {"sum", "nansum"}


@dataclass(frozen=True)
class WeightPath:
    """How the weights of a softmax came to a product."""

    steps: tuple[Step, ...]
    """The result of the softmax, and those of the functions after it, up to the product's operand."""
    axis: int | None
    """The axis of the product's operand over which they were normalised; None where that cannot be told."""
    absorbed_by: str
    """What may have taken a share of the rows: "sink" for entries that were cut off, "mask" for others; else ""."""
    has_dropout: bool
    """Whether weights were dropped at random."""

    @property
    def softmax(self) -> Step:
        """The result of the softmax."""
        return self.steps[0]


def weight_path(operand: Step) -> WeightPath | None:
    """Returns the way from a softmax to ``operand``, the shortest one; None where it comes from no softmax."""
    level: list[tuple[Step, ...]] = [(operand,)]
    known = {id(operand)}
    while level and len(known) < MAX_STEPS:
        following = []
        for path in level:
            step = path[-1]
            if (axis := softmax_axis(step)) is not None:
                return _followed(path[::-1], axis)
            name = name_of(step)
            if name in _ENDS or step.func is None:
                continue
            for parent in step.parents():
                if id(parent) not in known and (name in RESIZES or _is_as_large(parent, step)):
                    known.add(id(parent))
                    following.append((*path, parent))
        level = following
    return None


def _is_as_large(parent: Step, step: Step) -> bool:
    """Returns whether the entries of a step may be those of its argument, repeated over leading axes at most."""
    return math.prod(parent.shape) == math.prod(step.shape) or (
        len(parent.shape) > 1 and parent.shape[-2:] == step.shape[-2:]
    )


def softmax_axis(step: Step) -> int | None:
    """Returns the axis that a step normalises; None where it is no softmax."""
    name, axes = name_of(step), len(step.shape)
    kwargs = step.kwargs or {}
    if name == "exp" and (parents := step.parents()) and name_of(parents[0]) == "log_softmax":
        return _softmax_axis_of(parents[0])
    if name not in SOFTMAXES or name == "log_softmax":
        return None
    if name == "gumbel_softmax":
        axis = step.args[4] if len(step.args) > 4 else kwargs.get("dim", -1)
        return int(axis) % axes
    return _softmax_axis_of(step)


def _softmax_axis_of(step: Step) -> int:
    axes, kwargs = len(step.shape), step.kwargs or {}
    axis = step.args[1] if len(step.args) > 1 else kwargs.get("dim")
    if axis is None:  # torch's own choice where none is named
        axis = 0 if axes in (0, 1, 3) else 1
    return int(axis) % max(axes, 1)


def _followed(path: Sequence[Step], axis: int) -> WeightPath:
    """Returns what happened to axis ``axis`` of a softmax ``path[0]`` on its way to the last step."""
    place: int | None = axis
    absorbed_by, has_dropout = "", False
    for before, step in pairwise(path):
        name = name_of(step)
        if name in _DROPOUTS:
            has_dropout |= _drops(step)
        if name in ("div", "div_", "true_divide", "__truediv__") and (summed := _sum_axis(step, before)) is not None:
            place = summed  # normalised anew
            absorbed_by = ""
            continue
        moved = None if place is None else axis_after(before, step, place)
        if place is not None and moved is not None and step.shape[moved] < before.shape[place]:
            if name in PARTS:
                moved = None
            elif name in CUTS:
                absorbed_by = "sink"
        if name in _MASKS:
            absorbed_by = absorbed_by or "mask"
        place = moved
    return WeightPath(tuple(path), place, absorbed_by, has_dropout)


def axis_after(before: Step, step: Step, axis: int) -> int | None:
    """Returns the place of axis ``axis`` of ``before`` in ``step``, which was computed from it; None for nowhere."""
    name, shape = name_of(step), step.shape
    if name in FLAT:
        rest = math.prod(before.shape[axis + 1 :])
        places = [
            place for place in range(len(shape))
            if shape[place] == before.shape[axis] and math.prod(shape[place + 1 :]) == rest
        ]  # fmt: skip
        return places[-1] if places else None
    if name in TURNS or name in CUTS or name in PARTS or name in ("expand", "expand_as", "broadcast_to"):
        return _replayed_axis(before, step, axis)
    if shape == before.shape:
        return axis
    place = axis - len(before.shape) + len(shape)  # aligned at the last axis, as in broadcasting
    return place if place >= 0 and len(shape) >= len(before.shape) else None


def _replayed_axis(before: Step, step: Step, axis: int) -> int | None:
    """Returns where a view puts an axis, by the step in memory from one entry to the next."""
    strides, size = [0] * len(before.shape), 1
    for place in reversed(range(len(before.shape))):
        strides[place] = size
        size *= max(before.shape[place], 2)
    kwargs = dict(step.kwargs or {})
    part = kwargs.pop("part", None)
    with torch._C.DisableTorchFunction(), torch.inference_mode(False), torch.no_grad():
        stand_in = torch.empty_strided(before.shape, strides, device="meta")

        def argument(value: Any) -> Any:
            if isinstance(value, Step):
                return stand_in if value is before else torch.empty(value.shape, device="meta")
            if isinstance(value, Tensor):
                return value.to("meta") if value.dtype is not torch.bool else value
            return tuple(map(argument, value)) if type(value) is tuple else value

        try:
            assert step.func is not None
            moved = step.func(*map(argument, step.args), **{name: argument(value) for name, value in kwargs.items()})
        except (RuntimeError, IndexError, TypeError, ValueError, NotImplementedError):
            return None
        moved = moved if part is None else moved[part]
    places = [place for place, stride in enumerate(moved.stride()) if stride == strides[axis]]
    if places:
        return places[-1]
    return axis if moved.dim() == len(before.shape) and moved.shape[axis] == before.shape[axis] else None


def _sum_axis(division: Step, weights: Step) -> int | None:
    """Returns the axis over which a division normalises weights: the divisor is their sum, which keeps its axis."""
    parents = division.parents()
    if len(parents) != 2 or parents[0] is not weights:
        return None
    step = parents[1]
    for _ in range(4):
        if name_of(step) in _SUMS:
            axis = _first(step.args, step.kwargs or {}, "dim")
            if isinstance(axis, tuple | list) and len(axis) == 1:
                axis = axis[0]
            if isinstance(axis, int) and len(step.shape) == len(weights.shape):
                return axis % len(weights.shape)
            return None
        if not step.parents():
            return None
        step = step.parents()[0]
    return None


def _first(args: Sequence[Any], kwargs: Mapping[str, Any], name: str) -> Any:
    """Returns the argument after the tensor."""
    return args[1] if len(args) > 1 else kwargs.get(name)


def _drops(step: Step) -> bool:
    """Returns whether ``F.dropout(input, p, training)`` or ``torch.dropout(input, p, train)`` drops anything."""
    kwargs = step.kwargs or {}
    p = step.args[1] if len(step.args) > 1 else kwargs.get("p", 0.5)
    training = step.args[2] if len(step.args) > 2 else kwargs.get("training", kwargs.get("train", True))
    return bool(training and p)
