"""Attention maps, which are checked when they are created. Axes: ``[head, query, key]``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmviz.types.errors import CaptureError
from mmviz.types.frozen import ValueSemantics, read_only
from mmviz.types.short_repr import ShortRepr, call_repr, short

TOLERANCE = {"float64": 1e-5, "float32": 1e-5, "float16": 1e-3, "bfloat16": 5e-3}
"""How far the sum of a row may be from 1, by the precision that the model computed in."""


@dataclass(frozen=True, eq=False, repr=False)
class AttentionMap(ShortRepr, ValueSemantics):
    """The exact attention weights of one attention call.

    Every row of ``weights`` sums to 1, or to less where ``absorbed_by`` says what takes the rest. The row of a fully
    masked query is all zero.

    Raises ``CaptureError``: ``map-shape`` for other than three or four axes, ``map-rows`` where a row sums to neither 1
    nor 0 (see `TOLERANCE`; with ``absorbed_by`` to more than 1), ``map-negative`` for a weight that is negative or not
    finite, ``map-dtype`` for an unknown ``dtype``.
    """

    name: str
    """Path of the attention module, such as ``encoder.layers.0.self_attn``."""
    layer: int
    """Index of the layer within its stack, from 0."""
    queries: str
    """Name of the token stream of the queries, a key of ``AttentionRecord.streams``."""
    keys: str
    """Name of the token stream of the keys; the same as ``queries`` for self-attention."""
    weights: NDArray[np.float32]
    """float32 ``[head, query, key]``, or ``[batch, head, query, key]`` for several samples, read-only."""
    dtype: str = "float32"
    """Precision that the model computed in, a key of `TOLERANCE`."""
    stack: str = ""
    """The run of layers that the map belongs to: the path of its repeated module without the layer's number, such as
    ``vision_model.encoder.layers.self_attn``; "" where a model has a single stack."""
    call: int = 0
    """The call of the model, from 0: a step of ``generate`` is a call."""
    absorbed_by: str = ""
    """What takes a share of the rows, so that they may sum to less than 1: "sink" for a score that belongs to no token,
    "mask" for weights that the model itself sets to 0 after the softmax, "padding" for what fills a window up; "" where
    nothing does."""
    windows: tuple[int, ...] = ()
    """The window, packed picture or packed sound that each token belongs to, from 0, where attention runs within
    windows of a stream: tokens of different windows do not attend to each other. Empty where it runs over all."""
    keys_state: int | None = None
    """The number of maps of the record that had run when its keys were read, where a later one has updated them before
    this map ran, as in co-attention; None where they are the current tokens."""

    def __post_init__(self) -> None:
        if self.weights.ndim not in (3, 4):
            raise CaptureError("map-shape", name=self.name, shape=self.weights.shape)
        object.__setattr__(self, "weights", read_only(self.weights))
        check_rows(self.name, self.weights, self.dtype, self.absorbed_by)

    @property
    def heads(self) -> int:
        """Number of heads."""
        return int(self.weights.shape[-3])

    @property
    def shape(self) -> tuple[int, int]:
        """Number of queries and number of keys."""
        return int(self.weights.shape[-2]), int(self.weights.shape[-1])


def check_rows(name: str, weights: NDArray[np.float32], dtype: str, absorbed_by: str = "") -> None:
    """Checks that the rows of ``weights`` ``[..., query, key]`` are attention; ``absorbed_by`` as in `AttentionMap`.

    Raises ``CaptureError`` (``map-dtype``, ``map-negative``, ``map-rows``) as `AttentionMap` does.
    """
    if dtype not in TOLERANCE:
        raise CaptureError("map-dtype", name=name, dtype=dtype, known=", ".join(TOLERANCE))
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise CaptureError("map-negative", name=name)
    sums = weights.sum(-1, dtype=np.float64)
    excess = np.where(sums == 0, 1, sums) - 1
    worst = float((excess if absorbed_by else np.abs(excess)).max(initial=0))
    if worst > TOLERANCE[dtype]:
        raise CaptureError("map-rows", name=name, worst=worst)


@dataclass(frozen=True, eq=False, repr=False)
class PooledMap(ShortRepr, ValueSemantics):
    """The attention of one layer over an input that is too long to hold all weights: exact means and sums.

    Raises ``CaptureError``: ``map-shape`` where the arrays do not fit together, and as `AttentionMap` where the sums of
    a query over all modalities are not those of a row of attention.
    """

    name: str
    """Path of the attention module."""
    layer: int
    """Index of the layer within its stack, from 0."""
    queries: str
    """Name of the token stream of the queries."""
    keys: str
    """Name of the token stream of the keys."""
    overview: NDArray[np.float32]
    """float32 ``[head, query bin, key bin]``: the mean weight in each bin."""
    query_edges: tuple[int, ...]
    """Edges of the bins of queries, ascending from 0 to the number of queries."""
    key_edges: tuple[int, ...]
    """Edges of the bins of keys, ascending from 0 to the number of keys."""
    row_modality_sums: NDArray[np.float32]
    """float32 ``[head, query, 4]``: sum of each query's weights over the keys of each modality, in the order of
    `MODALITIES`."""
    column_modality_sums: NDArray[np.float32]
    """float32 ``[head, key, 4]``: sum of the weights on each key over the queries of each modality."""
    largest: NDArray[np.float32]
    """float32 ``[head]``: the largest weight of each head."""
    dtype: str = "float32"
    """Precision that the model computed in."""
    stack: str = ""
    """See `AttentionMap.stack`."""
    call: int = 0
    """See `AttentionMap.call`."""
    absorbed_by: str = ""
    """See `AttentionMap.absorbed_by`."""
    windows: tuple[int, ...] = ()
    """See `AttentionMap.windows`."""
    keys_state: int | None = None
    """See `AttentionMap.keys_state`."""

    def __repr__(self) -> str:
        queries, keys = self.shape
        sizes = {"layer": self.layer, "heads": self.heads, "queries": queries, "keys": keys}
        return call_repr(self, f"name={short(self.name)}", *(f"{name}={size}" for name, size in sizes.items()))

    def __post_init__(self) -> None:
        for name in ("query_edges", "key_edges"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        bins = (len(self.query_edges) - 1, len(self.key_edges) - 1)
        shapes = {
            "overview": (self.heads, *bins),
            "row_modality_sums": (self.heads, self.shape[0], 4),
            "column_modality_sums": (self.heads, self.shape[1], 4),
            "largest": (self.heads,),
        }
        for name, expected in shapes.items():
            array = getattr(self, name)
            if array.shape != expected:
                raise CaptureError("map-shape", name=self.name, shape=array.shape)
            object.__setattr__(self, name, read_only(array))
        check_rows(self.name, self.row_modality_sums, self.dtype, self.absorbed_by)

    @property
    def heads(self) -> int:
        """Number of heads."""
        return int(self.overview.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """Number of queries and number of keys."""
        return self.query_edges[-1], self.key_edges[-1]

    @property
    def weights(self) -> NDArray[np.float32]:
        """Raises ``CaptureError`` (``map-long``): the map does not hold all weights. `Run.view` computes any part."""
        raise CaptureError("map-long", name=self.name, queries=self.shape[0], keys=self.shape[1])
