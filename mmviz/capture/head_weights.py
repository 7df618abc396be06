"""Attention weights of one head, a tile of rows at a time: as the model made them, or recomputed from queries and keys.

``P[i, j] = exp(scale * q_i . k_j + mask - lse_i)``, with the row log-sum-exp ``lse`` of the fused kernel itself, or
computed once where the kernel gave none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from mmviz.capture.attention_call import AttentionCall
from mmviz.capture.masked_softmax import mask_scores_, masked_softmax

TILE_SIZE = 1 << 20
"""Weights in a tile, about: 64 to 512 rows, enough to be fast and few enough for the processor's cache."""
_LOG2E = math.log2(math.e)


def tile_rows(keys: int) -> int:
    """Returns the number of rows in a tile of weights for ``keys`` keys, see `TILE_SIZE`."""
    return min(max(TILE_SIZE // keys, 64), 512)


def row_tiles(count: int, keys: int) -> Iterator[slice]:
    """Yields slices that cut ``count`` rows of weights for ``keys`` keys into tiles."""
    step = tile_rows(keys)
    for first in range(0, count, step):
        yield slice(first, min(first + step, count))


class HeadWeights(Protocol):
    """The attention weights of one head."""

    def row_tile(self, rows: slice | Tensor, out: Tensor | None = None) -> Tensor:
        """Returns the weights of some rows ``[row, key]``, a float32 copy on the device of the model.

        ``out`` has as many keys and at least as many rows, and may be used for the result: allocating memory takes
        longer than filling it.
        """
        ...


class StoredWeights:
    """Weights ``[query, key]`` that the model made itself; of some ``keys`` only, unless None."""

    def __init__(self, weights: Tensor, keys: slice | Tensor | None):
        self._weights, self._keys = weights, keys

    def row_tile(self, rows: slice | Tensor, out: Tensor | None = None) -> Tensor:
        """Returns the weights of some rows, see `HeadWeights`."""
        weights = self._weights[rows]
        return (weights if self._keys is None else weights[:, self._keys]).float().clone()


class RecomputedWeights:
    """Weights that a fused kernel did not return; of some ``keys`` only, unless None.

    ``lse`` ``[query]`` is the log-sum-exp of every row in base 2. It may be None for all keys, whose softmax is then
    computed tile by tile.
    """

    def __init__(self, call: AttentionCall, batch: int, head: int, lse: Tensor | None, keys: slice | Tensor | None):
        assert call.query is not None and call.key is not None
        self._query = call.query[batch, head].detach()
        self._factor = call.scale * _LOG2E
        key = call.key[batch, head // (call.query.shape[1] // call.key.shape[1])].detach()
        mask = None if call.mask is None else call.mask.expand(*call.shape)[batch, head].detach()
        self._key_positions = torch.arange(key.shape[0], device=key.device)
        if keys is not None:
            key, self._key_positions = key[keys], self._key_positions[keys]
        self._key = key.float().contiguous().T  # read once for every tile
        self._mask, self._keys, self._lse = mask, keys, lse
        self._causal = call.causal
        self._is_finite = lse is None or bool(torch.isfinite(lse).all())

    def row_tile(self, rows: slice | Tensor, out: Tensor | None = None) -> Tensor:
        """Returns the weights of some rows, see `HeadWeights`; rows of fully masked queries are 0."""
        with torch.no_grad(), torch.inference_mode(False):
            scores = self.scores(rows, out)
            if self._lse is None:
                return masked_softmax(scores / _LOG2E)
            weights = scores.sub_(self._lse[rows, None]).exp2_()
            return weights if self._is_finite else weights.nan_to_num_(0.0)

    def scores(self, rows: slice | Tensor, out: Tensor | None = None) -> Tensor:
        """Returns the scaled and masked scores of some rows in base 2, ``[row, key]``."""
        query = self._query[rows].float() * self._factor
        scores = torch.mm(query, self._key, out=None if out is None else out[: len(query)])
        mask = None
        if self._mask is not None:
            mask = self._mask[rows] if self._keys is None else self._mask[rows][:, self._keys]
        future = None
        if self._causal:
            future = torch.arange(len(self._query), device=scores.device)[rows], self._key_positions
        return mask_scores_(scores, mask, _LOG2E, future)


def row_lse(call: AttentionCall, batch: int, head: int) -> Tensor:
    """Returns the log-sum-exp of every row in base 2, ``[query]``: the fused kernel's own, or computed here."""
    queries, keys = call.shape[2:]
    if call.lse is not None:
        return call.lse[batch, head, :queries].float() * _LOG2E
    scores = RecomputedWeights(call, batch, head, None, None).scores
    return torch.cat([torch.logsumexp(scores(rows) / _LOG2E, -1) for rows in row_tiles(queries, keys)]) * _LOG2E
