"""Exact views of one attention, worked out when they are looked at: never more than a strip of rows at once.

``P[i, j] = exp(scale * q_i . k_j + mask - lse_i)`` with the row log-sum-exp of the kernel itself, or worked out once
where the kernel gave none. All results are float32 (float64 sums), whatever precision the model computed in.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmviz.capture.heard import Heard

STRIP = 256
"""Rows that are worked out at once."""
_LOG2E = math.log2(math.e)
T = TypeVar("T")


class Exact:
    """The weights of one ``heard`` attention for batch ``row``: any part of them, exact, without all of them."""

    def __init__(self, heard: Heard, row: int = 0):
        self.heard = heard
        _, self.heads, self.queries, self.keys = heard.shape
        self.row = row
        self._lse: dict[int, Tensor] = {}

    def rows(self, head: int, chosen: Sequence[int]) -> NDArray[np.float32]:
        """``[len(chosen), key]``: what these queries give."""
        return _out(self._strip(head, torch.as_tensor(chosen, dtype=torch.long)))

    def columns(self, head: int, chosen: Sequence[int]) -> NDArray[np.float32]:
        """``[query, len(chosen)]``: what these keys get."""
        keys = torch.as_tensor(chosen, dtype=torch.long)
        parts = [self._strip(head, rows, keys) for rows in _strips(self.queries)]
        return _out(torch.cat(parts))

    def zoom(self, head: int, queries: slice, keys: slice) -> NDArray[np.float32]:
        """``[query, key]`` within two slices."""
        rows = torch.arange(self.queries)[queries]
        return _out(self._strip(head, rows, torch.arange(self.keys)[keys]))

    def full(self) -> NDArray[np.float32]:
        """``[head, query, key]``: everything; for short inputs."""
        every = torch.arange(self.queries)
        return np.stack([_out(self._strip(head, every)) for head in range(self.heads)])

    def overview(self, query_edges: Sequence[int], key_edges: Sequence[int]) -> NDArray[np.float32]:
        """``[head, bin of queries, bin of keys]``: the mean weight in each bin, for uneven bins.

        ``query_edges`` and ``key_edges`` go from 0 to the number of queries and keys, ascending.
        """
        found = np.stack(each_head(lambda head: self._pooled(head, query_edges, key_edges), self.heads))
        area = np.outer(np.diff(query_edges), np.diff(key_edges))
        return np.asarray(found / area, dtype=np.float32)

    def _pooled(self, head: int, query_edges: Sequence[int], key_edges: Sequence[int]) -> NDArray[np.float64]:
        """Sums of the weights in each bin: rows are summed first, which leaves little to sum by keys."""
        found = np.zeros((len(query_edges) - 1, len(key_edges) - 1))
        for at, (first, after) in enumerate(pairwise(query_edges)):
            total = torch.zeros(self.keys, dtype=torch.float64, device=self.heard.value.device)
            for rows in _strips(after - first):
                total += self._strip(head, rows + first).sum(0, dtype=torch.float64)
            found[at] = np.add.reduceat(total.cpu().numpy(), np.asarray(key_edges[:-1]))
        return found

    def _strip(self, head: int, rows: Tensor, keys: Tensor | None = None) -> Tensor:
        """Weights of some rows, ``[row, key]`` or ``[row, len(keys)]``, on the device where the model ran."""
        heard = self.heard
        heard.check_unchanged()
        with torch.no_grad(), torch.inference_mode(False):
            rows = rows.to(heard.value.device)
            if heard.weights is not None:
                made = heard.weights[self.row, head].detach()[rows]
                return (made if keys is None else made[:, keys.to(made.device)]).float()
            lse = self._row_sums(head)
            if lse is None and keys is not None:
                if head not in self._lse:
                    self._lse[head] = self._all_sums(head)
                lse = self._lse[head]
            scores = self._scores(head, rows, keys)
            if lse is None:
                return _softmax(scores)
            return torch.exp2(scores.sub_(lse[rows, None]).mul_(_LOG2E)).nan_to_num_(0.0)

    def _scores(self, head: int, rows: Tensor, keys: Tensor | None) -> Tensor:
        """Scaled and masked scores in float32; a key that takes no part has minus infinity."""
        heard = self.heard
        assert heard.query is not None and heard.key is not None
        shared = heard.query.shape[1] // heard.key.shape[1]
        query = heard.query[self.row, head][rows].float() * heard.scale
        key = heard.key[self.row, head // shared]
        if keys is not None:
            key = key[keys.to(key.device)]
        scores = query @ key.float().T
        columns = torch.arange(self.keys, device=scores.device) if keys is None else keys.to(scores.device)
        if heard.mask is not None:
            mask = heard.mask.expand(*heard.shape)[self.row, head]
            part = mask[rows] if keys is None else mask[rows][:, columns]
            scores = scores.masked_fill_(~part, -math.inf) if part.dtype is torch.bool else scores.add_(part.float())
        if heard.causal:
            scores.masked_fill_(columns[None] > rows[:, None], -math.inf)
        return scores

    def _row_sums(self, head: int) -> Tensor | None:
        return None if self.heard.lse is None else self.heard.lse[self.row, head, : self.queries].float()

    def _all_sums(self, head: int) -> Tensor:
        """The log-sum-exp of every row, where no kernel gave it."""
        parts = [torch.logsumexp(self._scores(head, rows.to(self.heard.value.device), None), -1)
                 for rows in _strips(self.queries)]  # fmt: skip
        return torch.cat(parts)


def each_head(work: Callable[[int], T], heads: int) -> list[T]:
    """``work(head)`` for every head, spread over threads of which each computes alone.

    Small tiles on several torch threads at once wait for each other more than they compute.
    """
    return list(_workers(torch.get_num_threads()).map(work, range(heads)))


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


def _strips(count: int) -> Iterator[Tensor]:
    for first in range(0, count, STRIP):
        yield torch.arange(first, min(first + STRIP, count))


def _softmax(scores: Tensor) -> Tensor:
    """A query that may ask nobody gives nothing."""
    return torch.softmax(scores, -1).nan_to_num_(0.0)


def _out(weights: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(weights.float().cpu().numpy())
