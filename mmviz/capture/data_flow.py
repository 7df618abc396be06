"""Follows tensors through a model: which tensor became whose queries and keys, and by which functions.

Every tensor that a function of the model returns is a `Step`, which knows the steps of its arguments but holds no
activations. Tensors are recognised by identity, so that nothing is attached to them.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count, islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_JOINING = {
    "cat", "concat", "concatenate", "stack", "hstack", "vstack", "index_copy", "index_copy_", "copy_", "where",
    "masked_scatter", "masked_scatter_", "scatter", "scatter_", "__setitem__", "index_put", "index_put_",
}  # fmt: skip
"""Functions whose result has tokens of several arguments, unless they join along the last axis, that of features."""
_INDEXING = {"__getitem__", "index_select", "repeat_interleave", "index_copy", "index_copy_", "gather"}
"""Functions whose tensors of indices tell where tokens go."""
_WRITING = {
    "masked_scatter", "masked_scatter_", "index_put", "index_put_", "__setitem__", "scatter", "scatter_", "where",
}  # fmt: skip
"""Functions that put tokens among others, at places that indices or a mask tell."""
_NEAR = 32
"""Steps within which a tensor that is written into another was computed from it, so that no token is new."""
_CONCATENATIONS = {"cat", "concat", "concatenate", "stack"}
_EMBEDDINGS = {F.embedding, F.embedding_bag, torch.embedding}
"""Functions whose tokens are those of the numbers that they look up."""
_NEW_TOKENS: set[Callable[..., Any]] = {
    F.conv1d, F.conv2d, F.conv3d, torch.conv1d, torch.conv2d, torch.conv3d,
}  # fmt: skip
"""Functions whose result begins a sequence of tokens: nothing before them is a token yet."""


ATTENTION = "attention"
"""Name of the step of an attention's output, whose tokens are those of its queries."""


def attention(query: Any) -> Any:
    """Stands for an attention in `Step.func`."""
    return query


_serials = count()


class Step:
    """One tensor, as the result of a function."""

    __slots__ = (
        "__weakref__",
        "args",
        "func",
        "input_name",
        "is_integer",
        "is_parameter",
        "kwargs",
        "places",
        "serial",
        "shape",
        "source",
    )

    def __init__(
        self, shape: tuple[int, ...], func: Callable[..., Any] | None = None, args: Any = (),
        kwargs: Any = None, source: Step | None = None, input_name: str = "", is_parameter: bool = False,
    ):  # fmt: skip
        self.shape = shape
        self.func, self.args, self.kwargs = func, args, kwargs
        """The function and its arguments, with a `Step` in place of each tensor whose values do not matter; ``func`` is
        None for what was not computed while the model ran."""
        self.source = source
        """The argument that holds its tokens; None where its tokens begin here."""
        self.input_name = input_name
        """The name of the input of the model that it is, or was computed from; "" for none."""
        self.is_parameter, self.is_integer = is_parameter, False
        """Whether it is a parameter of the model, and whether its values are integers, such as ids of a vocabulary."""
        self.places: tuple[Any, ...] = ()
        """The arguments with indices and masks as tensors, where these tell at which places tokens are put."""
        self.serial = next(_serials)
        """Ascends in the order in which tensors were first seen."""

    def chain(self) -> Iterator[Step]:
        """Yields this step and those that its tokens come from, the latest first."""
        step: Step | None = self
        while step is not None:
            yield step
            step = step.source

    def parents(self) -> list[Step]:
        """Returns the steps among its arguments, those in lists as well."""
        return [*_steps(self.args), *_steps((self.kwargs or {}).values())]


def name_of(step: Step) -> str:
    """Returns the name of the function that a tensor is the result of."""
    return str(getattr(step.func, "__name__", ""))


