"""Blocks pairs of queries and keys, as if their scores were minus infinity before the softmax.

A query that is left with nothing to attend to has weights of 0. Models often mask by large negative numbers, over which
a softmax would spread once all else is blocked, so what they mean to mask counts as nothing left.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from mmviz.types import CaptureError

Spread = Callable[[Tensor], Tensor]
"""Brings pairs ``[row or 1, head or 1, query, key]`` to axes that broadcast to those of the scores."""
_MASKED = 5_000.0
"""How far below the largest of its row a score lies that the model masks: it adds -1e4 or less."""
_LOW = -1_000.0
"""Rows with a score above this are not masked, and need not be looked at again."""


@dataclass(frozen=True, eq=False)
class BlockedPairs:
    """The pairs of one attention that are blocked."""

    pairs: Tensor
    """Bool ``[row or 1, head or 1, query, key]``; True is blocked."""
    spread: Spread | None = None
    """Where the pairs stand in eager scores; None for scores ``[row, head, query, key]``. Kernels need none."""

    def for_call(self, shape: tuple[int, int, int, int], module: str) -> Tensor:
        """Returns the pairs for an attention with these numbers of rows, heads, queries and keys. Raises
        ``CaptureError`` (``cut-shape``) where they are those of an attention of another shape."""
        own = tuple(self.pairs.shape)
        if own[0] not in (1, shape[0]) or own[1] not in (1, shape[1]) or own[2:] != shape[2:]:
            raise CaptureError("cut-shape", name=module, shape=list(shape), expected=list(own))
        return self.pairs


def block_scores(scores: Tensor, blocked: Tensor, axis: int = -1) -> tuple[Tensor, Tensor | None]:
    """Returns scores with minus infinity where ``blocked``, and which rows along ``axis`` have nothing left.

    ``blocked`` broadcasts to the scores. Rows with nothing left keep their scores, so that a softmax and its gradients
    are finite; they are True in the second tensor, whose ``axis`` has length 1, and to be set to 0. None for no row.
    """
    cut = scores.masked_fill(blocked, -math.inf)
    left = cut.detach().amax(axis, keepdim=True)
    if not bool((left < _LOW).any()):
        return cut, None
    emptied = left < scores.detach().amax(axis, keepdim=True) - _MASKED
    if not bool(emptied.any()):
        return cut, None
    return scores.masked_fill(blocked & ~emptied, -math.inf), emptied
