"""One tensor of a model as the result of a function, without its activations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import torch

ATTENTION = "attention"
"""Name of the step of an attention's output, whose tokens are those of its queries."""


def attention(query: Any) -> Any:
    """Stands for an attention in `Step.func`."""
    return query


PLAIN = frozenset({int, float, bool, str, type(None), type(...), torch.dtype, torch.device, torch.Size})
"""Types of arguments that hold no tensors."""
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
        "origin",
        "places",
        "serial",
        "shape",
        "signature",
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
        self.origin: Step | None = None
        """What an input of a call of the model was moved or joined from before the call."""
        self.is_parameter, self.is_integer = is_parameter, False
        """Whether it is a parameter of the model, and whether its values are integers, such as ids of a vocabulary."""
        self.places: tuple[Any, ...] = ()
        """The arguments with indices and masks as tensors, where these tell at which places tokens are put."""
        self.signature: tuple[object, ...] | None = None
        """What `mmviz.capture.token_source_argument.signature` returned for it; None before its first call."""
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
        return steps_in(self.args) + steps_in(self.kwargs.values()) if self.kwargs else steps_in(self.args)


def name_of(step: Step) -> str:
    """Returns the name of the function that a tensor is the result of."""
    return str(getattr(step.func, "__name__", ""))


def steps_in(values: Any) -> list[Step]:
    """Returns the steps in ``values``, those in tuples as well."""
    steps: list[Step] = []
    for value in values:
        if type(value) is Step:
            steps.append(value)
        elif type(value) is tuple:
            steps += steps_in(value)
    return steps
