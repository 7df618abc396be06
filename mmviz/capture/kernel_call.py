"""The arguments of a fused kernel, with pairs of queries and keys that are blocked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmviz.capture.blocked_pairs import block_scores
from mmviz.capture.call_axes import CallAxes
from mmviz.capture.compute_attention_weights import mask_scores_, positions


@dataclass(frozen=True, eq=False)
class KernelCall:
    """A call of ``F.scaled_dot_product_attention``."""

    kwargs: dict[str, Any]
    """What the kernel is called with. Queries with nothing left attend as before, so that its gradients are finite."""
    mask: Tensor | None
    """What masks the attention, as `AttentionCall.mask`, ``[..., query, key]``."""
    causal: bool
    """Whether a query attends only to keys up to its own position. False where pairs are blocked, since ``mask`` then
    says so."""
    is_blocked: bool = False
    """Whether pairs are blocked, which is then in ``mask``."""
    emptied: Tensor | None = None
    """Bool ``[..., query, 1]``: queries with nothing left; None for no query."""

    def without_emptied(self, tensor: Tensor, lse: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Returns an output or weights ``[..., query, d]`` that are 0, and a log-sum-exp ``[..., query]`` that is minus
        infinity, for queries with nothing left."""
        if self.emptied is None:
            return tensor, lse
        tensor = tensor.masked_fill(self.emptied, 0)
        return tensor, None if lse is None else lse.masked_fill(self.emptied[..., 0], -math.inf)

    def emptied_queries(self, axes: CallAxes) -> Tensor | None:
        """Returns `AttentionCall.emptied`."""
        if not self.is_blocked or self.mask is None:
            return None
        if self.emptied is None:
            return torch.zeros(1, self.mask.shape[-2], dtype=torch.bool, device=self.mask.device)
        return axes.of_queries(self.emptied).any(1)[..., 0]


def kernel_call(kwargs: dict[str, Any], blocked: Tensor | None) -> KernelCall:
    """Returns a call of ``F.scaled_dot_product_attention`` under ``blocked`` pairs, bool ``[..., query, key]``."""
    mask, causal = kwargs.get("attn_mask"), bool(kwargs.get("is_causal", False))
    if blocked is None:
        return KernelCall(kwargs, mask, causal)
    for_kernel, mask, emptied = _blocked_mask(mask, causal, blocked)
    return KernelCall(kwargs | {"attn_mask": for_kernel, "is_causal": False}, mask, False, True, emptied)


def leading_axes(kwargs: dict[str, Any]) -> tuple[int, ...]:
    """Returns the sizes of the axes of the output before those of queries and features."""
    if kwargs.get("enable_gqa"):
        return tuple(kwargs["query"].shape[:-2])
    return tuple(np.broadcast_shapes(*(kwargs[name].shape[:-2] for name in ("query", "key", "value"))))


def _blocked_mask(mask: Tensor | None, causal: bool, blocked: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """Returns the mask for the kernel, and what masks the attention: they differ in queries with nothing left, which
    the third tensor tells, ``[..., query, 1]``."""
    if mask is None or mask.dtype is torch.bool:
        before = torch.ones_like(blocked) if mask is None else mask
        if causal:
            before = before & torch.ones(blocked.shape[-2:], dtype=torch.bool, device=blocked.device).tril()
        after = before & ~blocked
        emptied = before.any(-1, keepdim=True) & ~after.any(-1, keepdim=True)
        if not bool(emptied.any()):
            return after, after, None
        return after | (before & emptied), after, emptied
    scores = mask.expand(np.broadcast_shapes(mask.shape, blocked.shape))
    if causal:
        scores = mask_scores_(scores.clone(), None, future=positions(scores))
    for_kernel, rows = block_scores(scores, blocked)
    return for_kernel, scores.masked_fill(blocked, -math.inf), rows
