"""Blocks pairs of queries and keys in the attention of one thread, and in the softmax of a model's own attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmviz.capture.attention_place import AttentionPlace
from mmviz.capture.blocked_pairs import BlockedPairs, block_scores
from mmviz.capture.call_axes import CallAxes
from mmviz.capture.module_tracker import ModuleTracker
from mmviz.capture.softmax_tracker import SoftmaxCall
from mmviz.types import CaptureError

_GIVEN_SCORES = ("input", "logits")
"""Names under which a softmax takes its scores."""


class AttentionPlaces:
    """Counts the attention of each module within a call of the model, and tells what is blocked in each."""

    def __init__(self, tracker: ModuleTracker, block: Mapping[AttentionPlace, BlockedPairs]):
        self.block = block
        self._tracker = tracker
        self._call = -1
        self._counts: dict[str, int] = {}

    def next(self) -> AttentionPlace:
        """Returns the place of the attention that runs now."""
        if self._tracker.call != self._call:
            self._call, self._counts = self._tracker.call, {}
        module = self._tracker.module
        number = self._counts.get(module, 0)
        self._counts[module] = number + 1
        return module, number

    def blocked_in(self, place: AttentionPlace, axes: CallAxes, key: Tensor) -> Tensor | None:
        """Returns the pairs that are blocked in a fused kernel, which broadcast to ``[*leading, query, key]``.

        ``key``: its keys ``[..., key, d]``.

        Raises ``CaptureError`` (``cut-shape``).
        """
        blocked = self.block.get(place)
        if blocked is None:
            return None
        rows, queries = axes.counts
        pairs = blocked.for_call((rows, axes.heads, queries, key.shape[-2]), place[0])
        return axes.of_pairs(pairs.to(key.device))


def changed_weights(
    softmax: SoftmaxCall, args: Sequence[Any], kwargs: Mapping[str, Any], weights: Tensor,
    blocked: BlockedPairs | None, replace: Callable[[Tensor], Tensor] | None,
) -> Tensor:  # fmt: skip
    """Returns the weights that the model is to use in place of those of its ``softmax``, called with ``args`` and
    ``kwargs``; they may be the same, overwritten.

    Those of a log-softmax, whose shift changes nothing, are softmaxes of its result. ``replace`` maps weights with keys
    last to others. What is blocked is noted in ``softmax``. Raises ``CaptureError``: ``cut-shape``, and ``cut-kernel``
    for a softmax that draws at random.
    """
    axis, emptied = softmax.axis, None
    assert axis is not None
    if blocked is not None:
        if softmax.name == "gumbel_softmax":
            raise CaptureError("cut-kernel", name=softmax.module)
        named = next((name for name in _GIVEN_SCORES if name in kwargs), "input")
        scores: Tensor = args[0] if args else kwargs[named]
        scores = -scores if softmax.name == "softmin" else scores
        pairs = _in_scores(blocked, softmax).to(scores.device)
        softmax.blocked = blocked
        if softmax.score_trace is not None and softmax.score_trace.scores is not None:
            softmax.score_trace.scores = scores.detach().masked_fill(pairs, -torch.inf)
        if axis == 3 and pairs.dim() == 4 and not weights.requires_grad:
            softmax.has_emptied = _block_rows_(weights, scores, pairs)
        else:
            cut, emptied = block_scores(scores, pairs, axis)
            softmax.has_emptied = emptied is not None
            weights = torch.softmax(cut, axis, dtype=weights.dtype)
    if replace is not None:
        weights = replace(weights.movedim(axis, -1)).movedim(-1, axis)
        if softmax.has_emptied and emptied is None:  # which were set to 0 above
            weights = weights.nan_to_num(0.0)
    return weights if emptied is None else weights.masked_fill(emptied, 0)


def _block_rows_(weights: Tensor, scores: Tensor, pairs: Tensor) -> bool:
    """Computes again the rows of ``weights`` ``[row, head, query, key]`` in which ``pairs``, which broadcast to them,
    are blocked. Returns whether any of them has nothing left."""
    pairs = pairs.expand(weights.shape)
    rows = pairs.any(-1).nonzero(as_tuple=True)
    cut, emptied = block_scores(scores[rows], pairs[rows])
    changed = torch.softmax(cut, -1, dtype=weights.dtype)
    weights[rows] = changed if emptied is None else changed.masked_fill(emptied, 0)
    return emptied is not None


def emptied_queries(softmax: SoftmaxCall, weights: Tensor) -> Tensor | None:
    """Returns `AttentionCall.emptied` for the weights ``[row, head, query, key]`` of a softmax."""
    if softmax.blocked is None:
        return None
    if not softmax.has_emptied:
        return torch.zeros(1, weights.shape[-2], dtype=torch.bool, device=weights.device)
    is_blocked = softmax.blocked.pairs.any(-1).to(weights.device)
    return ((weights.detach() == 0).all(-1) & is_blocked).any(1)


def _in_scores(blocked: BlockedPairs, softmax: SoftmaxCall) -> Tensor:
    """Returns the pairs as they stand in the scores. Raises ``CaptureError`` (``cut-shape``)."""
    if blocked.spread is not None:
        spread = blocked.spread(blocked.pairs)
        shape = tuple(softmax.shape)
        if spread.dim() <= len(shape) and np.broadcast_shapes(spread.shape, shape) == shape:
            return spread
    elif len(softmax.shape) == 4 and softmax.axis == 3:
        rows, heads, queries, keys = softmax.shape
        return blocked.for_call((rows, heads, queries, keys), softmax.module)
    raise CaptureError(
        "cut-shape", name=softmax.module, shape=list(softmax.shape), expected=list(blocked.pairs.shape)
    )  # fmt: skip
