"""Copies of a row that join a batch on its way through the layers of a model.

A change of one layer leaves the layers before it as they are, so that what differs there alone need not run through
these once more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def joining_rows(blocks: Sequence[nn.Module], layers: Sequence[int]) -> Iterator[None]:
    """A context in which copies of the first row join the batch, one before each of ``layers``, in ascending order.

    ``blocks`` take states ``[row, token, width]`` first, and no other argument has more than one row.
    """
    with ExitStack() as stack:
        for layer, count in Counter(layers).items():

            def join(_: nn.Module, args: tuple[Any, ...], count: int = count) -> tuple[Any, ...]:
                states = args[0]
                return (torch.cat([states, states[:1].expand(count, -1, -1)]), *args[1:])

            stack.callback(blocks[layer].register_forward_pre_hook(join).remove)
        yield
