"""One attention as it happened, still in torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from mmviz.capture.score_trace import ScoreTrace
from mmviz.types import CaptureError

Relation = Literal["", "cross", "cached"]
"""Keys of another stream than the queries, keys of earlier calls before those of this one, or no sign of either."""


SHORT_SEQUENCE = 512
"""Inputs of as many tokens are kept in full."""
CHECKED_ROWS = 64
"""Rows of a longer one by which attention times values is compared with the output."""


def checked_rows(queries: int) -> list[int]:
    """The rows of an output that are compared: all of a short one, some of a long one, from the first to the last."""
    if queries <= SHORT_SEQUENCE:
        return list(range(queries))
    return sorted({round(row * (queries - 1) / (CHECKED_ROWS - 1)) for row in range(CHECKED_ROWS)})


@dataclass(frozen=True, eq=False)
class AttentionCall:
    """The tensors of one attention, kept by reference and still in the graph.

    ``value`` ``[batch, kv head, key, d_v]``; ``attn_output``: a copy of what attention made of the values, of the rows
    `checked_rows`, ``[batch, head, row, d_v]``; where gradients are wanted also the ``output`` itself, which ``arrange``
    brings to ``[batch, head, query, d_v]``. Either ``weights`` ``[batch, head, query, key]`` as the module made them
    itself, or what a fused kernel was given: ``query`` ``[batch, head, query, d]``, ``key``
    ``[batch, kv head, key, d]``, ``mask`` (boolean, True takes part; or added to the scores; broadcast to
    ``[batch, head, query, key]``), ``causal``, ``scale``, and the row log-sum-exp ``lse`` ``[batch, head, query]``
    where the kernel returned it. ``route``: how it was heard; ``call``: in which call of the model; ``relation``: what
    the module's inputs say of the keys; ``has_dropout``: weights were dropped at random; ``projection``
    ``[width, head * d_v]``: the linear map that brings the heads together, where it was seen; ``ablated_heads`` bool
    ``[batch, head]``: heads that were switched off, which all else here is silent about; ``making``: how the scores
    came about, where that was followed.
    """

    module: str
    value: Tensor
    attn_output: Tensor
    output: Tensor | None = None
    arrange: Callable[[Tensor], Tensor] | None = None
    weights: Tensor | None = None
    query: Tensor | None = None
    key: Tensor | None = None
    mask: Tensor | None = None
    causal: bool = False
    scale: float = 1.0
    lse: Tensor | None = None
    route: str = ""
    call: int = 0
    relation: Relation = ""
    has_dropout: bool = False
    projection: Tensor | None = None
    ablated_heads: Tensor | None = None
    making: ScoreTrace | None = None
    versions: tuple[int, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "versions", self._versions())

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Batch, heads, queries, keys."""
        if self.weights is not None:
            batch, heads, queries, keys = self.weights.shape
        else:
            assert self.query is not None and self.key is not None
            batch, heads, queries, _ = self.query.shape
            keys = self.key.shape[-2]
        return batch, heads, queries, keys

    @property
    def dtype(self) -> str:
        """The precision that the model computed in."""
        tensor = self.query if self.weights is None else self.weights
        assert tensor is not None
        return str(tensor.dtype).removeprefix("torch.")

    def check_unchanged(self) -> None:
        """Raises ``CaptureError`` (``capture-changed``) where a tensor was written over after the run."""
        if self._versions() != self.versions:
            raise CaptureError("capture-changed", name=self.module)

    def _versions(self) -> tuple[int, ...]:
        kept = (self.weights, self.query, self.key, self.value, self.mask)
        return tuple(-1 if tensor is None or tensor.is_inference() else tensor._version for tensor in kept)


def with_projection(heard: AttentionCall, taken: Tensor, matrix: Tensor) -> AttentionCall:
    """``heard`` with ``matrix``, if it is applied to what its heads brought side by side; else as it was.

    That is seen from the numbers themselves: ``taken`` is ``[batch, query, head * d_v]``, or flat with the queries of
    each sample, or the samples of each query, after one another.
    """
    if heard.projection is not None or heard.attn_output.dim() != 4:
        return heard
    batch, heads, queries, _ = heard.shape
    size = heard.attn_output.shape[-1]
    if taken.shape[-1] != heads * size or taken.numel() != batch * queries * heads * size:
        return heard
    rows = checked_rows(queries)
    brought = (
        heard.attn_output
        if heard.ablated_heads is None
        else heard.attn_output.masked_fill(heard.ablated_heads[:, :, None, None], 0)
    )
    brought = brought.transpose(1, 2).flatten(2)
    for found in (taken.reshape(batch, queries, -1), taken.reshape(queries, batch, -1).transpose(0, 1)):
        if torch.equal(found[:, rows].detach(), brought):
            made = replace(heard, projection=matrix)
            object.__setattr__(made, "versions", heard.versions)  # what was written over since must stay known
            return made
    return heard
