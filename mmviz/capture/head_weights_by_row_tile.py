"""Attention weights of one head, a tile of rows at a time: as the model computed them, or anew from queries and keys.

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
from mmviz.capture.compute_attention_weights import mask_scores_, masked_softmax

TILE_SIZE = 1 << 20
"""Weights in a tile, about: 64 to 512 rows, enough to be fast and few enough for the processor's cache."""
_LOG2E = math.log2(math.e)
_SMALL = 4.0
"""Log-sum-exp up to which every weight in float32 is exact to about 1e-6."""
LARGE = 64.0
"""Log-sum-exp from which the sum of a row in float32 would differ from 1 by more than 1e-5."""
_VISIBLE, _VISIBLE_IN_PART = 16.0, 8.0
"""Largest product of a weight and its row's log-sum-exp for which the weight is exact to about 2e-6: of all keys, whose
sum tells the rounding of the log-sum-exp, and of some."""
ROUNDING = 8 * 2.0**-24
"""Part of the log-sum-exp of a row by which its kernel may round, in float32 as the kernels add up."""
_SWALLOWS = 1e3
"""Size of a number in the mask from which float32 rounds the scores that it is added to by more than 1e-4."""


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
    """Weights ``[query, key]`` that the model computed itself; of some ``keys`` only, unless None."""

    def __init__(self, weights: Tensor, keys: slice | Tensor | None):
        self._weights, self._keys = weights, keys

    def row_tile(self, rows: slice | Tensor, out: Tensor | None = None) -> Tensor:
        """Returns the weights of some rows, see `HeadWeights`."""
        weights = self._weights[rows]
        return (weights if self._keys is None else weights[:, self._keys]).float().clone()


class RecomputedWeights:
    """Weights that a fused kernel did not return; of some ``keys`` only, unless None.

    ``lse`` ``[query]`` is the log-sum-exp of every row. Where its rounding could show in the weights, it is divided
    out; rows in which that of the scores could show are computed in float64, with a log-sum-exp of their own.
    """

    def __init__(self, call: AttentionCall, batch: int, head: int, lse: Tensor | None, keys: slice | Tensor | None):
        assert call.query is not None and call.key is not None
        self._query = call.query[batch, head].detach()
        self._scale = call.scale
        key = call.key[batch, head // (call.query.shape[1] // call.key.shape[1])].detach()
        mask = None if call.mask is None else call.mask.expand(*call.shape)[batch, head].detach()
        self._all_keys, self._key_positions = key, torch.arange(key.shape[0], device=key.device)
        self._all_positions = self._key_positions
        if keys is not None:
            key, self._key_positions = key[keys], self._key_positions[keys]
        self._key = key.float().contiguous().T  # read once for every tile
        self._mask, self._keys = mask, keys
        self._causal = call.causal
        self._lse2 = None if lse is None else lse.float() * _LOG2E
        self._is_finite = lse is None or bool(torch.isfinite(lse).all())
        self._magnitude = None if lse is None else row_magnitude(lse)
        self._is_exact = self._magnitude is None or float(self._magnitude.max()) <= _SMALL

    def row_tile(self, rows: slice | Tensor, out: Tensor | None = None) -> Tensor:
        """Returns the weights of some rows, see `HeadWeights`; rows of fully masked queries are 0."""
        assert self._lse2 is not None and self._magnitude is not None
        with torch.no_grad(), torch.inference_mode(False):
            weights = self.scores(rows, _LOG2E, out).sub_(self._lse2[rows, None]).exp2_()
            if not self._is_finite:
                weights.nan_to_num_(0.0)
            if self._is_exact:
                return weights
            magnitude = self._magnitude[rows]
            product = weights.amax(1) * magnitude
            if self._keys is None:
                sums = weights.sum(1)
                is_rounded = (product > _SMALL) & ((sums - 1).abs() < magnitude * ROUNDING)
                weights.div_(torch.where(is_rounded, sums, 1.0)[:, None])
            is_inexact = (magnitude > LARGE) | (product > (_VISIBLE if self._keys is None else _VISIBLE_IN_PART))
            if bool(is_inexact.any()):
                numbers = torch.arange(len(self._query), device=weights.device)[rows][is_inexact]
                exact = self.exact_rows(numbers)[0]
                weights[is_inexact] = (exact if self._keys is None else exact[:, self._keys]).to(weights)
            return weights

    def scores(self, rows: slice | Tensor, unit: float = 1.0, out: Tensor | None = None) -> Tensor:
        """Returns the scaled and masked scores of some rows in units of ``unit``, ``[row, key]``."""
        query = self._query[rows].float() * (self._scale * unit)
        scores = torch.mm(query, self._key, out=None if out is None else out[: len(query)])
        mask = None
        if self._mask is not None:
            mask = self._mask[rows] if self._keys is None else self._mask[rows][:, self._keys]
        future = None
        if self._causal:
            future = torch.arange(len(self._query), device=scores.device)[rows], self._key_positions
        return mask_scores_(scores, mask, unit, future)

    def exact_rows(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the weights ``[row, key]`` of some rows for all keys, and their log-sum-exp ``[row]``, in float64.

        A large number in the mask swallows scores, as it does in the kernel, which adds in float32.
        """
        scores = _double(self._query[rows]) @ _double(self._all_keys).T * self._scale
        mask = None if self._mask is None else self._mask[rows].to(scores.device)
        if mask is not None and mask.dtype is not torch.bool:
            swallowed = (scores.float() + mask.float()).double()
            exact = scores + mask.double()
            is_large = mask.abs() > _SWALLOWS if self._query.dtype is not torch.float64 else torch.zeros_like(mask) > 0
            scores, mask = torch.where(is_large, swallowed, exact), None
        future = (rows.to(scores.device), self._all_positions.to(scores.device)) if self._causal else None
        mask_scores_(scores, mask, future=future)
        return masked_softmax(scores), scores.logsumexp(-1)


def row_lse(call: AttentionCall, batch: int, head: int) -> Tensor:
    """Returns the log-sum-exp of every row, ``[query]``: the fused kernel's own, or computed here."""
    queries, keys = call.shape[2:]
    if call.lse is not None:
        return call.lse[batch, head, :queries]
    scores = RecomputedWeights(call, batch, head, None, None).scores
    return torch.cat([torch.logsumexp(scores(rows), -1) for rows in row_tiles(queries, keys)])


def row_magnitude(lse: Tensor) -> Tensor:
    """Returns how large the scores of rows are, by their log-sum-exp; 0 for fully masked rows."""
    return lse.float().abs().nan_to_num(0.0, posinf=0.0)


def _double(tensor: Tensor) -> Tensor:
    """Returns a tensor in float64, which Apple's GPUs lack."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()
