"""A map over threads that each compute alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

T = TypeVar("T")


def thread_map(function: Callable[[int], T], count: int) -> list[T]:
    """Returns ``function(k)`` for k from 0 to ``count``, computed by threads that each use one core of torch.

    Small tiles of weights on several torch threads at once wait for each other more than they compute.
    """
    return list(_pool(torch.get_num_threads()).map(function, range(count)))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    barrier = threading.Barrier(threads + 1)

    def start_alone() -> None:
        torch.set_num_threads(1)
        barrier.wait()

    pool = ThreadPoolExecutor(threads, "mmviz-weights", initializer=start_alone)
    try:
        for _ in range(threads):
            pool.submit(barrier.wait)
        barrier.wait()
        torch.set_num_threads(threads)  # the number that new threads start with, which the pool's threads have changed
        barrier.wait()
    except BaseException:  # Ctrl-C, or the system allows no further thread: the others would wait for it for ever
        barrier.abort()
        raise
    return pool
