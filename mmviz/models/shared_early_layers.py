"""Copies of a row that join a batch on its way through the layers of a model.

A change of one layer leaves the layers before it as they are, so that what differs there alone need not run through
these once more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn


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


@contextmanager
def joining_blocks(blocks: Sequence[nn.Module], layers: Sequence[int]) -> Iterator[None]:
    """`joining_rows` for any module whose ``blocks`` run in this order: what they take is not known.

    Every tensor of two or more axes that enters a block with as many rows as the batch has, or with a single one, gets
    the rows that join. Whether a model can be run so is seen by its answers.
    """
    counts = Counter(layers)
    totals = list(accumulate((counts[layer] for layer in range(len(blocks))), initial=1))
    with ExitStack() as stack:
        for block, before, after in zip(blocks, totals, totals[1:], strict=False):
            if after > 1:
                hook = partial(_with_rows, before=before, after=after)
                stack.callback(block.register_forward_pre_hook(hook, with_kwargs=True).remove)
        yield


def _with_rows(
    _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], before: int, after: int
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    def joined(value: Any) -> Any:
        if isinstance(value, Tensor):
            if value.dim() < 2 or value.shape[0] not in (1, before):
                return value
            copies = value[:1].expand(after - value.shape[0], *value.shape[1:])
            return torch.cat([value, copies]) if len(copies) else value
        return tuple(map(joined, value)) if type(value) is tuple else value

    return tuple(map(joined, args)), {name: joined(value) for name, value in kwargs.items()}
