"""Attention maps, which refuse to be wrong. Axes: ``[head, query, key]``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmviz.types.errors import CaptureError
from mmviz.types.samples import frozen

TOLERANCE = {"float64": 1e-5, "float32": 1e-5, "float16": 1e-3, "bfloat16": 5e-3}


@dataclass(frozen=True)
class AttentionMap:
    """Exact attention weights of one layer, float32 ``[head, query, key]``; of a batch ``[batch, head, query, key]``.

    ``queries`` and ``keys`` name token streams of the record, so self- and cross-attention are the same type.
    ``dtype`` is the precision the model computed in. Raises ``CaptureError`` where a row does not sum to 1 (tolerance
    1e-5 for float32, 1e-3 float16, 5e-3 bfloat16), a weight is negative or not a number. A row that is 0 throughout is
    that of a query that may ask nobody.
    """

    name: str
    layer: int
    queries: str
    keys: str
    weights: NDArray[np.float32]
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.weights.ndim not in (3, 4):
            raise CaptureError("map-shape", name=self.name, shape=self.weights.shape)
        check_rows(self.name, self.weights, self.dtype)
        object.__setattr__(self, "weights", frozen(self.weights))

    @property
    def heads(self) -> int:
        return int(self.weights.shape[-3])

    @property
    def shape(self) -> tuple[int, int]:
        """How many queries and keys."""
        return int(self.weights.shape[-2]), int(self.weights.shape[-1])


def check_rows(name: str, weights: NDArray[np.float32], dtype: str) -> None:
    """Refuse ``weights`` ``[..., query, key]`` that are no attention: raises ``CaptureError`` as for `AttentionMap`."""
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise CaptureError("map-negative", name=name)
    sums = weights.sum(-1, dtype=np.float64)
    worst = float(np.abs(np.where(sums == 0, 1, sums) - 1).max(initial=0))
    if worst > TOLERANCE[dtype]:
        raise CaptureError("map-rows", name=name, worst=worst)


@dataclass(frozen=True)
class PooledMap:
    """Attention of one layer over an input too long for all its weights: exact means and sums, float32.

    ``overview`` ``[head, bin of queries, bin of keys]``: the mean weight in each bin; ``query_edges`` and ``key_edges``
    go from 0 to the number of queries and keys, ascending. ``row_modality_sums`` ``[head, query, 4]``: what each query gives to the
    keys of each modality (image, text, audio, other) together; ``column_modality_sums`` ``[head, key, 4]``: what each key gets from the
    queries of each. ``largest`` ``[head]``: the largest weight. Raises ``CaptureError`` where what a query gives does
    not sum to 1, as `AttentionMap` does.
    """

    name: str
    layer: int
    queries: str
    keys: str
    overview: NDArray[np.float32]
    query_edges: tuple[int, ...]
    key_edges: tuple[int, ...]
    row_modality_sums: NDArray[np.float32]
    column_modality_sums: NDArray[np.float32]
    largest: NDArray[np.float32]
    dtype: str = "float32"

    def __post_init__(self) -> None:
        bins = (len(self.query_edges) - 1, len(self.key_edges) - 1)
        shapes = ((self.heads, *bins), (self.heads, self.shape[0], 4), (self.heads, self.shape[1], 4), (self.heads,))
        for name, expected in zip(
            ("overview", "row_modality_sums", "column_modality_sums", "largest"), shapes, strict=True
        ):
            found = getattr(self, name)
            if found.shape != expected:
                raise CaptureError("map-shape", name=self.name, shape=found.shape)
            object.__setattr__(self, name, frozen(found))
        check_rows(self.name, self.row_modality_sums, self.dtype)

    @property
    def heads(self) -> int:
        return int(self.overview.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """How many queries and keys."""
        return self.query_edges[-1], self.key_edges[-1]

    @property
    def weights(self) -> NDArray[np.float32]:
        """Raises ``CaptureError`` (``map-long``): not all weights are there, but any part of them can be had."""
        raise CaptureError("map-long", name=self.name, queries=self.shape[0], keys=self.shape[1])
