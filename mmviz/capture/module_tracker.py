"""Tracks which modules run in which thread, what goes into them, and to which call of the model they belong."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from mmviz.capture.data_flow import DataFlow
from mmviz.capture.data_flow_step import Step
from mmviz.capture.function_tables import JOINS, MOVES
from mmviz.capture.module_filter import ModuleFilter
from mmviz.capture.plain_torch_modes import is_backward

_COMPILED = "_orig_mod."
_HEAD_COUNTS = (
    "num_heads", "num_attention_heads", "n_heads", "n_head", "nhead", "heads", "nheads", "num_key_value_heads",
    "num_kv_heads", "n_kv_heads", "kv_heads", "encoder_attention_heads", "decoder_attention_heads",
)  # fmt: skip
"""Names under which modules and their configurations keep the number of heads, and of heads of keys and values."""
_ARRANGING = MOVES | JOINS
_active = threading.local()


@dataclass(frozen=True, eq=False)
class ModuleRun:
    """One run of a module."""

    path: str
    """The path of the module; that of the model itself is the name of its class."""
    number: int
    """How often the module had run before, in this call of the model."""
    inputs: tuple[Step, ...]
    """The tensors that went in, those in lists and tuples as well."""
    module: nn.Module
    """The module itself, from whose attributes and configuration `head_counts` come."""

    @cached_property
    def head_counts(self) -> frozenset[int]:
        """Numbers of heads that the module or its configuration names; may be empty."""
        return head_counts(self.module)


@dataclass(eq=False)
class _Thread:
    """The modules that run in a thread, the innermost last."""

    runs: list[ModuleRun] = field(default_factory=list)
    contexts: ExitStack | None = None
    """What records the attention of a thread that the model began itself."""


class ModuleTracker:
    """The modules of ``model`` that run in this thread, and in threads that the model itself begins meanwhile.

    ``only`` and ``exclude``: see `ModuleFilter`; without them every module is selected.
    """

    def __init__(self, model: nn.Module, only: str | Sequence[str] = (), exclude: str | Sequence[str] = ()) -> None:
        self.model, self.model_name = model, type(model).__name__
        self.class_names = {self._path(name): type(part).__name__ for name, part in model.named_modules()}
        """The class of every module by its path; the path of the model itself is the name of its class."""
        self.calls: list[str] = []
        """The path of the outermost module of each call."""
        self.modules_run: dict[str, None] = {}
        """The path of every module that ran, in order of its first run."""
        self.foreign_modules: dict[str, None] = {}
        """The paths of modules that ran in threads which were there before, where nothing is recorded."""
        self._flow_between_calls = DataFlow()
        self.flow = DataFlow(self._flow_between_calls)
        """The tensors of the model, from its inputs on."""
        self._record_thread: Callable[[], AbstractContextManager[None]] = nullcontext
        self._filter = ModuleFilter(only, exclude, self.class_names)
        self._threads: dict[int, _Thread] = {}
        self._owner = threading.get_ident()
        self._older_threads: set[int] = set()
        self._run_counts: dict[str, int] = {}

    @property
    def is_running(self) -> bool:
        """Whether the model runs in this thread now."""
        return bool(self.runs)

    @property
    def is_selected(self) -> bool:
        """Whether the innermost module that runs in this thread takes part in the capture."""
        runs = self.runs
        return bool(runs) and self._filter.selects(runs[-1].path)

    @property
    def module(self) -> str:
        """The path of the innermost module that runs."""
        runs = self.runs
        return runs[-1].path if runs else self.model_name

    @property
    def runs(self) -> Sequence[ModuleRun]:
        """The modules that run in this thread, the innermost last."""
        thread = self._threads.get(threading.get_ident())
        return thread.runs if thread else ()

    @property
    def call(self) -> int:
        """The number of the current call of the model, from 0."""
        return len(self.calls) - 1

    @contextmanager
    def track(self, record_thread: Callable[[], AbstractContextManager[None]] = nullcontext) -> Iterator[None]:
        """Tracks the model by hooks, which are removed when the context ends, also after an exception.

        ``record_thread`` gives what must be entered in a thread of the model's own, so that its attention is recorded
        there. It is let go of at the end: what records holds the tensors of the model, and this tracker.
        """
        handles = []
        depth = _captures_here()
        _active.captures = depth + 1
        self._record_thread = record_thread
        try:
            for name, part in self.model.named_modules():
                if isinstance(part, torch.jit.ScriptModule):  # takes no hooks
                    continue
                path = self._path(name)
                handles.append(part.register_forward_pre_hook(self._pre_hook(path), with_kwargs=True))
                handles.append(part.register_forward_hook(self._post_hook, always_call=True))
            yield
        finally:
            _active.captures = depth
            self._record_thread = nullcontext
            for handle in handles:
                handle.remove()

    def observe_between_calls(
        self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], result: Any
    ) -> None:  # fmt: skip
        """Takes note of a function that moves or joins tensors while no module runs, as inputs are before a call."""
        if not self.is_running and getattr(func, "__name__", "") in _ARRANGING:
            self._flow_between_calls.observe(func, args, kwargs, result)

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
            if is_backward():
                return
            thread = self._thread(path)
            if thread is None:
                return
            if not thread.runs and threading.get_ident() == self._owner:
                self._begin_call(path, module, args, kwargs)
            self.modules_run[path] = None
            number = self._run_counts.get(path, 0)
            self._run_counts[path] = number + 1
            inputs = tuple(map(self.flow.step, _tensors((*args, *kwargs.values()))))
            thread.runs.append(ModuleRun(path, number, inputs, module))

        return hook

    def _begin_call(self, path: str, module: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self.calls.append(path)
        self._run_counts = {}
        self._older_threads = {thread.ident for thread in threading.enumerate() if thread.ident is not None}
        names = _parameter_names(type(module))
        for place, value in enumerate(args):
            self.flow.begin(names[place] if place < len(names) else str(place), value)
        for name, value in kwargs.items():
            self.flow.begin(name, value)

    def _thread(self, path: str) -> _Thread | None:
        """Returns the state of this thread; None where nothing is to be recorded in it."""
        ident = threading.get_ident()
        thread = self._threads.get(ident)
        if thread is not None and (thread.runs or ident == self._owner):
            return thread
        if ident == self._owner:
            self._threads[ident] = _Thread()
            return self._threads[ident]
        owner = self._threads.get(self._owner)
        if owner is None or not owner.runs or path == self.model_name or _captures_here():
            return None  # not the model's own thread: someone else runs it meanwhile
        if ident in self._older_threads:
            self.foreign_modules[path] = None
            return None
        thread = self._threads[ident] = _Thread(contexts=ExitStack())
        assert thread.contexts is not None
        thread.contexts.enter_context(self._record_thread())
        return thread

    def _post_hook(self, *_: Any) -> None:
        ident = threading.get_ident()
        thread = self._threads.get(ident)
        if thread is None or not thread.runs or is_backward():
            return
        thread.runs.pop()
        if thread.contexts is not None and not thread.runs:
            thread.contexts.close()
            del self._threads[ident]


def block_of(runs: Sequence[ModuleRun]) -> ModuleRun | None:
    """Returns the innermost run of a module in a numbered list; None where there is none."""
    return next((run for run in reversed(runs) if run.path.rpartition(".")[2].isdigit()), None)


def _captures_here() -> int:
    """Returns the number of captures that this thread is in."""
    return int(getattr(_active, "captures", 0))


def _tensors(values: Sequence[Any]) -> Iterator[Tensor]:
    """Yields the tensors among ``values``, those in lists and tuples as well."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif type(value) in (list, tuple):
            yield from _tensors(value)


def head_counts(module: nn.Module) -> frozenset[int]:
    """Returns the numbers of heads that a module or its configuration names."""
    counts = set()
    for owner in (module, getattr(module, "config", None)):
        names: Sequence[str] = _HEAD_COUNTS
        if getattr(type(owner), "__getattr__", None) is nn.Module.__getattr__:  # slow, for tensors only
            names = [name for name in names if name in vars(owner) or hasattr(type(owner), name)]
        for name in names:
            count = getattr(owner, name, None)
            if type(count) is int and count > 0:
                counts.add(count)
    return frozenset(counts)


_names_by_class: dict[type, tuple[str, ...]] = {}


def _parameter_names(module_class: type[nn.Module]) -> tuple[str, ...]:
    """Returns the names of the parameters of ``forward``, which are slow to look up."""
    if module_class not in _names_by_class:
        _names_by_class[module_class] = tuple(inspect.signature(module_class.forward).parameters)[1:]
    return _names_by_class[module_class]
