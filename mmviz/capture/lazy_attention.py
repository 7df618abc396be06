"""Exact views of one attention, computed on demand, never more than a tile of rows at a time.

All results are float32 with sums in float64, whatever precision the model computed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmviz.capture.attention_call import AttentionCall
from mmviz.capture.head_weights_by_row_tile import (
    HeadWeights,
    RecomputedWeights,
    StoredWeights,
    row_lse,
    row_tiles,
    tile_rows,
)
from mmviz.capture.parallel_map import thread_map
from mmviz.capture.plain_torch_modes import plain_modes
from mmviz.types import MODALITIES, CaptureError, Token
from mmviz.types.token_bins import bin_sums, modality_runs

MAX_RUNS = 64
"""Runs of one modality that are summed one by one; more are summed by a matrix product in float64."""

Gradients = Mapping[int, Tensor]
"""The gradients of the output of each attention call, ``[batch, head, query, d_v]``, by the ``id`` of the call."""


@dataclass(frozen=True, eq=False)
class MapSummary:
    """The results of one pass over all weights of an attention, float32; see `mmviz.types.PooledMap`."""

    overview: NDArray[np.float32]
    """Mean weight in each bin, ``[head, bin of queries, bin of keys]``."""
    row_modality_sums: NDArray[np.float32]
    """Attention of each query to the keys of each modality, ``[head, query, 4]``."""
    column_modality_sums: NDArray[np.float32]
    """Attention to each key from the queries of each modality, ``[head, key, 4]``."""
    largest: NDArray[np.float32]
    """The largest weight, ``[head]``."""


class LazyAttention:
    """The attention weights of one recorded attention for sample ``batch``; any part is computed exactly on demand.

    Heads, queries and keys count from 0; ``head`` None stands for the mean over heads. Methods raise ``CaptureError``:
    ``capture-changed`` where the model overwrote its tensors after the run, ``view-tokens`` and ``view-head`` for
    tokens and heads that do not exist. The constructor raises ``capture-batch`` where there is no such sample.
    """

    def __init__(self, call: AttentionCall, batch: int = 0):
        self.call = call
        count, self.heads, self.queries, self.keys = call.shape
        if not 0 <= batch < count:
            raise CaptureError("capture-batch", batch=batch, count=count)
        self.batch = batch
        self.is_normalized = call.lse is not None and call.mask is None
        """Every row is known to sum to 1; with a mask, rows of fully masked queries are 0."""
        self._lse: dict[int, Tensor] = {}

    @plain_modes()
    def rows(self, queries: Sequence[int], head: int | None = None) -> NDArray[np.float32]:
        """Returns the weights with which ``queries`` attend to all keys, ``[len(queries), key]``."""
        rows = self._indices(queries, self.queries)
        return self._head_or_mean(head, lambda number: self.head(number).row_tile(rows))

    @plain_modes()
    def columns(self, keys: Sequence[int], head: int | None = None) -> NDArray[np.float32]:
        """Returns the weights with which ``keys`` are attended by all queries, ``[query, len(keys)]``."""
        columns = self._indices(keys, self.keys)
        tiles = list(row_tiles(self.queries, self.keys))
        return self._head_or_mean(head, lambda number: torch.cat(list(map(self.head(number, columns).row_tile, tiles))))

    @plain_modes()
    def zoom(
        self, query_edges: Sequence[int], key_edges: Sequence[int], head: int | None = None
    ) -> NDArray[np.float32]:  # fmt: skip
        """Returns mean weights in a window, ``[bin of queries, bin of keys]``.

        Edges ascend; edges that are 1 apart give single weights. Raises ``CaptureError`` (``view-edges``) for others.
        """
        rows, keys = checked_edges(query_edges, self.queries), checked_edges(key_edges, self.keys)
        window = slice(keys[0], keys[-1])
        columns = [edge - keys[0] for edge in keys]
        return self._head_or_mean(head, lambda number: torch.from_numpy(self._pooled(number, rows, columns, window)))

    @plain_modes()
    def full(self) -> NDArray[np.float32]:
        """Returns all weights, ``[head, query, key]``; for short inputs."""
        rows = slice(0, self.queries)
        return np.stack([_array(self.head(head).row_tile(rows)) for head in range(self.heads)])

    @plain_modes()
    def overview(self, query_edges: Sequence[int], key_edges: Sequence[int]) -> NDArray[np.float32]:
        """Returns mean weights in bins, ``[head, bin of queries, bin of keys]``; edges as for `zoom`."""
        rows, keys = checked_edges(query_edges, self.queries), checked_edges(key_edges, self.keys)
        return np.stack(thread_map(lambda head: self._pooled(head, rows, keys, None), self.heads)).astype(np.float32)

    @plain_modes()
    def modality_matrix(self, queries: Sequence[Token], keys: Sequence[Token]) -> NDArray[np.float32]:
        """Returns attention between modalities, ``[head, query modality, key modality]`` in the order of `MODALITIES`.

        An entry is the attention of a query to all keys of a modality together, mean over the queries of a modality; 0
        where there are none. Raises ``CaptureError`` (``map-tokens``) where the tokens are not as many as the queries
        and keys.
        """
        if (len(queries), len(keys)) != (self.queries, self.keys):
            shape = (self.queries, self.keys)
            raise CaptureError("map-tokens", name=self.call.module, shape=shape, expected=(len(queries), len(keys)))
        is_modality, sum_keys = modality_mask(queries).double(), _modality_sum(keys)

        def head_matrix(head: int) -> NDArray[np.float64]:
            tiles = row_tiles(self.queries, self.keys)
            sums = torch.cat([sum_keys(self.head(head).row_tile(rows).cpu()) for rows in tiles]).double()
            return (is_modality.T @ sums / is_modality.sum(0).clamp(min=1)[:, None]).numpy()

        return np.stack(thread_map(head_matrix, self.heads)).astype(np.float32)

    @plain_modes()
    def summary(
        self, query_edges: Sequence[int], key_edges: Sequence[int], queries: Sequence[Token], keys: Sequence[Token]
    ) -> MapSummary:  # fmt: skip
        """Returns the overview, the sums by modality and the largest weights, in one pass over the weights."""
        rows, columns = checked_edges(query_edges, self.queries), checked_edges(key_edges, self.keys)
        is_modality, sum_keys = modality_mask(queries), _modality_sum(keys)

        def head_summary(head: int) -> tuple[NDArray[np.float64], Tensor, Tensor, float]:
            row_sums, column_sums, largest = [], torch.zeros(len(MODALITIES), self.keys, dtype=torch.float32), 0.0

            def add_tile(tile: slice, tile_weights: Tensor) -> None:
                nonlocal largest
                weights = tile_weights.cpu()
                row_sums.append(sum_keys(weights))
                column_sums.add_(is_modality[tile].T @ weights)
                largest = max(largest, float(weights.amax()))

            overview = self._pooled(head, rows, columns, None, add_tile)
            return overview, torch.cat(row_sums), column_sums.T, largest

        parts = list(zip(*thread_map(head_summary, self.heads), strict=True))
        return MapSummary(*(np.stack([np.asarray(head, np.float32) for head in part]) for part in parts))

    def head(self, number: int, keys: slice | Tensor | None = None) -> HeadWeights:
        """Returns one head, whose weights can be had a tile of rows at a time; of some ``keys`` only, unless None."""
        self.call.check_unchanged()
        if self.call.weights is not None:
            return StoredWeights(self.call.weights[self.batch, number].detach(), keys)
        with torch.no_grad(), torch.inference_mode(False):
            return RecomputedWeights(self.call, self.batch, number, self.lse(number), keys)

    def lse(self, head: int) -> Tensor:
        """Returns the log-sum-exp of every row of one head, ``[query]``, of attention whose weights are recomputed."""
        if head not in self._lse:
            self._lse[head] = row_lse(self.call, self.batch, head)
        return self._lse[head]

    def gradient_tile(self, head: int, rows: slice, gradients: Gradients) -> Tensor:
        """Returns the gradients of the weights of some rows, ``[row, key]``: ``dA = dO V^T``, with those of the output
        of the call, ``dO``."""
        group_size = self.heads // self.call.value.shape[1]
        value = self.call.value[self.batch, head // group_size].detach().float()
        return gradients[id(self.call)][self.batch, head][rows].float() @ value.T

    def _pooled(
        self, head: int, query_edges: Sequence[int], key_edges: Sequence[int], window: slice | None,
        visit: Callable[[slice, Tensor], None] | None = None,
    ) -> NDArray[np.float64]:  # fmt: skip
        """Returns the mean weight in each bin; ``key_edges`` count from the start of ``window``.

        Rows are summed first, which leaves little to sum over keys. ``visit`` is called with every tile of rows and its
        weights ``[row, key]``.
        """
        weights = self.head(head, window)
        widths = np.diff(query_edges)
        device = self.call.value.device
        bin_of_row = torch.from_numpy(np.repeat(np.arange(len(widths)), widths)).to(device)
        count = self.keys if window is None else window.stop - window.start
        sums = torch.zeros(len(widths), count, dtype=torch.float32, device=device)
        buffer = torch.empty(tile_rows(count), count, dtype=torch.float32, device=device)
        first = query_edges[0]
        for rows in row_tiles(query_edges[-1] - first, count):
            tile = weights.row_tile(slice(rows.start + first, rows.stop + first), buffer)
            sums.index_add_(0, bin_of_row[rows], tile)
            if visit:
                visit(rows, tile)
        return np.asarray(bin_sums(sums.cpu().numpy(), key_edges, 1) / np.outer(widths, np.diff(key_edges)))

    def _head_or_mean(self, head: int | None, part: Callable[[int], Tensor]) -> NDArray[np.float32]:
        """Returns ``part`` of one head, or the mean over all heads."""
        if head is not None:
            if not 0 <= head < self.heads:
                raise CaptureError("view-head", head=head, count=self.heads)
            return _array(part(head))
        parts = [_array(tensor) for tensor in thread_map(part, self.heads)]
        return np.asarray(np.mean(parts, axis=0, dtype=np.float64), np.float32)

    def _indices(self, tokens: Sequence[int], count: int) -> Tensor:
        for token in tokens:
            if not 0 <= token < count:
                raise CaptureError("view-tokens", token=token, count=count)
        return torch.as_tensor([int(token) for token in tokens], dtype=torch.long, device=self.call.value.device)


def modality_mask(tokens: Sequence[Token]) -> Tensor:
    """Returns ``[token, 4]``: 1 where the token is of the modality, else 0, in the order of `MODALITIES`."""
    return torch.tensor([[token.modality is modality for modality in MODALITIES] for token in tokens]).float()


def _modality_sum(keys: Sequence[Token]) -> Callable[[Tensor], Tensor]:
    """Returns a function that sums rows of weights ``[row, key]`` over the keys of each modality, ``[row, 4]``.

    Runs of one modality are summed pairwise, as torch does; a float32 matrix product would add thousands of small
    weights one after another, and round them away.
    """
    runs = [(MODALITIES.index(keys[first].modality), first, last) for first, last in modality_runs(keys)]
    if len(runs) > MAX_RUNS:
        is_modality = modality_mask(keys).double()
        return lambda rows: rows.double() @ is_modality

    def sum_keys(rows: Tensor) -> Tensor:
        sums = torch.zeros(len(rows), len(MODALITIES), dtype=torch.float32)
        for modality, first, last in runs:
            sums[:, modality] += rows[:, first:last].sum(1)
        return sums

    return sum_keys


def checked_edges(edges: Sequence[int], count: int) -> list[int]:
    """Returns edges that ascend within ``count`` tokens. Raises ``CaptureError`` (``view-edges``) for others."""
    checked = [int(edge) for edge in edges]
    ascends = all(first < second for first, second in pairwise(checked))
    if len(checked) < 2 or checked[0] < 0 or checked[-1] > count or not ascends:
        raise CaptureError("view-edges", count=count)
    return checked


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(tensor.float().cpu().numpy())
