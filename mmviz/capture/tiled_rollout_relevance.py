"""Products of a few rows or columns with what one attention adds to a flow, without a matrix ``[query, key]``.

Every function splits the rows of an attention into tiles and the tiles among threads. Results are float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from mmviz.capture.head_weights_by_row_tile import row_tiles, tile_rows
from mmviz.capture.lazy_attention import Gradients, LazyAttention
from mmviz.capture.parallel_map import thread_map

T = TypeVar("T")
TileSum = Callable[[slice, "ScratchBuffer"], Tensor]
"""Returns the sum over heads of the weights of some rows, ``[row, key]``."""


class ScratchBuffer:
    """Memory in which one thread computes tile after tile: allocating it anew takes longer than filling it."""

    def __init__(self) -> None:
        self._tensor = torch.empty(0, dtype=torch.float32)

    def for_rows(self, rows: int, layer: LazyAttention) -> tuple[Tensor, Tensor]:
        """Returns two tensors ``[row, key]``, on the device of the model."""
        device = layer.call.value.device
        shape = (2, tile_rows(layer.keys), layer.keys)
        if self._tensor.device != device or self._tensor.shape != shape:
            self._tensor = torch.empty(shape, dtype=torch.float32, device=device)
        return self._tensor[0, :rows], self._tensor[1, :rows]


def rollout_row_products(layer: LazyAttention, carried: Tensor) -> tuple[Tensor, Tensor]:
    """Returns what rollout passes from rows ``carried`` ``[row, query]`` to the queries themselves and to the keys.

    The matrix of a layer is ``[I, A] / 2`` with rows divided by their sum, where ``A`` is the mean over heads; the
    results are ``[row, query]`` and ``[row, key]``.
    """
    tile_sum = _tile_sum(layer)
    own = torch.empty_like(carried)

    def product(rows: slice, buffer: ScratchBuffer) -> Tensor:
        weights = tile_sum(rows, buffer)
        row_sums = layer.heads if layer.is_normalized else weights.sum(1)
        scaled = carried[:, rows] / (layer.heads + row_sums)
        own[:, rows] = scaled * layer.heads
        return scaled @ weights

    keys = _sum_over_tiles(product, layer)
    return own, keys


def rollout_columns_product(layer: LazyAttention, own: Tensor, of_keys: Tensor) -> Tensor:
    """Returns the columns ``[query, column]`` after a layer, from those of its queries and keys before it."""
    tile_sum = _tile_sum(layer)
    result = torch.empty(layer.queries, of_keys.shape[1], dtype=torch.float32)

    def fill(tiles: list[slice], buffer: ScratchBuffer) -> None:
        for rows in tiles:
            weights = tile_sum(rows, buffer)
            total = layer.heads + weights.sum(1, keepdim=True)
            result[rows] = (weights @ of_keys + layer.heads * own[rows]) / total

    _map_tiles(fill, layer)
    return result


def relevance_row_product(layer: LazyAttention, gradients: Gradients, rows_before: Tensor) -> Tensor:
    """Returns ``rows_before @ A'``, ``[row, key]``, with ``A' = mean over heads of max(0, dlogit/dA * A)``."""
    tile_sum, scaled = _tile_sum(layer, gradients), rows_before / layer.heads
    return _sum_over_tiles(lambda rows, buffer: scaled[:, rows] @ tile_sum(rows, buffer), layer)


def relevance_columns_product(layer: LazyAttention, gradients: Gradients, columns: Tensor) -> Tensor:
    """Returns ``A' @ columns``, ``[query, column]``, see `relevance_row_product`."""
    tile_sum = _tile_sum(layer, gradients)
    result = torch.empty(layer.queries, columns.shape[1], dtype=torch.float32)

    def fill(tiles: list[slice], buffer: ScratchBuffer) -> None:
        for rows in tiles:
            result[rows] = tile_sum(rows, buffer) @ columns / layer.heads

    _map_tiles(fill, layer)
    return result


def _tile_sum(layer: LazyAttention, gradients: Gradients | None = None) -> TileSum:
    """Returns a function that sums the weights of some rows over heads.

    With ``gradients`` it sums ``max(0, dlogit/dA * A)`` instead.
    """
    heads = [layer.head(number) for number in range(layer.heads)]

    def tile_sum(rows: slice, buffer: ScratchBuffer) -> Tensor:
        total, spare = buffer.for_rows(rows.stop - rows.start, layer)
        for number, head in enumerate(heads):
            weights = head.row_tile(rows, spare if number else total)
            if gradients is not None:
                weights = weights.mul_(layer.gradient_tile(number, rows, gradients)).clamp_(min=0)
            total = total.add_(weights) if number else weights
        return total.cpu()

    return tile_sum


def _map_tiles(function: Callable[[list[slice], ScratchBuffer], T], layer: LazyAttention) -> list[T]:
    """Returns ``function`` of the tiles of rows of each thread; each thread computes alone."""
    tiles, threads = list(row_tiles(layer.queries, layer.keys)), torch.get_num_threads()

    def thread_result(first: int) -> T:
        with torch.no_grad(), torch.inference_mode(False):
            return function(tiles[first::threads], ScratchBuffer())

    return thread_map(thread_result, min(threads, len(tiles)))


def _sum_over_tiles(function: Callable[[slice, ScratchBuffer], Tensor], layer: LazyAttention) -> Tensor:
    """Returns the sum of ``function`` over all tiles of rows."""

    def thread_sum(tiles: list[slice], buffer: ScratchBuffer) -> Tensor:
        total = function(tiles[0], buffer)
        for rows in tiles[1:]:
            total += function(rows, buffer)
        return total

    return torch.stack(_map_tiles(thread_sum, layer)).sum(0)
