"""Follows tensors through a model: which tensor became whose queries and keys, and by which functions.

Every tensor that a function of the model returns is a `Step`, which knows the steps of its arguments but holds no
activations. Tensors are recognised by identity, so that nothing is attached to them.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmviz.capture.data_flow_step import PLAIN, Step, attention, name_of, steps_in
from mmviz.capture.function_tables import CONVOLUTIONS, MATRIX_PRODUCTS, PLACEMENTS
from mmviz.capture.token_source_argument import begins_tokens, source_of

_INDEXING = {"__getitem__", "index_select", "repeat_interleave", "index_copy", "index_copy_", "gather"}
"""Functions whose tensors of indices tell where tokens go."""
_PLACEMENT_ARGUMENTS = (
    "dim", "condition", "mask", "indices", "index", "input", "values", "source", "src", "value", "other",
)  # fmt: skip
"""The arguments of functions that place tokens, in the order in which they are given without names."""
_NEAR = 6
"""Functions that a choice of tokens is followed back to where it was made."""
_EMBEDDINGS = {F.embedding, F.embedding_bag, torch.embedding}
_LOOKUPS = {"embedding", "embedding_bag", "__getitem__"}
"""Functions whose tokens may be those of the numbers that they look up."""


class _TensorRef(weakref.ref[Tensor]):
    """A weak reference that knows the identity of its tensor."""

    __slots__ = ("key",)

    key: int


class DataFlow:
    """The steps of the tensors of a model that are alive."""

    def __init__(self, before: DataFlow | None = None) -> None:
        self._steps: dict[int, tuple[_TensorRef, Step]] = {}
        flow_ref = weakref.ref(self)  # so that the flow is gone as soon as nobody needs it

        def forget(tensor_ref: _TensorRef) -> None:
            flow = flow_ref()
            if flow is not None:
                flow._steps.pop(tensor_ref.key, None)

        self._forget = forget
        self._before = before
        """The flow of tensors between the calls of the model."""

    def step(self, tensor: Tensor) -> Step:
        """Returns the step of a tensor; an unknown tensor begins here."""
        entry = self._steps.get(id(tensor))
        if entry is not None and entry[0]() is tensor:
            return entry[1]
        return self._add(tensor, Step(tuple(tensor.shape), is_parameter=_is_parameter(tensor)))

    def knows(self, tensor: Tensor) -> bool:
        """Returns whether a tensor is a parameter, an input, or the result of a function that was observed."""
        step = self.step(tensor)
        return step.func is not None or step.is_parameter or bool(step.input_name)

    def begin(self, name: str, value: Any) -> None:
        """Marks the tensors in ``value``, the input ``name`` of the model, unless they were computed by it."""
        if isinstance(value, Tensor):
            if self._known(value) is None:
                step = self._add(value, Step(tuple(value.shape), input_name=name))
                step.origin = self._before._known(value) if self._before else None
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

    def observe_attention(self, query: Step, output: Tensor, order: Tensor | None = None) -> None:
        """Takes note of the output of an attention, whose tokens are those of ``query``.

        ``order``: the flat number in ``query`` of a feature of each of its vectors, in the axes of the output, the last
        of them 1; None where they are as in ``query``.
        """
        step = Step(tuple(output.shape), attention, (query,), None, query, query.input_name)
        step.places = () if order is None else (order,)
        self._add(output, step)

    def _observe(
        self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], result: Tensor, part: int | None
    ) -> None:  # fmt: skip
        name = getattr(func, "__name__", "")
        indexed = name in _INDEXING
        traced_args = tuple(
            [arg if type(arg) in PLAIN else self._traced(arg, indexed and place > 0) for place, arg in enumerate(args)]
        )
        traced_kwargs = {key: self._traced(value, indexed) for key, value in kwargs.items()} if kwargs else None
        if part is not None:
            traced_kwargs = {**(traced_kwargs or {}), "part": part}
        source = self._looked_up(func, args, kwargs) if name in _LOOKUPS else None
        if source is None and not (name in CONVOLUTIONS and begins_tokens(func, traced_args, traced_kwargs)):
            source = source_of(func, traced_args, traced_kwargs)
        if source is None:
            input_name = next((step.input_name for step in steps_in(traced_args) if step.input_name), "")
        else:
            input_name = source.input_name
        step = Step(tuple(result.shape), func, traced_args, traced_kwargs, source, input_name)
        if name in PLACEMENTS and _tells_tokens_apart(func, args, result):
            named = [kwargs[key] for key in _PLACEMENT_ARGUMENTS if key in kwargs]
            step.places = tuple([self._traced(arg, True) for arg in (*args, *named)])
        if name in MATRIX_PRODUCTS and self._chooses_tokens(traced_args):
            step.places = (args[0] != 0,)
        self._add(result, step)
        if func is Tensor.copy_:
            self._observe_part(*traced_args[:2])

    def _chooses_tokens(self, args: Sequence[Any]) -> bool:
        """Returns whether the first factor of a product was made of numbers of tokens, so that its zeros leave out."""
        is_pair = len(args) > 1 and isinstance(args[0], Step) and len(args[0].shape) > 1
        return is_pair and any(name_of(step) == "one_hot" for step in islice(args[0].chain(), _NEAR))

    def _observe_part(self, part: Step, values: Any) -> None:
        """Takes note that ``values`` were copied into ``part``, where that is a slice of a tensor that is alive."""
        if name_of(part) != "__getitem__" or not isinstance(values, Step):
            return
        whole, index = part.args[0], part.args[1]
        tensor = next((entry[0]() for entry in self._steps.values() if entry[1] is whole), None)
        if tensor is None:
            return
        args = (whole, index, values)
        source = source_of(Tensor.__setitem__, args, None)
        name = source.input_name if source else whole.input_name or values.input_name
        self._add(tensor, Step(whole.shape, Tensor.__setitem__, args, None, source, name))

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
            entry = self._steps.get(id(value))  # as `step` does, which is called for every argument
            return entry[1] if entry is not None and entry[0]() is value else self.step(value)
        if type(value) in (list, tuple):
            return tuple([entry if type(entry) in PLAIN else self._traced(entry, keeps_indices) for entry in value])
        if type(value) is slice:  # its ends may be tensors, which the model may change later
            ends = (value.start, value.stop, value.step)
            return slice(*[int(end) if isinstance(end, Tensor) else end for end in ends])
        return value

    def _known(self, tensor: Tensor) -> Step | None:
        entry = self._steps.get(id(tensor))
        return entry[1] if entry is not None and entry[0]() is tensor else None

    def _add(self, tensor: Tensor, step: Step) -> Step:
        key, steps, dtype = id(tensor), self._steps, tensor.dtype
        step.is_integer = not (dtype.is_floating_point or dtype.is_complex)
        entry = steps.get(key)
        if entry is not None and entry[0]() is tensor:
            steps[key] = (entry[0], step)
        else:
            ref = _TensorRef(tensor, self._forget)
            ref.key = key
            steps[key] = (ref, step)
        return step


def _tells_tokens_apart(func: Callable[..., Any], args: Sequence[Any], result: Tensor) -> bool:
    """Returns whether the places that a function writes at are tokens; a mask of every query and key is not kept."""
    is_mask = func is torch.where or getattr(func, "__name__", "") == "where"
    mask = args[0] if args else None
    return not is_mask or (isinstance(mask, Tensor) and (mask.dim() < result.dim() or 1 in mask.shape[-1:]))


def _is_parameter(tensor: Tensor) -> bool:
    kind = type(tensor)
    return kind is nn.Parameter or (kind is not Tensor and isinstance(tensor, nn.Parameter))  # the last is slow
