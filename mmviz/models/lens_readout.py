"""How the hidden states of a model become answers: its layers, its final norm and its head, named or detected.

They are detected in a run: the head is the last module that returns as many numbers as there are answers, the
layers are the last run of modules of one kind before it, the final norm is the last norm between the two. Whether this
is what the model does is checked with each lens, by the answer that it gives after the last layer.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmviz.models.user_code_errors import description, user_code
from mmviz.types import MmvizError

Read = Callable[[Tensor], Tensor]
"""Returns the logits ``[token, answer]`` of hidden states ``[token, width]``."""
_LISTS = (nn.ModuleList, nn.Sequential)


@dataclass(frozen=True)
class LensReadout:
    """What a lens needs to know of a model."""

    layers: tuple[str, ...]
    """Paths of the layers; each returns the hidden states, or a tuple that begins with them."""
    read: Read
    """The final norm and the head."""
    through: tuple[str, ...]
    """Paths of the modules that ``read`` consists of, for people."""
    label: Callable[[int], str]
    """Returns the label of an answer by its index."""
    answer: int | None = None
    """Index of the answer that is followed; None for the most probable one."""
    word: int = 0
    """For a model that writes its answer: which token of it ``answer`` is, counted from 0."""


@dataclass(frozen=True)
class LensModules:
    """The modules of a lens as a person names them; None for those to be detected."""

    layers: str | None = None
    """Path of the list of layers."""
    norm: str | None = None
    """Path of the final norm."""
    head: str | Read | None = None
    """Path of the head; or a function of hidden states, in place of norm and head."""

    def check(self, module: nn.Module) -> None:
        """Raises ``MmvizError`` (``lens-path``) for a path that ``module`` does not have, or layers that are none."""
        parts = dict(module.named_modules())
        for option, path in (("lens_layers", self.layers), ("lens_norm", self.norm), ("lens_head", self.head)):
            if path is None or callable(path):
                continue
            is_list = path in parts and isinstance(parts[path], _LISTS) and len(parts[path]) > 0
            if path not in parts or (option == "lens_layers" and not is_list):
                paths = [name for name, part in parts.items() if option != "lens_layers" or isinstance(part, _LISTS)]
                near = difflib.get_close_matches(str(path), filter(None, paths), 5, cutoff=0)
                raise MmvizError("lens-path", option=option, path=path, known=", ".join(near) or "–")


@dataclass(frozen=True)
class _Call:
    """A module that has run, and the last axis of its output."""

    path: str
    module: nn.Module
    width: int


def detected_readout(
    module: nn.Module, run: Callable[[], Any], answers: int, label: Callable[[int], str],
    named: LensModules = LensModules(),
) -> LensReadout:  # fmt: skip
    """Returns the readout of ``module``, with what ``named`` leaves open detected in one call of ``run``.

    ``answers``: number of logits. Raises ``MmvizError`` (``lens-undetected``) for what cannot be detected.
    """
    calls = _calls(module, run)
    head = named.head
    if head is None:
        heads = [call.path for call in calls if call.width == answers and _is_projection(call.module)]
        (head,) = _known(heads[-1:], "lens_head")
    before = calls if callable(head) else calls[: _first(calls, head)]
    members = _layers(module, before) if named.layers is None else _members(module, named.layers)
    layers = tuple(_known(members, "lens_layers"))
    if callable(head):
        name = str(getattr(head, "__name__", type(head).__name__))
        return LensReadout(layers, _checked(head), (name,), label)
    last = max((k for k, call in enumerate(before) if call.path in layers), default=0)
    norms = [call.path for call in before[last + 1 :] if "norm" in type(call.module).__name__.lower()]
    norm = named.norm if named.norm is not None else (norms[-1] if norms else None)
    parts = [module.get_submodule(path) for path in (norm, head) if path is not None]

    def read(states: Tensor) -> Tensor:
        for part in parts:
            states = part(states)
        return states

    return LensReadout(layers, _checked(read), (*([norm] if norm is not None else []), head), label)


def _checked(read: Read) -> Read:
    """Returns ``read`` with what fails in it as an ``MmvizError``: ``own-raised``, ``own-output``."""

    def checked(states: Tensor) -> Tensor:
        with user_code("the lens"):
            logits = read(states)
        if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != len(states):
            raise MmvizError("own-output", kind=description(logits))
        return logits

    return checked


def _calls(module: nn.Module, run: Callable[[], Any]) -> list[_Call]:
    """Returns the modules that run and return a tensor, in the order in which they end."""
    calls: list[_Call] = []

    def note(path: str, part: nn.Module, output: Any) -> None:
        states = first_tensor(output)
        if states is not None and states.dim():
            calls.append(_Call(path, part, states.shape[-1]))

    with ExitStack() as hooks, torch.no_grad():
        for path, part in module.named_modules():
            if path:
                handle = part.register_forward_hook(lambda part, _, output, path=path: note(path, part, output))
                hooks.callback(handle.remove)
        run()
    return calls


def first_tensor(output: Any) -> Tensor | None:
    """Returns the hidden states of what a layer takes or returns: the first tensor in it; None where there is none."""
    values = output.values() if isinstance(output, dict) else output if isinstance(output, tuple | list) else (output,)
    return next((value for value in values if isinstance(value, Tensor) and value.is_floating_point()), None)


def _layers(module: nn.Module, calls: Sequence[_Call]) -> list[str]:
    """Returns the members of the last outermost list of modules of one kind that have all run."""
    ran = {call.path: k for k, call in enumerate(calls)}
    lists = {
        path: _members(module, path) for path, part in module.named_modules()
        if isinstance(part, _LISTS) and len({type(member) for member in part}) == 1
        and (isinstance(part, nn.ModuleList) or any(part[0].children()))  # a row of linear maps is no row of layers
    }  # fmt: skip
    complete = {path: members for path, members in lists.items() if all(member in ran for member in members)}
    outer = [
        members for path, members in complete.items()
        if not any(path.startswith(f"{member}.") for others in complete.values() for member in others)
    ]  # fmt: skip
    return max(outer, key=lambda members: ran[members[-1]], default=[])


def _members(module: nn.Module, path: str) -> list[str]:
    return [f"{path}.{name}" for name, _ in module.get_submodule(path).named_children()]


def _is_projection(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.dim() == 2


def _first(calls: Sequence[_Call], path: str) -> int:
    return next((k for k, call in enumerate(calls) if call.path == path), len(calls))


def _known(paths: Sequence[str], option: str) -> Sequence[str]:
    """Returns what was detected. Raises ``MmvizError`` (``lens-undetected``) where nothing was."""
    if not paths:
        raise MmvizError("lens-undetected", option=option)
    return paths
