"""Tells in which order the tokens at some place of a model enter a stream."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mmviz.capture.data_flow_step import Step
from mmviz.capture.origin_sets import NONE, OriginSets
from mmviz.capture.result import CaptureResult
from mmviz.capture.stream_links import beginning
from mmviz.capture.token_origins import TokenOrigins


def entering_order(result: CaptureResult, stream: str, step: Step) -> list[int | None]:
    """Returns for each token of a stream its number among the tokens that ``step`` holds, ``[..., token, width]``.

    It is None for a token that does not come from there alone: the model writes over it, or joins it with others, or
    puts it where it cannot be followed. Towers that attend within windows, for example, put patches into another order.
    Raises ``CaptureError`` (``flow-name``) where the call has no such stream.
    """
    of_name, groups = result.stream(stream)
    _, base, places, axis = beginning(groups, of_name)
    if base is None or places is None or len(step.shape) < 2:
        return [None] * of_name.count
    sets = OriginSets()
    first = sets.token(0, 0)

    def leaf(other: Step) -> Tensor | None:
        if other is not step:
            return None
        numbers = torch.arange(math.prod(step.shape[:-1])) + first
        return numbers.reshape(*step.shape[:-1], 1).expand(step.shape)

    origins = TokenOrigins(sets, leaf, lambda _, numbers: numbers).of(base)
    if origins is None:
        return [None] * of_name.count
    order: list[int | None] = [None] * of_name.count
    for flat, origin in zip(places.flatten().tolist(), sets.merged(origins, axis).flatten().tolist(), strict=True):
        members = [] if origin <= NONE else list(sets.members(origin))
        if len(members) == 1 and flat < of_name.count:
            order[flat] = members[0][0] - first
    return order
