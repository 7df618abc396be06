"""Where in a model a thread is: the path of the module that runs, and which call of the model it belongs to."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mmviz.capture.call import Relation

_COMPILED = "_orig_mod."
_OTHERS = ("key_value_states", "encoder_hidden_states", "memory", "context", "encoder_output")
"""What the tokens that are asked are called where they are others than those that ask."""
_CACHES = ("past_key_values", "past_key_value", "layer_past", "cache")


class ModuleTracker:
    """The modules of ``model`` that run in this thread just now, innermost last.

    ``kinds``: the class of every module by its path, the model itself under the name of its class; ``calls`` names the
    outermost module of each call, ``ran`` every module that ran, in order of its first run.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model, self.root = model, type(model).__name__
        self.kinds = {self._called(name): type(part).__name__ for name, part in model.named_modules()}
        self.calls: list[str] = []
        self.ran: dict[str, None] = {}
        self._stack: list[tuple[str, Relation]] = []
        self._thread = threading.get_ident()

    def __bool__(self) -> bool:
        return bool(self._stack)

    @property
    def module(self) -> str:
        """The path of the innermost module."""
        return self._stack[-1][0] if self._stack else self.root

    @property
    def relation(self) -> Relation:
        """How the keys of the innermost module go with its queries, as far as the names of its inputs tell."""
        return self._stack[-1][1] if self._stack else ""

    @property
    def call(self) -> int:
        """The number of the call, counted from 0."""
        return len(self.calls) - 1

    @contextmanager
    def following(self) -> Iterator[None]:
        """Follow the model by hooks that are gone when the context ends, also after an exception."""
        handles = []
        try:
            for name, part in self.model.named_modules():
                if isinstance(part, torch.jit.ScriptModule):  # takes no hooks
                    continue
                handles.append(part.register_forward_pre_hook(self._enter(self._called(name)), with_kwargs=True))
                handles.append(part.register_forward_hook(self._leave, always_call=True))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def is_within(self, module: str, other: str) -> bool:
        """Whether a module is another one or lies in it."""
        return other == self.root or module == other or module.startswith(f"{other}.")

    def _called(self, name: str) -> str:
        """The path of a module, as if nothing were compiled."""
        return f"{name}.".replace(_COMPILED, "").rstrip(".") or self.root

    def _enter(self, name: str) -> Any:
        def hook(module: nn.Module, args: Sequence[Any], given: Mapping[str, Any]) -> None:
            if threading.get_ident() != self._thread:
                return
            if not self._stack:
                self.calls.append(name)
            self.ran[name] = None
            self._stack.append((name, _relation(module, args, given)))

        return hook

    def _leave(self, *_: Any) -> None:
        if threading.get_ident() == self._thread and self._stack:
            self._stack.pop()


def _relation(module: nn.Module, args: Sequence[Any], given: Mapping[str, Any]) -> Relation:
    """What the names of the inputs say of the keys."""
    named = dict(zip(_names(type(module)), args, strict=False)) | dict(given)
    if isinstance(module, nn.MultiheadAttention):
        return "cross" if named.get("query") is not named.get("key") else ""
    if any(isinstance(named.get(name), Tensor) for name in _OTHERS):
        return "cross"
    return "cached" if any(named.get(name) is not None for name in _CACHES) else ""


_known: dict[type, tuple[str, ...]] = {}


def _names(kind: type[nn.Module]) -> tuple[str, ...]:
    """The names of the parameters of ``forward``, which take a while to find."""
    if kind not in _known:
        _known[kind] = tuple(inspect.signature(kind.forward).parameters)[1:]
    return _known[kind]
