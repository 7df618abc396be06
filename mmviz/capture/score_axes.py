"""Tells where the pairs of queries and keys of an eager attention stand in its scores, whatever their order of axes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mmviz.capture.attention_call import AttentionCall
from mmviz.capture.blocked_pairs import BlockedPairs, Spread
from mmviz.capture.data_flow_step import Step, name_of
from mmviz.capture.function_tables import FLAT, JOINS, MOVES
from mmviz.capture.token_moves import MAX_NUMBERS, Places, along, quietly
from mmviz.types import CaptureError


def spread_of(call: AttentionCall) -> Spread | None:
    """Returns what brings pairs ``[row or 1, head or 1, query, key]`` to the order of axes of an attention's scores.

    None for a kernel, and where they have that order. Raises ``CaptureError`` (``cut-scores``) where the weights cannot
    be followed from their softmax to the product that uses them.
    """
    use, axes = call.weights_use, call.axes
    if use is None or axes is None:
        return None
    steps, shape = use.path.steps, use.path.softmax.shape
    if use.views.keeps_weights and steps[-1].shape == shape and all(map(_keeps_order, steps[1:])):
        return None if axes.is_plain else axes.of_pairs
    index = None
    if math.prod(shape) <= MAX_NUMBERS:
        with quietly():
            numbers = torch.arange(math.prod(shape)).view(shape)
            places = along(steps, Places(numbers, numbers, has_features=False))
            if places is not None:
                index = axes.of_queries(use.views.weights(places.token))
    if index is None or tuple(index.shape) != call.shape:
        raise CaptureError("cut-scores", name=call.module)
    return _Scattered(index, shape, call.module)


def _keeps_order(step: Step) -> bool:
    """Returns whether a function leaves the numbers of weights in their order."""
    name = name_of(step)
    return name in FLAT or name not in MOVES | JOINS | {"pad", "gather", "take_along_dim", "topk", "linear"}


@dataclass(frozen=True, eq=False)
class _Scattered:
    """Brings pairs to scores by the place of each weight among them."""

    index: Tensor
    """int64 ``[row, head, query, key]``: the flat place of each weight, negative for none."""
    shape: tuple[int, ...]
    """That of the scores."""
    module: str

    def __call__(self, pairs: Tensor) -> Tensor:
        """Returns ``pairs`` ``[row or 1, head or 1, query, key]`` in the shape of the scores."""
        rows, heads, queries, keys = self.index.shape
        pairs = BlockedPairs(pairs).for_call((rows, heads, queries, keys), self.module)
        blocked = torch.zeros(math.prod(self.shape), dtype=torch.bool)
        blocked[self.index[pairs.cpu().expand(self.index.shape) & (self.index >= 0)]] = True
        return blocked.view(self.shape).to(pairs.device)
