"""Replays the functions that arranged a tensor, on the numbers of its tokens, so that each vector gets its place.

Queries are often reshaped, split into heads, windowed, shifted or padded on their way from the tokens of a layer to the
attention. The same functions, applied to the numbers of tokens and features instead of activations, tell exactly which
token and which head each vector of the queries is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice, takewhile

import torch
from torch import Tensor

from mmviz.capture.data_flow_step import Step, name_of
from mmviz.capture.function_tables import CONVOLUTIONS, JOINS
from mmviz.capture.token_moves import FOLLOWED, MAX_NUMBERS, Places, along, quietly, steps_between
from mmviz.capture.token_source_argument import is_constant

MAX_STEPS = 200
"""Functions between the tokens of a layer and its attention that are replayed."""
_PICKING = CONVOLUTIONS | {"__getitem__", "index_select", "roll", "flip", "repeat_interleave", "repeat", "gather"}
"""Functions that may put tokens into another place or order."""


def replay(last: Step, first: Step, first_axis: int = -1) -> Places | None:
    """Returns the places of ``last``, computed from the tokens ``first``, whose features are along ``first_axis``.

    Returns None where ``last`` does not come from ``first``, or a function between them does something else to tokens
    than move them, mix features of one token, or change each number by itself.
    """
    if len(first.shape) < 2 or math.prod(first.shape) > MAX_NUMBERS or not is_replayable(last, first):
        return None
    leading, size = list(first.shape), first.shape[first_axis]
    del leading[first_axis]
    features = torch.arange(size, device="cpu").view(
        [size if axis == first_axis % len(first.shape) else 1 for axis in range(len(first.shape))]
    )
    tokens = torch.arange(math.prod(leading), device="cpu").reshape(leading).unsqueeze(first_axis)
    with quietly():
        return along(steps_between(first, last), Places(tokens.expand(first.shape), features.expand(first.shape)))


def is_followed(last: Step, first: Step) -> bool:
    """Returns whether ``last`` comes from ``first`` by few functions, all of which can be replayed."""
    for step in islice(last.chain(), MAX_STEPS):
        if step is first:
            return True
        if not follows(step):
            return False
    return False


def is_replayable(last: Step, first: Step) -> bool:
    """Returns whether ``last`` comes from ``first`` by functions that can be replayed, and none is too large."""
    return is_followed(last, first) and all(math.prod(step.shape) <= MAX_NUMBERS for step in steps_between(first, last))


def follows(step: Step) -> bool:
    """Returns whether the function of a step is one of those that can be replayed."""
    return step.func is None or name_of(step) in FOLLOWED


def keeps_order(last: Step, first: Step, last_axis: int = -1) -> bool:
    """Returns whether ``last`` has the tokens of ``first`` in order, as far as functions that pick tokens tell.

    ``last_axis``: the axis of features of ``last``.
    """
    between = list(takewhile(lambda step: step is not first, last.chain()))
    if not any(name_of(step) in _PICKING or _joins_tokens(step) for step in between):
        return True
    for first_axis in (-1, 1) if len(first.shape) > 2 else (-1,):
        places = replay(last, first, first_axis)
        if places is not None:
            token = places.token.movedim(last_axis, -1)
            in_order = torch.arange(token[..., 0].numel(), device="cpu").view(*token.shape[:-1], 1)
            if bool((token == in_order).all()):
                return True
    return False


def replay_numbers(numbers: Tensor, path: Sequence[Step]) -> Tensor | None:
    """Returns ``numbers`` in the shape of ``path[0]`` as the functions of the following steps move them.

    Returns None where a function does something else than move them or change each by itself.
    """
    if any(math.prod(step.shape) > MAX_NUMBERS for step in path):
        return None
    with quietly():
        places = along(path, Places(numbers, numbers, has_features=False))
    return None if places is None else places.token


def _joins_tokens(step: Step) -> bool:
    """Returns whether a step joins parts that all come from one tensor, along an axis of tokens, or pads it."""
    if name_of(step) not in JOINS or step.source is None:
        return False
    return step.source not in step.parents() or any(map(is_constant, step.parents()))
