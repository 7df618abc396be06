"""The modes of torch under which mmviz computes, whatever the caller has set around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

_AUTOCAST_DEVICES = ("cpu", "cuda", "mps", "xpu")


def is_backward() -> bool:
    """Returns whether a backward pass runs in this thread, in which gradient checkpointing runs modules once more."""
    return bool(torch._C._current_graph_task_id() != -1)


@contextmanager
def plain_modes() -> Iterator[None]:
    """Computes without inference mode and autocast, and makes new tensors on the CPU unless a device is given.

    It is also a decorator. All three belong to this thread, and the caller's are restored. The default dtype belongs to
    the process and is left alone, so tensors that mmviz makes name their dtype.
    """
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        for device in _AUTOCAST_DEVICES:
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield
