"""Exact views of one attention, worked out when they are looked at: never more than a strip of rows at once.

``P[i, j] = exp(scale * q_i . k_j + mask - lse_i)`` with the row log-sum-exp of the kernel itself, or worked out once
where the kernel gave none. All results are float32 (float64 sums), whatever precision the model computed in.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmviz.capture.call import AttentionCall
from mmviz.types import CaptureError, Modality, Token

TILE = 1 << 20
"""About so many weights are worked out at once, 64 to 512 rows: many enough to be quick, few enough for the cache."""
FEW = 64
"""Up to so many stretches of one modality are summed one by one."""
KINDS = (Modality.IMAGE, Modality.TEXT, Modality.AUDIO, Modality.SPECIAL)
_LOG2E = math.log2(math.e)
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class MapSummary:
    """All that one pass over the weights gives, see `mmviz.types.LongMap`."""

    overview: NDArray[np.float32]
    row_modality_sums: NDArray[np.float32]
    column_modality_sums: NDArray[np.float32]
    largest: NDArray[np.float32]


class LazyAttention:
    """The weights of one ``heard`` attention for sample ``batch``: any part of them, exact, without all of them.

    Heads, queries and keys count from 0; ``head`` None stands for the mean over the heads. Tensors that the model wrote
    over after the run raise ``CaptureError`` (``capture-changed``), tokens that are not there (``view-tokens``).
    """

    def __init__(self, heard: AttentionCall, batch: int = 0):
        self.heard = heard
        count, self.heads, self.queries, self.keys = heard.shape
        if not 0 <= batch < count:
            raise CaptureError("capture-batch", batch=batch, count=count)
        self.batch = batch
        self.is_whole = heard.lse is not None and heard.mask is None
        """Every row is known to sum to 1: a mask may leave a query nobody to ask."""
        self._sums: dict[int, Tensor] = {}

    def rows(self, chosen: Sequence[int], head: int | None = None) -> NDArray[np.float32]:
        """What these queries give, ``[len(chosen), key]``."""
        rows = self._indices(chosen, self.queries)
        return self._mean(head, lambda one: self.head(one).strip(rows))

    def columns(self, chosen: Sequence[int], head: int | None = None) -> NDArray[np.float32]:
        """What these keys get, ``[query, len(chosen)]``."""
        keys = self._indices(chosen, self.keys)
        every = list(row_tiles(self.queries, self.keys))
        return self._mean(head, lambda one: torch.cat(list(map(self.head(one, keys).strip, every))))

    def zoom(
        self, query_edges: Sequence[int], key_edges: Sequence[int], head: int | None = None
    ) -> NDArray[np.float32]:
        """Mean weights in a window, ``[bin of queries, bin of keys]``; edges ascend, and a token apart give weights."""
        rows, keys = _within(query_edges, self.queries), _within(key_edges, self.keys)
        window = slice(keys[0], keys[-1])
        offsets = [edge - keys[0] for edge in keys]
        return self._mean(head, lambda one: torch.from_numpy(self._pooled(one, rows, offsets, window)))

    def full(self) -> NDArray[np.float32]:
        """Everything, ``[head, query, key]``; for short inputs."""
        every = slice(0, self.queries)
        return np.stack([_out(self.head(head).strip(every)) for head in range(self.heads)])

    def overview(self, query_edges: Sequence[int], key_edges: Sequence[int]) -> NDArray[np.float32]:
        """Mean weights in uneven bins, ``[head, bin of queries, bin of keys]``; edges ascend, from 0 to all tokens."""
        rows, keys = _within(query_edges, self.queries), _within(key_edges, self.keys)
        return np.stack(each(lambda head: self._pooled(head, rows, keys, None), self.heads)).astype(np.float32)

    def modality_matrix(self, queries: Sequence[Token], keys: Sequence[Token]) -> NDArray[np.float32]:
        """Attention between modalities, ``[head, asking, asked]`` in the order image, text, audio, other: what a query
        gives to all keys of a modality together, mean over the queries; 0 where there are none.

        Raises ``CaptureError`` (``map-tokens``) where the tokens are not as many as the queries and keys.
        """
        if (len(queries), len(keys)) != (self.queries, self.keys):
            shape = (self.queries, self.keys)
            raise CaptureError("map-tokens", name=self.heard.module, shape=shape, expected=(len(queries), len(keys)))
        asking, sums = members(queries).double(), _sums_of(keys)

        def of(head: int) -> NDArray[np.float64]:
            row_modality_sums = [sums(self.head(head).strip(rows).cpu()) for rows in row_tiles(self.queries, self.keys)]
            return (asking.T @ torch.cat(row_modality_sums).double() / asking.sum(0).clamp(min=1)[:, None]).numpy()

        return np.stack(each(of, self.heads)).astype(np.float32)

    def survey(
        self, query_edges: Sequence[int], key_edges: Sequence[int], queries: Sequence[Token], keys: Sequence[Token]
    ) -> MapSummary:
        """The overview, the sums by modality and the largest weights, in one pass over the weights."""
        rows, columns = _within(query_edges, self.queries), _within(key_edges, self.keys)
        asking, sums = members(queries), _sums_of(keys)

        def of(head: int) -> tuple[NDArray[np.float64], Tensor, Tensor, float]:
            row_modality_sums, column_modality_sums, largest = [], torch.zeros(4, self.keys), 0.0

            def also(rows: slice, made: Tensor) -> None:
                nonlocal largest
                here = made.cpu()
                row_modality_sums.append(sums(here))
                column_modality_sums.add_(asking[rows].T @ here)
                largest = max(largest, float(here.amax()))

            return (
                self._pooled(head, rows, columns, None, also),
                torch.cat(row_modality_sums),
                column_modality_sums.T,
                largest,
            )

        parts = list(zip(*each(of, self.heads), strict=True))
        overview, row_modality_sums, column_modality_sums, largest = (
            np.stack([np.asarray(one, np.float32) for one in part]) for part in parts
        )
        return MapSummary(overview, row_modality_sums, column_modality_sums, largest)

    def head(self, number: int, keys: slice | Tensor | None = None) -> HeadWeights:
        """One head, ready to give its weights; of some keys only."""
        self.heard.check_unchanged()
        if self.heard.weights is not None:
            return StoredWeights(self.heard.weights[self.batch, number].detach(), keys)
        with torch.no_grad(), torch.inference_mode(False):
            if number not in self._sums and (keys is not None or self.heard.lse is not None):
                self._sums[number] = self._row_sums(number)
            return RecomputedWeights(self.heard, self.batch, number, self._sums.get(number), keys)

    def gradient_strip(self, head: int, rows: slice, gradient: Tensor) -> Tensor:
        """Gradients of the weights of some rows, ``[row, key]``, from those of `AttentionCall.attn_output` for this sample,
        ``gradient`` ``[head, query, d_v]``: ``dA = dmixed V^T``."""
        shared = self.heads // self.heard.value.shape[1]
        value = self.heard.value[self.batch, head // shared].detach().float()
        return gradient[head][rows].float() @ value.T

    def _pooled(
        self, head: int, query_edges: Sequence[int], key_edges: Sequence[int], window: slice | None,
        also: Callable[[slice, Tensor], None] | None = None,
    ) -> NDArray[np.float64]:  # fmt: skip
        """Mean weights in each bin: rows are summed first, which leaves little to sum by keys."""
        ready = self.head(head, window)
        widths = np.diff(query_edges)
        device = self.heard.value.device
        bins = torch.from_numpy(np.repeat(np.arange(len(widths)), widths)).to(device)
        count = self.keys if window is None else window.stop - window.start
        sums = torch.zeros(len(widths), count, device=device)
        room = torch.empty(rows_at_once(count), count, device=device)
        first = query_edges[0]
        for rows in row_tiles(query_edges[-1] - first, count):
            made = ready.strip(slice(rows.start + first, rows.stop + first), room)
            sums.index_add_(0, bins[rows], made)
            if also:
                also(rows, made)
        found = np.add.reduceat(sums.cpu().numpy(), np.asarray(key_edges[:-1]), axis=1, dtype=np.float64)
        return np.asarray(found / np.outer(widths, np.diff(key_edges)))

    def _mean(self, head: int | None, part: Callable[[int], Tensor]) -> NDArray[np.float32]:
        """One head, or the mean over all."""
        if head is not None:
            if not 0 <= head < self.heads:
                raise CaptureError("view-head", head=head, count=self.heads)
            return _out(part(head))
        return np.asarray(np.mean([_out(one) for one in each(part, self.heads)], axis=0, dtype=np.float64), np.float32)

    def _indices(self, chosen: Sequence[int], count: int) -> Tensor:
        for one in chosen:
            if not 0 <= one < count:
                raise CaptureError("view-tokens", token=one, count=count)
        return torch.as_tensor([int(one) for one in chosen], dtype=torch.long, device=self.heard.value.device)

    def _row_sums(self, head: int) -> Tensor:
        """The log-sum-exp of every row, in base 2: the kernel's, or worked out."""
        if self.heard.lse is not None:
            return self.heard.lse[self.batch, head, : self.queries].float() * _LOG2E
        scores = RecomputedWeights(self.heard, self.batch, head, None, None).scores
        every = row_tiles(self.queries, self.keys)
        return torch.cat([torch.logsumexp(scores(rows) / _LOG2E, -1) for rows in every]) * _LOG2E


class HeadWeights(Protocol):
    """One head that gives weights."""

    def strip(self, rows: slice | Tensor, out: Tensor | None = None) -> Tensor:
        """Weights of some rows, ``[row, key]``, float32 on the device where the model ran; a copy. ``out``: room for as
        many rows and keys or more rows, which may be used: to make room anew takes longer than to fill it."""
        ...


class StoredWeights:
    """Weights that the model made itself."""

    def __init__(self, weights: Tensor, keys: slice | Tensor | None):
        self._weights, self._keys = weights, keys

    def strip(self, rows: slice | Tensor, out: Tensor | None = None) -> Tensor:
        """Weights of some rows."""
        found = self._weights[rows]
        return (found if self._keys is None else found[:, self._keys]).float().clone()


class RecomputedWeights:
    """Weights that a kernel kept to itself: ``sums`` the log-sum-exp of all rows in base 2, None for all keys where it
    is not known."""

    def __init__(self, heard: AttentionCall, batch: int, head: int, sums: Tensor | None, keys: slice | Tensor | None):
        assert heard.query is not None and heard.key is not None
        self._query = heard.query[batch, head].detach()
        self._factor = heard.scale * _LOG2E
        key = heard.key[batch, head // (heard.query.shape[1] // heard.key.shape[1])].detach()
        mask = None if heard.mask is None else heard.mask.expand(*heard.shape)[batch, head].detach()
        self._columns = torch.arange(key.shape[0], device=key.device)
        if keys is not None:
            key, self._columns = key[keys], self._columns[keys]
        self._key = key.float().contiguous().T  # it is read once for every strip
        self._mask, self._keys, self._sums = mask, keys, sums
        self._causal = heard.causal
        self._is_finite = sums is None or bool(torch.isfinite(sums).all())

    def strip(self, rows: slice | Tensor, out: Tensor | None = None) -> Tensor:
        """Weights of some rows; a query that may ask nobody gives nothing."""
        with torch.no_grad(), torch.inference_mode(False):
            scores = self.scores(rows, out)
            if self._sums is None:
                return torch.softmax(scores / _LOG2E, -1).nan_to_num_(0.0)
            made = scores.sub_(self._sums[rows, None]).exp2_()
            return made if self._is_finite else made.nan_to_num_(0.0)

    def scores(self, rows: slice | Tensor, out: Tensor | None = None) -> Tensor:
        """Scaled and masked scores in base 2; a key that takes no part has minus infinity."""
        query = self._query[rows].float() * self._factor
        scores = torch.mm(query, self._key, out=None if out is None else out[: len(query)])
        if self._mask is not None:
            part = self._mask[rows] if self._keys is None else self._mask[rows][:, self._keys]
            if part.dtype is torch.bool:
                scores.masked_fill_(~part, -math.inf)
            else:
                scores.add_(part, alpha=_LOG2E)
        if self._causal:
            first = torch.arange(len(self._query), device=scores.device)[rows]
            scores.masked_fill_(self._columns > first[:, None], -math.inf)
        return scores


def members(tokens: Sequence[Token]) -> Tensor:
    """``[token, 4]``: 1 where the token is of the modality, in the order of `KINDS`."""
    return torch.tensor([[token.modality is kind for kind in KINDS] for token in tokens], dtype=torch.float32)


def _sums_of(tokens: Sequence[Token]) -> Callable[[Tensor], Tensor]:
    """What rows ``[row, key]`` give to the keys of each modality, ``[row, 4]``.

    Stretches of one modality are summed in pairs; a matrix product would add thousands of small weights one to another,
    and round them away.
    """
    kinds = [KINDS.index(token.modality) for token in tokens]
    ends = [k for k in range(1, len(kinds) + 1) if k == len(kinds) or kinds[k] != kinds[k - 1]]
    stretches = list(zip([0, *ends], ends, strict=False))
    if len(stretches) > FEW:
        asked = members(tokens).double()
        return lambda rows: rows.double() @ asked

    def sums(rows: Tensor) -> Tensor:
        found = torch.zeros(len(rows), len(KINDS))
        for first, last in stretches:
            found[:, kinds[first]] += rows[:, first:last].sum(1)
        return found

    return sums


def rows_at_once(keys: int) -> int:
    """How many rows of weights for ``keys`` keys are worked out at once, see `TILE`."""
    return min(max(TILE // keys, 64), 512)


def row_tiles(count: int, keys: int) -> Iterator[slice]:
    """``count`` rows of weights for ``keys`` keys, as many at a time as are worked out at once."""
    step = rows_at_once(keys)
    for first in range(0, count, step):
        yield slice(first, min(first + step, count))


def _within(edges: Sequence[int], count: int) -> list[int]:
    """Edges that ascend within ``count`` tokens. Raises ``CaptureError`` (``view-edges``) for others."""
    found = [int(edge) for edge in edges]
    if len(found) < 2 or found[0] < 0 or found[-1] > count or any(one >= other for one, other in pairwise(found)):
        raise CaptureError("view-edges", count=count)
    return found


def each(work: Callable[[int], T], count: int) -> list[T]:
    """``work(k)`` for k from 0 to ``count``, spread over threads of which each computes alone.

    Small tiles on several torch threads at once wait for each other more than they compute.
    """
    return list(_workers(torch.get_num_threads()).map(work, range(count)))


@cache
def _workers(count: int) -> ThreadPoolExecutor:
    together = threading.Barrier(count + 1)

    def alone() -> None:
        torch.set_num_threads(1)
        together.wait()

    pool = ThreadPoolExecutor(count, "mmviz-exact", initializer=alone)
    for _ in range(count):
        pool.submit(together.wait)
    together.wait()
    torch.set_num_threads(count)  # what the threads to come begin with, which the workers have changed
    together.wait()
    return pool


def _out(weights: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(weights.float().cpu().numpy())
