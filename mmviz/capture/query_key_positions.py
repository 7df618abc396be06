"""Tells which token of which sample each query and each key of an attention call is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mmviz.capture.attention_call import AttentionCall
from mmviz.capture.data_flow_step import Step
from mmviz.capture.query_key_tokens import Operand

Positions = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Side:
    """The queries or the keys of one attention call."""

    base: Step | None
    """The tokens of the layer that they come from; None where nothing is known."""
    samples: int
    """Number of samples."""
    count: int
    """Number of tokens in a sample."""
    positions: Positions | None = None
    """int64 ``[row, token]``: the place of each token among ``count``, -1 for padding; None where row ``s`` holds all
    tokens of sample ``s`` in order."""
    sample_of_row: Positions | None = None
    """int64 ``[row]``, where ``positions`` is given."""
    is_placed: bool = True
    """False where it is known that tokens were rearranged, and not how."""
    base_axis: int = -1
    """The axis of ``base`` that holds features."""
    sample_axis: int | None = 0
    """Which of the other axes of ``base`` holds samples; None where none does."""

    @property
    def is_plain(self) -> bool:
        """Whether each row holds all tokens of one sample in order."""
        return self.positions is None and self.is_placed


def query_side(call: AttentionCall) -> Side:
    """Returns the queries of a call."""
    operand, axes = call.queries_from, call.axes
    tokens = operand.tokens if operand else None
    fits = axes is not None and tokens is not None and tokens.shape[-1] == math.prod(axes.split.sizes[-1])
    return _side(operand, call.shape[0], call.shape[2], axes.of_queries if axes and fits else None)


def key_side(call: AttentionCall) -> Side:
    """Returns the keys of a call."""
    return _side(call.keys_from, call.shape[0], call.shape[3], call.axes.of_keys if call.axes else None)


def _side(operand: Operand | None, rows: int, count: int, arrange: Callable[[Tensor], Tensor] | None) -> Side:
    """Returns a side; ``arrange`` brings ``[*leading, token, 1]`` to ``[row, head, token, 1]``, where it can."""
    if operand is None:
        return Side(None, rows, count)
    if operand.tokens is not None and arrange is not None:
        return _by_tokens(operand, arrange(operand.tokens[..., None])[..., 0].numpy())
    leading = operand.leading  # only its shape is known
    is_own = operand.base is operand.step
    has_rows = leading[:1] == (rows,) and math.prod(leading[1:]) == count
    is_placed = is_own or has_rows or (leading == (count,) and rows == 1) or leading == (count, rows)
    return Side(operand.base, rows, count, is_placed=is_placed, base_axis=operand.base_axis)


def _by_tokens(operand: Operand, numbers: Positions) -> Side:
    """Returns the side of tokens with flat ``numbers`` ``[row, head, token]`` in the layer."""
    leading = operand.leading
    is_token = numbers >= 0
    places = np.unravel_index(np.where(is_token, numbers, 0), leading)
    heads = [axis for axis, place in enumerate(places) if (place != place[:, :1]).any()]
    if any((places[axis] != places[axis][:1, :, :1])[is_token].any() for axis in heads):  # other tokens in each head
        return Side(operand.base, len(numbers), numbers.shape[-1], is_placed=False, base_axis=operand.base_axis)
    first = is_token[:, :1].argmax(-1)[..., None]
    places_of_rows = [place[:, 0] for place in places]
    firsts = [np.take_along_axis(place[:, :1], first, -1)[:, 0, 0] for place in places]
    constant = [
        axis for axis, place in enumerate(places_of_rows)
        if axis not in heads and (~is_token[:, 0] | (place == firsts[axis][:, None])).all()
        and len(np.unique(firsts[axis])) == leading[axis]
    ]  # fmt: skip
    rows = len(numbers)
    constant.sort(key=lambda axis: leading[axis] != rows)  # that of as many as there are rows, else the first
    sample_axis = constant[0] if len(leading) > 1 and constant else None
    kept = [axis for axis in range(len(leading)) if axis != sample_axis and axis not in heads]
    sizes = [leading[axis] for axis in kept]
    positions = np.zeros(numbers[:, 0].shape, np.int64)
    for axis, size in zip(kept, sizes, strict=True):
        positions = positions * size + places_of_rows[axis]
    positions = np.where(is_token[:, 0], positions, -1)
    count = math.prod(sizes)
    samples = 1 if sample_axis is None else leading[sample_axis]
    sample_of_row = np.zeros(rows, np.int64) if sample_axis is None else firsts[sample_axis]
    has_all = list(positions.shape) == [samples, count]
    if has_all and (positions == np.arange(count)).all() and (sample_of_row == np.arange(samples)).all():
        return Side(operand.base, samples, count, base_axis=operand.base_axis, sample_axis=sample_axis)
    return Side(
        operand.base, samples, count, positions, sample_of_row, base_axis=operand.base_axis, sample_axis=sample_axis,
    )  # fmt: skip