class DataFlow:
    """The steps of the tensors of a model that are alive."""

    def __init__(self) -> None:
        self._steps: dict[int, tuple[weakref.ref[Tensor], Step]] = {}

    def step(self, tensor: Tensor) -> Step:
        """Returns the step of a tensor; one that is not known begins here."""
        known = self._known(tensor)
        if known is None:
            known = self._add(tensor, Step(tuple(tensor.shape), is_parameter=_is_parameter(tensor)))
        return known

    def knows(self, tensor: Tensor) -> bool:
        """Returns whether a tensor is a parameter, an input, or the result of a function that was observed."""
        step = self.step(tensor)
        return step.func is not None or step.is_parameter or bool(step.input_name)

    def begin(self, name: str, value: Any) -> None:
        """Marks the tensors in ``value``, the input ``name`` of the model, unless they were computed by it."""
        if isinstance(value, Tensor):
            if self._known(value) is None:
                self._add(value, Step(tuple(value.shape), input_name=name))
        elif isinstance(value, Mapping):
            for part, entry in value.items():
                self.begin(str(part), entry)
        elif isinstance(value, list | tuple):
            for entry in value:
                self.begin(name, entry)

    def observe(
        self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], result: Any
    ) -> None:  # fmt: skip
        """Takes note of one function call of the model and its result, one tensor or several."""
        if isinstance(result, Tensor):
            self._observe(func, args, kwargs, result, None)
        elif isinstance(result, tuple | list) and result and isinstance(result[0], Tensor):
            for part, tensor in enumerate(result):
                if isinstance(tensor, Tensor):
                    self._observe(func, args, kwargs, tensor, part)
        elif getattr(func, "__name__", "") == "__setitem__" and isinstance(args[0], Tensor):
            self._observe(func, args, kwargs, args[0], None)

    def observe_attention(self, query: Step, output: Tensor) -> None:
        """Takes note of the output of an attention, whose tokens are those of ``query``."""
        step = Step(tuple(output.shape), attention, (query,), None, query, query.input_name)
        self._add(output, step)

    def _observe(
        self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], result: Tensor, part: int | None
    ) -> None:  # fmt: skip
        indexed = getattr(func, "__name__", "") in _INDEXING
        traced_args = tuple([self._traced(arg, indexed and place > 0) for place, arg in enumerate(args)])
        traced_kwargs = {name: self._traced(value, indexed) for name, value in kwargs.items()} if kwargs else None
        if part is not None:
            traced_kwargs = {**(traced_kwargs or {}), "part": part}
        source = self._looked_up(func, args, kwargs)
        if source is None and func not in _NEW_TOKENS:
            source = _source(func, traced_args, traced_kwargs)
        name = source.input_name if source else ""
        if source is None:
            name = next((step.input_name for step in _steps(traced_args) if step.input_name), "")
        step = Step(tuple(result.shape), func, traced_args, traced_kwargs, source, name)
        if getattr(func, "__name__", "") in _WRITING and _tells_tokens_apart(func, args, result):
            step.places = tuple([self._traced(arg, True) for arg in args])
        self._add(result, step)

    def _looked_up(
        self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Step | None:  # fmt: skip
        """Returns the step of the numbers that a function looks up in a table; None for other functions."""
        if func in _EMBEDDINGS:
            numbers = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
            return next((self.step(value) for value in numbers if not value.is_floating_point()), None)
        if getattr(func, "__name__", "") == "__getitem__" and _is_parameter(args[0]) and isinstance(args[1], Tensor):
            return self.step(args[1]) if args[1].dtype in (torch.int64, torch.int32) else None
        return None

    def _traced(self, value: Any, keeps_indices: bool) -> Any:
        """Returns an argument with steps in place of tensors; tensors of indices are kept where they move tokens."""
        if isinstance(value, Tensor):
            if keeps_indices and not value.is_floating_point() and not value.is_complex():
                return value
            return self.step(value)
        if type(value) in (list, tuple):
            return tuple([self._traced(entry, keeps_indices) for entry in value])
        return value

    def _known(self, tensor: Tensor) -> Step | None:
        entry = self._steps.get(id(tensor))
        return entry[1] if entry is not None and entry[0]() is tensor else None

    def _add(self, tensor: Tensor, step: Step) -> Step:
        key, steps = id(tensor), self._steps
        step.is_integer = not (tensor.is_floating_point() or tensor.is_complex())
        entry = steps.get(key)
        if entry is not None and entry[0]() is tensor:
            steps[key] = (entry[0], step)
        else:
            steps[key] = (weakref.ref(tensor, partial(_forget, steps, key)), step)
        return step


def _forget(steps: dict[int, tuple[weakref.ref[Tensor], Step]], key: int, _: weakref.ref[Tensor]) -> None:
    steps.pop(key, None)


def _tells_tokens_apart(func: Callable[..., Any], args: Sequence[Any], result: Tensor) -> bool:
    """Returns whether the places that a function writes at are tokens; a mask of every query and key is not kept."""
    is_mask = func is torch.where or getattr(func, "__name__", "") == "where"
    mask = args[0] if args else None
    return not is_mask or (isinstance(mask, Tensor) and (mask.dim() < result.dim() or 1 in mask.shape[-1:]))


def _is_parameter(tensor: Tensor) -> bool:
    return isinstance(tensor, nn.Parameter)


def _steps(values: Any) -> Iterator[Step]:
    """Yields the steps in ``values``, those in tuples as well."""
    for value in values:
        if isinstance(value, Step):
            yield value
        elif type(value) is tuple:
            yield from _steps(value)


def _source(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any] | None) -> Step | None:
    """Returns the argument that the tokens of a result come from: the first of the largest; None where they are joined.

    Parameters of the model come last, since a weight is no token; a token that is learned is.
    """
    steps = list(_steps(args))
    if kwargs:
        steps += _steps(kwargs.values())
    if not steps:
        return None
    name = getattr(func, "__name__", "")
    if name.startswith("new_") or name.endswith("_like"):  # takes the shape of its argument, not its tokens
        return None
    if name in _JOINING:
        parts = [step for step in steps if math.prod(step.shape) > 1] or steps
        if len(parts) > 1 and name in _CONCATENATIONS:
            joins_tokens = not _joins_features(name, args, kwargs)
            return None if joins_tokens and not (name == "stack" and _are_parallel(parts)) else parts[0]
        if any(parts[0] not in islice(part.chain(), _NEAR) for part in parts[1:]):
            return None
        return parts[0]
    if len(steps) == 1:
        return steps[0]
    return max(steps, key=lambda step: (not step.is_parameter, bool(step.input_name), math.prod(step.shape)))


def _are_parallel(parts: Sequence[Step]) -> bool:
    """Returns whether all parts were computed from one tensor by the same functions, so that they have its tokens."""
    near = [list(islice(part.chain(), _NEAR)) for part in parts]
    common = next((step for step in near[0] if all(step in chain for chain in near)), None)
    if common is None:
        return False
    paths = [[(step.func, step.shape) for step in chain[: chain.index(common)]] for chain in near]
    return all(path == paths[0] for path in paths)


def _joins_features(name: str, args: Sequence[Any], kwargs: Mapping[str, Any] | None) -> bool:
    """Returns whether tensors are joined along the last axis of the result."""
    axis = args[1] if len(args) > 1 else (kwargs or {}).get("dim", (kwargs or {}).get("axis", 0))
    axes = len(next(_steps(args[:1])).shape) + (name == "stack")
    return axis in (-1, axes - 1)
