"""The weights of flex attention, by the definition that torch itself computes with where it has no fused kernel."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mmviz.capture.blocked_pairs import block_scores
from mmviz.capture.call_axes import CallAxes
from mmviz.capture.compute_attention_weights import masked_softmax
from mmviz.types import CaptureError

MAX_WEIGHTS = 1 << 24
"""Weights of one call that are computed when it runs; of a longer call they are computed when they are viewed."""
MAX_MASK = 1 << 28
"""Bytes of the mask of a longer call."""
_TILE = 1 << 22
"""Scores that are computed at once to tell the mask of a longer call."""


def flex_tensors(
    args: Sequence[Any], result: Sequence[Tensor], axes: CallAxes, blocked: Tensor | None
) -> dict[str, Any] | None:
    """Returns the tensors of `AttentionCall` for a call of the operator that gave ``result``: its weights, or what they
    are computed from when they are viewed. None where neither can be had, see `flex_weights` and `flex_mask`.
    """
    value = axes.of_keys(args[2])
    weights = flex_weights(args, result[1], blocked)
    if weights is not None:
        arranged = axes.of_queries(weights.to(result[0].dtype))
        emptied = None if blocked is None else (arranged == 0).all(-1).any(1)
        return {"weights": arranged, "value": value, "emptied": emptied}
    mask = flex_mask(args)
    if mask is None:
        return None
    return {
        "query": axes.of_queries(args[0]), "key": axes.of_keys(args[1]), "value": value, "scale": args[5],
        "mask": None if mask.allowed is None else axes.of_mask(mask.allowed),
        "lse": axes.of_queries(result[1][..., None] * math.log(2))[..., 0],
    }  # fmt: skip


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


@dataclass(frozen=True)
class FlexMask:
    """What a longer call does to its scores: it masks some."""

    allowed: Tensor | None
    """Pairs that take part, bool ``[batch, 1, query, key]``; None where all do."""


def flex_mask(args: Sequence[Any]) -> FlexMask | None:
    """Returns the mask of a call whose weights are ``exp(scale * q . k - log-sum-exp)`` where it lets pairs take part.

    None where its ``score_mod`` changes any score, where heads have masks of their own, for a mask of more than
    `MAX_MASK` bytes, or where this torch has no such definition.
    """
    masked_scores = _definition()
    query, key, _, score_mod, block_mask, *rest = args
    (batch, heads, queries, _), keys = query.shape, key.shape[2]
    if masked_scores is None or batch * queries * keys > MAX_MASK:
        return None
    key = key.repeat_interleave(heads // key.shape[1], 1)
    tiles, step = [], max(1, _TILE // (batch * heads * keys))
    with torch.no_grad():
        for first in range(0, queries, step):
            of_scores, of_mask = _later(score_mod, 3, first), _later(block_mask[-1], 2, first)
            part = query[:, :, first : first + step]
            plain, scores = masked_scores(part, key, key, of_scores, (*block_mask[:-1], of_mask), *rest)
            allowed = scores != -math.inf
            if not bool(((scores == plain) | ~allowed).all()) or not bool((allowed == allowed[:, :1]).all()):
                return None
            tiles.append(allowed[:, :1].clone())
    mask = torch.cat(tiles, 2)
    return FlexMask(None if bool(mask.all()) else mask)


def _later(function: Callable[..., Tensor], place: int, first: int) -> Callable[..., Tensor]:
    """Returns a function of a pair, whose query is argument ``place``, for queries that are counted from ``first``."""
    return lambda *pair: function(*pair[:place], pair[place] + first, *pair[place + 1 :])


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


def _definition() -> Callable[..., tuple[Tensor, Tensor]] | None:
    """Returns torch's own definition of the scores, before and after ``score_mod`` and mask."""
    try:
        from torch._higher_order_ops.flex_attention import _math_attention_inner
    except ImportError:
        return None
    return _math_attention_inner


def _scores(args: Sequence[Any]) -> Tensor | None:
    """Returns the scores ``[batch, head, query, key]`` after ``score_mod`` and mask; None where there are none."""
    masked_scores = _definition()
    query, key, *rest = args
    batch, heads, queries, _ = query.shape
    if masked_scores is None or batch * heads * queries * key.shape[-2] > MAX_WEIGHTS:
        return None
    key = key.repeat_interleave(heads // key.shape[1], 1)
    scores: Tensor = masked_scores(query, key, key, *rest[1:])[1]
    return scores
