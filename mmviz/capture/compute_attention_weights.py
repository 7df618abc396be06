"""Attention weights from queries, keys and a mask: the masking of scores and the softmax, each in one place."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def mask_scores_(
    scores: Tensor, mask: Tensor | None, unit: float = 1.0, future: tuple[Tensor, Tensor] | None = None
) -> Tensor:  # fmt: skip
    """Masks ``scores`` ``[..., query, key]`` in place and returns them; masked keys get minus infinity.

    ``mask`` is boolean (True takes part) or added to the scores times ``unit``; it broadcasts to the scores. ``future``
    gives the positions of the queries and keys for causal attention, in which no query attends to a later key.
    """
    if mask is not None:
        if mask.dtype is torch.bool:
            scores.masked_fill_(~mask, -math.inf)
        else:
            scores.add_(mask, alpha=unit)
    if future is not None:
        queries, keys = future
        scores.masked_fill_(keys > queries[:, None], -math.inf)
    return scores


def positions(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the positions of all queries and keys of ``scores`` ``[..., query, key]``, counted from 0."""
    queries, keys = scores.shape[-2:]
    return torch.arange(queries, device=scores.device), torch.arange(keys, device=scores.device)


def masked_softmax(scores: Tensor) -> Tensor:
    """Returns the softmax over keys; rows of fully masked queries, all minus infinity, are 0."""
    weights = scores.softmax(-1)
    return weights.nan_to_num(0.0) if weights.requires_grad else weights.nan_to_num_(0.0)


def attention_weights(query: Tensor, key: Tensor, mask: Tensor | None, causal: bool, scale: float) -> Tensor:
    """Returns ``softmax(scale * query key^T + mask)``, ``[..., query, key]``, in the precision of its inputs.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.1. ``query`` ``[..., query, d]`` and ``key``
    ``[..., key, d]`` have equally many heads; ``mask`` as in `mask_scores_`.
    """
    scores = query @ key.transpose(-2, -1) * scale
    return masked_softmax(mask_scores_(scores, mask, future=positions(scores) if causal else None))
