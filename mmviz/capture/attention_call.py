"""One attention call of a model, still in torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch
from torch import Tensor

from mmviz.capture.attention_place import AttentionPlace
from mmviz.capture.call_axes import CallAxes
from mmviz.capture.module_tracker import ModuleRun
from mmviz.capture.query_key_tokens import Operand
from mmviz.capture.score_trace import ScoreTrace
from mmviz.capture.softmax_tracker import WeightsUse
from mmviz.types import CaptureError

SHORT_SEQUENCE = 512
"""Attention of up to this many tokens is kept in full."""
CHECKED_ROWS = 64
"""Rows of longer attention whose weights are checked against the module's output."""


@lru_cache
def checked_rows(queries: int) -> tuple[int, ...]:
    """Returns the rows of an output that are checked: all of a short output, evenly spaced rows of a long output."""
    if queries <= SHORT_SEQUENCE:
        return tuple(range(queries))
    return tuple(sorted({round(row * (queries - 1) / (CHECKED_ROWS - 1)) for row in range(CHECKED_ROWS)}))


@dataclass(frozen=True, eq=False)
class AttentionCall:
    """The tensors of one attention call, kept by reference and still in the graph.

    It has either ``weights``, as eager attention computed them, or ``query`` and ``key`` (with ``mask``, ``causal``,
    ``scale`` and ``lse``), as a fused kernel was given them.
    """

    module: str
    """The path of the module that ran the attention."""
    value: Tensor
    """``[batch, kv head, key, d_v]``."""
    attn_output: Tensor
    """A copy of the attention output before the heads are joined, at the rows `checked_rows`:
    ``[batch, head, row, d_v]``. Ablated heads are not set to 0 here."""
    output: Tensor | None = None
    """The attention output itself, where it requires gradients; empty once the graph is released."""
    arrange: Callable[[Tensor], Tensor] | None = None
    """Brings ``output`` to ``[batch, head, query, d_v]``."""
    weights: Tensor | None = None
    """``[batch, head, query, key]``."""
    query: Tensor | None = None
    """``[batch, head, query, d]``."""
    key: Tensor | None = None
    """``[batch, kv head, key, d]``."""
    mask: Tensor | None = None
    """Boolean (True takes part) or added to the scores; broadcasts to ``[batch, head, query, key]``."""
    causal: bool = False
    """Whether a query attends only to keys up to its own position."""
    scale: float = 1.0
    """Factor of the scores."""
    lse: Tensor | None = None
    """Log-sum-exp of each row, ``[batch, head, query]``, where the kernel returned it."""
    route: str = ""
    """How the attention was captured, see `mmviz.capture.recorder`."""
    call: int = 0
    """The number of the model call that it belongs to."""
    place: AttentionPlace = ("", 0)
    """Which attention of that call it is."""
    weights_use: WeightsUse | None = None
    """How the model came from a softmax to the weights, where it computed them itself."""
    emptied: Tensor | None = None
    """Queries that blocked pairs leave with nothing to attend to in any head, bool ``[batch, query]``; None where
    nothing is blocked, see `mmviz.capture.blocked_pairs`."""
    axes: CallAxes | None = None
    """How the axes of the model's own tensors were told apart."""
    runs: tuple[ModuleRun, ...] = ()
    """The modules that ran, the innermost last."""
    queries_from: Operand | None = None
    """Where the queries come from, where that is known."""
    keys_from: Operand | None = None
    """Where the keys come from."""
    has_dropout: bool = False
    """Whether weights were dropped at random."""
    absorbed_by: str = ""
    """What may take a share of the rows, see `mmviz.AttentionMap.absorbed_by`; "" where nothing does."""
    projection: Tensor | None = None
    """Weight of the linear map that joins the heads, ``[width, head * d_v]``, where one was seen."""
    ablated_heads: Tensor | None = None
    """Heads that were ablated, bool ``[batch, head]``."""
    score_trace: ScoreTrace | None = None
    """How the scores were computed, where that was traced."""
    versions: tuple[int, ...] = field(default=(), init=False)
    """Version counters of the tensors at the time of the call."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "versions", self._versions())

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Numbers of samples, heads, queries and keys."""
        if self.weights is not None:
            batch, heads, queries, keys = self.weights.shape
        else:
            assert self.query is not None and self.key is not None
            batch, heads, queries, _ = self.query.shape
            keys = self.key.shape[-2]
        return batch, heads, queries, keys

    @property
    def dtype(self) -> str:
        """The precision that the attention was computed in, such as ``"float32"``."""
        tensor = self.query if self.weights is None else self.weights
        assert tensor is not None
        return str(tensor.dtype).removeprefix("torch.")

    def joined_heads(self, samples: slice = slice(None)) -> Tensor:
        """Returns what the model passes on: the heads side by side, ablated heads 0, ``[batch, row, head * d_v]``."""
        heads = self.attn_output[samples]
        if self.ablated_heads is not None:
            ablated = self.ablated_heads if len(self.ablated_heads) == 1 else self.ablated_heads[samples]
            heads = heads.masked_fill(ablated[:, :, None, None], 0)
        return heads.transpose(1, 2).flatten(2)

    def check_unchanged(self) -> None:
        """Raises ``CaptureError`` (``capture-changed``) where a tensor was overwritten after the call."""
        if self._versions() != self.versions:
            raise CaptureError("capture-changed", name=self.module)

    def release_graph(self) -> None:
        """Lets go of the model's graph, and of all activations in it; the numbers that are kept stay as they are.

        Gradients of what the model computed can no longer be had from this call.
        """
        for name in ("weights", "query", "key", "value", "mask", "lse", "projection"):
            tensor = getattr(self, name)
            if tensor is not None:  # detached, it still shares the version counter of what the model may overwrite
                object.__setattr__(self, name, tensor.detach())
        if self.output is not None:
            object.__setattr__(self, "output", self.output.detach().new_empty(0))

    def _versions(self) -> tuple[int, ...]:
        tensors = (self.weights, self.query, self.key, self.value, self.mask)
        return tuple(-1 if tensor is None or tensor.is_inference() else tensor._version for tensor in tensors)


def with_projection(attention: AttentionCall, linear_input: Tensor, weight: Tensor) -> AttentionCall:
    """Returns ``attention`` with ``weight`` as its projection, if the linear map was applied to its joined heads.

    That is decided by comparing numbers: ``linear_input`` is ``[batch, query, head * d_v]``, or flat with the queries
    of each sample, or the samples of each query, one after another. Otherwise returns ``attention`` itself.
    """
    if attention.projection is not None or attention.attn_output.dim() != 4:
        return attention
    _, heads, _, size = attention.attn_output.shape
    if linear_input.shape[-1] != heads * size or linear_input.is_meta or linear_input.is_nested:
        return attention
    batch, _, queries, _ = attention.shape
    if linear_input.numel() != batch * queries * heads * size:
        return attention
    rows = checked_rows(queries)
    first = slice(1)  # tells other linear maps apart, without a look at the whole batch
    linear_input = linear_input.detach()  # so that the model's graph keeps no tensor more
    for tokens in (linear_input.reshape(batch, queries, -1), linear_input.reshape(queries, batch, -1).transpose(0, 1)):
        if torch.equal(tokens[first, rows], attention.joined_heads(first)) and torch.equal(
            tokens[:, rows], attention.joined_heads()
        ):
            projected = replace(attention, projection=weight)
            # the versions of the call: what was overwritten since must stay known
            object.__setattr__(projected, "versions", attention.versions)
            return projected
    return attention
