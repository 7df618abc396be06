"""The attention weights that a model's own eager code returns, which know nothing of mmviz."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

EAGER_FUNCTION = "eager_attention_forward"
"""The function of each modeling file of transformers that returns attention's output and weights."""


class EagerReference:
    """Collects weights by call of the model and by module path, in order of execution.

    Where a modeling file has `EAGER_FUNCTION`, its results are taken; elsewhere what a module returns beside its
    output, or the module around it: weights that are not negative and whose rows sum to at most 1.
    """

    def __init__(self, model: nn.Module):
        self.model = model
        self.weights: list[dict[str, list[Tensor]]] = []
        """For each call of the model: ``[..., head, query, key]`` by module path."""
        self._paths = {id(module): path for path, module in model.named_modules()}
        self._depth = 0

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Collects while the context lasts."""
        with ExitStack() as stack:
            files = {type(module).__module__ for module in self.model.modules()}
            for name in files:
                function = getattr(sys.modules.get(name), EAGER_FUNCTION, None)
                if function is not None:
                    stack.enter_context(mock.patch.object(sys.modules[name], EAGER_FUNCTION, self._wrapped(function)))
            for path, module in self.model.named_modules():
                stack.callback(module.register_forward_pre_hook(self._before).remove)
                stack.callback(module.register_forward_hook(self._after(path), always_call=True).remove)
            yield

    def of_module(self, call: int, path: str) -> list[Tensor]:
        """Returns the weights of a module or of the one around it, if it has none itself."""
        weights = self.weights[call] if call < len(self.weights) else {}
        for candidate in (path, path.rpartition(".")[0]):
            if weights.get(candidate):
                return weights[candidate]
        return []

    def _before(self, *_: Any) -> None:
        if self._depth == 0:
            self.weights.append({})
        self._depth += 1

    def _after(self, path: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            self._depth -= 1
            of_call = self.weights[-1]
            if isinstance(output, tuple | list) and not hasattr(sys.modules[type(module).__module__], EAGER_FUNCTION):
                weights = [part for part in _flat(output[1:]) if _is_attention(part)]
                inside = any(other.startswith(f"{path}.") for other in of_call)
                if weights and not inside:
                    of_call.setdefault(path, []).append(weights[0].detach().clone())

        return hook

    def _wrapped(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def eager_attention_forward(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            result = function(module, *args, **kwargs)
            if isinstance(result[1], Tensor) and self.weights:
                self.weights[-1].setdefault(self._paths[id(module)], []).append(result[1].detach().clone())
            return result

        return eager_attention_forward


def _flat(values: Sequence[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, tuple | list):
            yield from _flat(value)


def _is_attention(tensor: Tensor) -> bool:
    """Returns whether a tensor may hold attention weights."""
    if tensor.dim() < 3 or not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
        return False
    return bool(tensor.min() >= 0) and bool(tensor.sum(-1).max() <= 1 + 1e-3)
