"""Tracks which module runs in a thread, and to which call of the model it belongs."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mmviz.capture.attention_call import Relation
from mmviz.capture.module_filter import ModuleFilter

_COMPILED = "_orig_mod."
_CROSS_INPUTS = ("key_value_states", "encoder_hidden_states", "memory", "context", "encoder_output")
"""Names of inputs that keys come from where they are not the tokens of the queries."""
_CACHE_INPUTS = ("past_key_values", "past_key_value", "layer_past", "cache")


class ModuleTracker:
    """The modules of ``model`` that run in this thread.

    ``include`` and ``exclude``: see `ModuleFilter`; without them every module is selected.
    """

    def __init__(self, model: nn.Module, include: str | Sequence[str] = (), exclude: str | Sequence[str] = ()) -> None:
        self.model, self.model_name = model, type(model).__name__
        self.class_names = {self._path(name): type(part).__name__ for name, part in model.named_modules()}
        """The class of every module by its path; the path of the model itself is the name of its class."""
        self.calls: list[str] = []
        """The path of the outermost module of each call."""
        self.modules_run: dict[str, None] = {}
        """The path of every module that ran, in order of its first run."""
        self._filter = ModuleFilter(include, exclude, self.class_names)
        self._stack: list[tuple[str, Relation]] = []
        self._thread = threading.get_ident()

    @property
    def is_running(self) -> bool:
        """Whether the model runs in this thread now."""
        return bool(self._stack)

    @property
    def is_selected(self) -> bool:
        """Whether the innermost module that runs in this thread takes part in the capture."""
        return bool(self._stack) and self._filter.selects(self.module)

    @property
    def module(self) -> str:
        """The path of the innermost module that runs."""
        return self._stack[-1][0] if self._stack else self.model_name

    @property
    def relation(self) -> Relation:
        """How the keys of the innermost module relate to its queries, as far as the names of its inputs tell."""
        return self._stack[-1][1] if self._stack else ""

    @property
    def call(self) -> int:
        """The number of the current call of the model, from 0."""
        return len(self.calls) - 1

    @contextmanager
    def track(self) -> Iterator[None]:
        """Tracks the model by hooks, which are removed when the context ends, also after an exception."""
        handles = []
        try:
            for name, part in self.model.named_modules():
                if isinstance(part, torch.jit.ScriptModule):  # takes no hooks
                    continue
                handles.append(part.register_forward_pre_hook(self._pre_hook(self._path(name)), with_kwargs=True))
                handles.append(part.register_forward_hook(self._post_hook, always_call=True))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def selects(self, module: str) -> bool:
        """Returns whether a module takes part in the capture."""
        return self._filter.selects(module)

    def contains(self, outer: str, inner: str) -> bool:
        """Returns whether module ``inner`` is ``outer`` or lies in it."""
        return outer == self.model_name or inner == outer or inner.startswith(f"{outer}.")

    def _path(self, name: str) -> str:
        """Returns the path of a module without the wrappers of ``torch.compile``."""
        return f"{name}.".replace(_COMPILED, "").rstrip(".") or self.model_name

    def _pre_hook(self, path: str) -> Any:
        def hook(module: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
            if threading.get_ident() != self._thread:
                return
            if not self._stack:
                self.calls.append(path)
            self.modules_run[path] = None
            self._stack.append((path, _relation(module, args, kwargs)))

        return hook

    def _post_hook(self, *_: Any) -> None:
        if threading.get_ident() == self._thread and self._stack:
            self._stack.pop()


def _relation(module: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Relation:
    """Returns how keys relate to queries, from the names of a module's inputs."""
    inputs = dict(zip(_parameter_names(type(module)), args, strict=False)) | dict(kwargs)
    if isinstance(module, nn.MultiheadAttention):
        return "cross" if inputs.get("query") is not inputs.get("key") else ""
    if any(isinstance(inputs.get(name), Tensor) for name in _CROSS_INPUTS):
        return "cross"
    return "cached" if any(inputs.get(name) is not None for name in _CACHE_INPUTS) else ""


_names_by_class: dict[type, tuple[str, ...]] = {}


def _parameter_names(module_class: type[nn.Module]) -> tuple[str, ...]:
    """Returns the names of the parameters of ``forward``, which are slow to look up."""
    if module_class not in _names_by_class:
        _names_by_class[module_class] = tuple(inspect.signature(module_class.forward).parameters)[1:]
    return _names_by_class[module_class]
