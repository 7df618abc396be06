"""A dispatch mode that does not load torch's compiler."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class QuickDispatchMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A ``TorchDispatchMode`` whose first operator does not import ``torch._dynamo``, which takes seconds.

    Torch keeps its compiler out of every ``__torch_dispatch__``, and imports it for that. Here it is kept out once
    something else has loaded it: before, nothing can be compiling.
    """

    supports_higher_order_operators = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)  # type: ignore[no-untyped-call]
        if "__torch_dispatch__" in cls.__dict__:
            cls.__torch_dispatch__ = _uncompiled(cls.__dict__["__torch_dispatch__"])  # type: ignore[method-assign]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Returns False: `_uncompiled` does it instead."""
        return False

    @classmethod
    def is_infra_mode(cls) -> bool:
        """Returns True: otherwise torch refuses to compile inside the model, which flex attention does."""
        return True


def _uncompiled(dispatch: Callable[..., Any]) -> Callable[..., Any]:
    """Returns ``dispatch``, which torch's compiler leaves alone where it is loaded."""
    disabled: list[Callable[..., Any]] = []

    @wraps(dispatch)
    def run(*args: Any, **kwargs: Any) -> Any:
        dynamo = sys.modules.get("torch._dynamo")
        if dynamo is None or not hasattr(dynamo, "disable"):  # absent, or half imported by another thread
            return dispatch(*args, **kwargs)
        if not disabled:
            disabled.append(dynamo.disable(dispatch, wrapping=False))
        return disabled[0](*args, **kwargs)

    return run
