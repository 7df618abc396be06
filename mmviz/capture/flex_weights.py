"""The weights of flex attention, by the definition that torch itself computes with where it has no fused kernel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

MAX_WEIGHTS = 1 << 24
"""Weights of one call that are computed; a longer call is named instead."""


def flex_weights(args: Sequence[Any], lse: Tensor) -> Tensor | None:
    """Returns the weights of a call of torch's flex attention operator, ``[batch, head, query, key]``.

    ``args`` are those of the operator: query, key, value, score_mod, block_mask, scale, kernel options and what both
    functions read. ``lse`` ``[batch, head, query]`` is the log-sum-exp of the rows in base 2, which the operator
    returned. Returns None for more than `MAX_WEIGHTS`, or where this torch has no such definition.
    """
    try:
        from torch._higher_order_ops.flex_attention import _math_attention_inner as masked_scores
    except ImportError:
        return None
    query, key, *rest = args
    batch, heads, queries, _ = query.shape
    if batch * heads * queries * key.shape[-2] > MAX_WEIGHTS:
        return None
    with torch.no_grad():
        key = key.repeat_interleave(heads // key.shape[1], 1)
        _, scores = masked_scores(query, key, key, *rest[1:])
        weights = (scores.double() - lse[..., None].double() * math.log(2)).exp_()
        return weights.nan_to_num_(0.0).masked_fill_(scores == -math.inf, 0.0).to(torch.float32)
