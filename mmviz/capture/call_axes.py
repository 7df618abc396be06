"""Brings the axes of one attention call to ``[batch, head, query, d]``, in one place for every route.

Every operand comes as ``[*leading, token, d]``, with leading axes in the order of the attention's output.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from mmviz.capture.module_tracker import ModuleTracker


@dataclass(frozen=True)
class CallAxes:
    """How the leading axes of one attention call become samples and heads."""

    leading: tuple[int, ...]
    """Sizes of the leading axes of the attention's output, to which its operands are broadcast."""
    batch: int
    """Number of samples."""
    heads: int
    """Number of heads of the queries."""

    def of_queries(self, tensor: Tensor) -> Tensor:
        """Returns queries, weights, log-sum-exp or output ``[*leading, query, d]`` as ``[batch, head, query, d]``."""
        padded = _padded(tensor, len(self.leading))
        return self._two_axes(padded.expand(*self.leading, *padded.shape[-2:]))

    def of_keys(self, tensor: Tensor) -> Tensor:
        """Returns keys or values ``[*leading, key, d]`` as ``[batch, kv head, key, d]``; heads may share a key."""
        padded = _padded(tensor, len(self.leading))
        if len(self.leading) < 2:
            return self.of_queries(padded)
        return self._two_axes(padded.expand(*self.leading[:-1], *padded.shape[-3:]))

    def of_mask(self, mask: Tensor) -> Tensor:
        """Returns a mask that broadcasts to ``[*leading, query, key]`` as one that broadcasts to
        ``[batch, head, query, key]``."""
        padded = _padded(mask, len(self.leading))
        if len(self.leading) == 2 or all(size == 1 for size in padded.shape[:-2]):
            return padded if len(self.leading) == 2 else padded.reshape(1, 1, *padded.shape[-2:])
        return self.of_keys(padded) if len(self.leading) > 2 else self.of_queries(padded)

    def of_heads(self, values: Tensor) -> Tensor:
        """Returns ``values`` ``[batch, head]`` as ``[*leading, 1, 1]``, which broadcasts to the output."""
        return values.reshape(*self.leading, 1, 1)

    def _two_axes(self, tensor: Tensor) -> Tensor:
        """Returns ``[*leading, token, d]`` with the axes of samples and heads alone before the last two."""
        if len(self.leading) == 2:
            return tensor
        heads = self.heads if len(self.leading) < 2 else tensor.shape[-3]
        return tensor.reshape(-1, heads, *tensor.shape[-2:])


def arrange_axes(
    tracker: ModuleTracker, queries: Sequence[int], keys: Sequence[int], leading: Sequence[int], heads: int = 0
) -> CallAxes:  # fmt: skip
    """Returns how the axes of an attention call are arranged.

    Of several leading axes the last one holds heads and the others hold samples. A single one holds the heads of each
    sample in turn.

    Args:
        tracker: Tells the module that runs.
        queries: The shape of queries or weights, ``[*leading, query, ...]``; axes may be 1 or left out.
        keys: The shape of keys or values, ``[*leading, key, ...]``; the same.
        leading: The sizes of the leading axes of the attention's output.
        heads: The number of heads where it is known, else 0.
    """
    del tracker, queries, keys  # what tells samples, windows and heads apart
    leading = tuple(leading)
    known_heads = heads if len(leading) == 1 and heads else leading[-1] if leading else 1
    return CallAxes(leading, math.prod(leading) // max(known_heads, 1), known_heads)


def _padded(tensor: Tensor, leading: int) -> Tensor:
    """Returns ``tensor`` with ``leading`` axes before the last two, new ones of length 1."""
    missing = leading + 2 - tensor.dim()
    return tensor.reshape(*[1] * missing, *tensor.shape) if missing > 0 else tensor
