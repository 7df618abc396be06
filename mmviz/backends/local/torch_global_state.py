"""What runs share with the whole process, and leave as they met it: torch's random generators and TF32."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import torch

_running = threading.RLock()  # a model may make a run of another in its own
_counting = threading.Lock()
_float32_count = 0
_restoring: list[Callable[[], None]] = []
"""What restores the settings of the caller, while mmviz computes."""


@contextmanager
def isolated_run(device: str) -> Iterator[None]:
    """Runs while no other does in this process, whichever backend it is of, in `full_float32`.

    Seeds and random numbers that are drawn meanwhile leave torch's generators as they were, those of GPUs too, where
    ``device`` is a GPU or the process has used any. Another run in the same thread runs within this one.
    """
    has_gpu = torch.device(device).type == "cuda" and torch.cuda.is_available()
    with _running:
        is_used = has_gpu or torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        gpus = range(torch.cuda.device_count()) if is_used else ()
        with torch.random.fork_rng(devices=gpus), full_float32():
            yield


@contextmanager
def full_float32() -> Iterator[None]:
    """Computes without TF32, as the parity checks need it.

    Torch has one setting for all threads, so the first context changes it and the last one restores that of the caller.
    """
    global _float32_count, _restoring
    with _counting:
        if _float32_count == 0:
            settings, _restoring = _settings(), []
            for read, write, _ in settings:
                with suppress(RuntimeError):  # torch refuses to read an old name where a new one was set
                    _restoring.append(partial(write, read()))
            for _, write, value in settings:
                write(value)
        _float32_count += 1
    try:
        yield
    finally:
        with _counting:
            _float32_count -= 1
            if _float32_count == 0:
                for restore in _restoring:
                    restore()


def _settings() -> list[tuple[Callable[[], Any], Callable[[Any], None], str | bool]]:
    """Returns how each setting of TF32 is read and written, and its value for float32: the old names, then those of
    newer torch, some of which stand above others."""
    matmul, cudnn = torch.get_float32_matmul_precision, torch.backends.cudnn
    old: list[tuple[Callable[[], Any], Callable[[Any], None], str | bool]] = [
        (matmul, torch.set_float32_matmul_precision, "highest"),
        (partial(getattr, cudnn, "allow_tf32"), partial(setattr, cudnn, "allow_tf32"), False),
    ]
    owners = [torch.backends.cuda.matmul, getattr(torch.backends.mkldnn, "matmul", None), cudnn]
    owners += [getattr(cudnn, name, None) for name in ("conv", "rnn")]
    name = "fp32_precision"
    new = [
        (partial(getattr, owner, name), partial(setattr, owner, name), "ieee")
        for owner in owners
        if hasattr(owner, name)
    ]
    return [*old, *new]
