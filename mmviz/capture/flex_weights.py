"""The weights of flex attention, by the definition that torch itself computes with where it has no fused kernel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmviz.capture.blocked_pairs import block_scores
from mmviz.capture.compute_attention_weights import masked_softmax
from mmviz.types import CaptureError

MAX_WEIGHTS = 1 << 24
"""Weights of one call that are computed; a longer call is named instead."""


def flex_weights(args: Sequence[Any], lse: Tensor, blocked: Tensor | None = None) -> Tensor | None:
    """Returns the weights of a call of torch's flex attention operator, ``[batch, head, query, key]``.

    ``args`` are those of the operator: query, key, value, score_mod, block_mask, scale, kernel options and what both
    functions read. ``lse`` ``[batch, head, query]`` is the log-sum-exp of the rows in base 2, which the operator
    returned; ``blocked`` pairs broadcast to the weights. Returns None for more than `MAX_WEIGHTS`, or where this torch
    has no such definition.
    """
    with torch.no_grad():
        scores = _scores(args)
        if scores is None:
            return None
        if blocked is not None:
            scores = scores.masked_fill(blocked, -math.inf)
        weights = (scores.double() - lse[..., None].double() * math.log(2)).exp_()
        return weights.nan_to_num_(0.0).masked_fill_(scores == -math.inf, 0.0).to(torch.float32)


def blocked_flex(
    args: Sequence[Any], result: tuple[Tensor, ...], blocked: Tensor, module: str
) -> tuple[Tensor, ...]:  # fmt: skip
    """Returns ``result`` of a call of the operator without ``blocked`` pairs, which broadcast to the weights.

    Raises ``CaptureError`` (``cut-kernel``) where the weights cannot be computed, see `flex_weights`.
    """
    scores, value = _scores(args), args[2]
    if scores is None:
        raise CaptureError("cut-kernel", name=module)
    cut, emptied = block_scores(scores, blocked)
    weights, lse = masked_softmax(cut), cut.logsumexp(-1) / math.log(2)
    if emptied is not None:
        weights, lse = weights.masked_fill(emptied, 0), lse.masked_fill(emptied[..., 0], -math.inf)
    value = value.repeat_interleave(scores.shape[1] // value.shape[1], 1)
    output = (weights.to(value.dtype) @ value).to(result[0].dtype)
    return (output, lse.to(result[1].dtype), *result[2:])


def _scores(args: Sequence[Any]) -> Tensor | None:
    """Returns the scores ``[batch, head, query, key]`` after ``score_mod`` and mask; None where there are none."""
    try:
        from torch._higher_order_ops.flex_attention import _math_attention_inner as masked_scores
    except ImportError:
        return None
    query, key, *rest = args
    batch, heads, queries, _ = query.shape
    if batch * heads * queries * key.shape[-2] > MAX_WEIGHTS:
        return None
    key = key.repeat_interleave(heads // key.shape[1], 1)
    scores: Tensor = masked_scores(query, key, key, *rest[1:])[1]
    return scores
