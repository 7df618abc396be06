"""The memory that a capture keeps, and how it grows with the number of tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from mmviz.capture.attention_call import SHORT_SEQUENCE, AttentionCall, checked_rows

MAP_BYTES = 4
"""Bytes of a weight in a record."""


def kept_bytes(calls: Sequence[AttentionCall], tokens: int | None = None) -> int:
    """Returns the bytes of memory that attention calls keep of a forward pass; what several share counts once.

    ``tokens``: their number in another run, of calls that attend within one sequence; by default that of this run.
    Queries, keys, values and the log-sum-exp of each row grow with it, masks and weights with its square, and of the
    output the rows `checked_rows` are kept.
    """
    total, counted = 0, set[int]()
    for call in calls:
        _, _, queries, keys = call.shape
        count = queries if tokens is None else tokens
        growth = {"query": count / queries, "lse": count / queries, "key": count / queries, "value": count / queries}
        growth |= {"attn_output": len(checked_rows(count)) / len(checked_rows(queries))}
        growth |= {"weights": (count / queries) ** 2, "mask": _mask_growth(call.mask, queries, keys, count)}
        for name, factor in growth.items():
            tensor: Tensor | None = getattr(call, name)
            if tensor is None:
                continue
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in counted:
                counted.add(storage.data_ptr())
                total += round(storage.nbytes() * factor)
    return total


def map_bytes(calls: Sequence[AttentionCall], tokens: int) -> int:
    """Returns the bytes of the maps of a record of one sample with so many tokens; 0 where it holds no weights."""
    return sum(MAP_BYTES * call.shape[1] * tokens**2 for call in calls) if tokens <= SHORT_SEQUENCE else 0


def _mask_growth(mask: Tensor | None, queries: int, keys: int, count: int) -> float:
    if mask is None:
        return 1.0
    return math.prod(count / queries if size in (queries, keys) else 1.0 for size in mask.shape[-2:])
