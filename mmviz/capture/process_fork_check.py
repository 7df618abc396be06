"""Tells a process that was forked after torch had computed in it: there torch waits for threads that do not exist."""

from __future__ import annotations

import os

import torch

from mmviz.types import MmvizError

_pid: int | None = None
"""The process in which mmviz first computed with torch; a forked child inherits it."""


def refuse_after_fork() -> None:
    """Raises ``MmvizError`` (``fork-torch``) in a child that was forked after mmviz had computed, or used a GPU.

    A fork copies one thread. Those of OpenMP and CUDA are missing in the child, and the first large product would wait
    for them without end. A child that was forked before may compute.
    """
    global _pid
    if _pid is None:
        _pid = os.getpid()
    if _pid != os.getpid() or torch.cuda._is_in_bad_fork():
        raise MmvizError("fork-torch")
