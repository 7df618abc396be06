"""One attention as it happened, still in torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from mmviz.types import CaptureError

Relation = Literal["", "cross", "cached"]
"""Keys of another stream than the queries, keys of earlier calls before those of this one, or no sign of either."""


def as_it_is(output: Tensor) -> Tensor:
    """A fused output of four dimensions is ``mixed`` already."""
    return output


@dataclass(frozen=True, eq=False)
class Heard:
    """The tensors of one attention, kept by reference and still in the graph.

    ``value`` ``[batch, kv head, key, d_v]``; ``output``: what the module went on with, which ``arrange`` brings to
    `mixed`. Either ``weights`` ``[batch, head, query, key]`` as the module made them itself, or what a fused kernel was
    given: ``query`` ``[batch, head, query, d]``, ``key`` ``[batch, kv head, key, d]``, ``mask`` (boolean, True takes
    part; or added to the scores; broadcast to ``[batch, head, query, key]``), ``causal``, ``scale``, and the row
    log-sum-exp ``lse`` ``[batch, head, query]`` where the kernel returned it. ``route``: how it was heard; ``call``: in
    which call of the model; ``relation``: what the module's inputs say of the keys; ``has_dropout``: weights were
    dropped at random.
    """

    module: str
    value: Tensor
    output: Tensor
    arrange: Callable[[Tensor], Tensor] = as_it_is
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
    def mixed(self) -> Tensor:
        """What attention made of the values, ``[batch, head, query, d_v]``."""
        return self.arrange(self.output)

    @property
    def dtype(self) -> str:
        """The precision that the model computed in."""
        tensor = self.query if self.weights is None else self.weights
        assert tensor is not None
        return str(tensor.dtype).removeprefix("torch.")

    @property
    def is_output_whole(self) -> bool:
        """Whether the output is still as attention left it."""
        return self._versions()[-1] == self.versions[-1]

    def check_unchanged(self) -> None:
        """Raises ``CaptureError`` (``capture-changed``) where a tensor was written over after the run."""
        if self._versions()[:-1] != self.versions[:-1]:
            raise CaptureError("capture-changed", name=self.module)

    def _versions(self) -> tuple[int, ...]:
        kept = (self.weights, self.query, self.key, self.value, self.mask, self.output)
        return tuple(-1 if tensor is None or tensor.is_inference() else tensor._version for tensor in kept)
