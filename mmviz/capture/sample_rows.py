"""Tells which sample each row of a tensor belongs to, where a model cuts samples into several rows, as into tiles."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from mmviz.capture.data_flow_step import Step, name_of
from mmviz.capture.function_tables import JOINS, MOVES, SPREADS
from mmviz.capture.score_origin import is_weight
from mmviz.capture.token_moves import MAX_NUMBERS, Places, after, quietly

_ALONG_ROWS = {"sort", "msort", "cumsum", "cumprod", "softmax", "argsort"}
"""Functions along an axis that they keep."""
_FAR = 4_000
"""Functions that are followed back to the input of the model."""


def way_back(last: Step) -> list[Step]:
    """Returns the steps by which ``last`` was computed, from the earliest to ``last`` itself.

    Where no argument holds its tokens, as before a patch embedding, the way goes on with the first that is no weight.
    """
    path = [last]
    while len(path) < _FAR:
        step = path[-1]
        others = (part for part in step.parents() if part.shape and not part.is_integer and not is_weight(part))
        parent = step.source or step.origin or next(others, None)
        if parent is None:
            break
        path.append(parent)
    return path[::-1]


def samples_of_rows(last: Step, starts: Collection[int]) -> Tensor | None:
    """Returns the sample of each row of ``last`` ``[row, ...]``, int64 ``[row]``; None where that is not told.

    The tensor is followed back to where its first axis was that of samples: to an input of the model, or to one of the
    steps whose ids are ``starts``. Each sample has equally many rows, and none of them twice.
    """
    path = way_back(last)
    is_input = bool(path[0].input_name) or any(step.origin for step in path)
    for place, step in enumerate(path):
        if not (is_input if place == 0 else id(step) in starts) or not step.shape or step.shape[0] >= last.shape[0]:
            continue
        rows = _rows_along(path[place:])
        if rows is not None and len(set(torch.bincount(rows, minlength=step.shape[0]).tolist())) == 1:
            return rows
    return None


def _rows_along(path: Sequence[Step]) -> Tensor | None:
    """Returns the row of ``path[0]`` that each row of the last step comes from; None where they mix or are repeated."""
    step = path[0]
    with quietly():
        rows = _of_rows(torch.arange(step.shape[0]), step)
        for before, step in pairwise(path):
            if before is step.origin:
                continue
            is_alike = before.shape[:1] == step.shape[:1]
            moved = None
            if name_of(step) in _ALONG_ROWS and _axis_of(step) in (0, -len(step.shape)):
                return None
            if name_of(step) in MOVES or (name_of(step) in JOINS and not is_alike):
                places = Places(rows, rows) if math.prod(before.shape) <= MAX_NUMBERS and not _doubles(step) else None
                places = after(step, places, before) if places and (is_alike or name_of(step) not in SPREADS) else None
                moved = places.token if places and tuple(places.token.shape) == step.shape else None
            elif is_alike and _is_by_row(rows):
                moved = _of_rows(rows.flatten(1)[:, 0] if rows.dim() > 1 else rows, step)
            if moved is None:
                return None
            rows = moved
        return rows.flatten(1)[:, 0] if rows.dim() > 1 and _is_by_row(rows) else None


def _axis_of(step: Step) -> object:
    """Returns the axis that a function works along, its first argument but the tensor; the last where none is given."""
    return step.args[1] if len(step.args) > 1 else (step.kwargs or {}).get("dim", -1)


def _doubles(step: Step) -> bool:
    """Returns whether a tensor is joined with itself."""
    parts = step.parents() if name_of(step) in JOINS else []
    return len(set(parts)) < len(parts) or step.source in parts


def _of_rows(numbers: Tensor, step: Step) -> Tensor:
    """Returns a number for each row in the shape of a step."""
    return numbers.view(-1, *[1] * (len(step.shape) - 1)).expand(step.shape)


def _is_by_row(rows: Tensor) -> bool:
    return bool((rows.flatten(1) == rows.flatten(1)[:, :1]).all()) if rows.dim() > 1 else True
