"""Rollout and gradient relevance through all layers, exact, without a matrix ``[token, token]``: some rows are carried.

Every function splits the rows of a layer into tiles and the tiles among threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmviz.capture.attention_call import AttentionCall
from mmviz.capture.head_weights import row_tiles, tile_rows
from mmviz.capture.lazy_attention import LazyAttention
from mmviz.capture.single_core_threads import thread_map
from mmviz.capture.torch_modes import plain_modes
from mmviz.types import CaptureError

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


def rollout_rows(layers: Sequence[LazyAttention], start: NDArray[np.float64]) -> NDArray[np.float32]:
    """Returns ``start @ rollout``, ``[row, key]``, for ``start`` ``[row, query]``.

    One-hot rows of ``start`` give rows of the rollout, rows that divide 1 among several queries their mean. Formula and
    source: Abnar and Zuidema 2020, section 3, as in `mmviz.analysis.rollout.rollout`. The rows are carried down from
    the last layer, so that nothing larger than ``start`` is kept.
    """
    carried = torch.from_numpy(np.ascontiguousarray(start, np.float32))
    for layer in reversed(layers):
        carried = _rollout_layer_rows(layer, carried)
    return carried.numpy()


def _rollout_layer_rows(layer: LazyAttention, carried: Tensor) -> Tensor:
    """Returns ``carried @ B``, ``[row, key]``, with the matrix ``B`` of one layer's rollout."""
    tile_sum = _tile_sum(layer)

    def product(rows: slice, buffer: ScratchBuffer) -> Tensor:
        weights = tile_sum(rows, buffer)
        row_sums = layer.heads if layer.is_normalized else weights.sum(1)
        scaled = carried[:, rows] / (layer.heads + row_sums)
        result = scaled @ weights
        result[:, rows] += scaled * layer.heads
        return result

    return _sum_over_tiles(product, layer)


def rollout_columns(layers: Sequence[LazyAttention], keys: Sequence[int]) -> NDArray[np.float32]:
    """Returns ``rollout[:, keys]``, ``[query, len(keys)]``, carried up from the first layer."""
    carried = torch.zeros(layers[0].keys, len(keys), dtype=torch.float32)
    carried[torch.as_tensor(keys), torch.arange(len(keys))] = 1
    for layer in layers:
        carried = _rollout_layer_columns(layer, carried)
    return carried.numpy()


def _rollout_layer_columns(layer: LazyAttention, carried: Tensor) -> Tensor:
    """Returns ``B @ carried``, ``[query, column]``, with the matrix ``B`` of one layer's rollout."""
    tile_sum = _tile_sum(layer)
    result = torch.empty(layer.queries, carried.shape[1], dtype=torch.float32)

    def fill(tiles: list[slice], buffer: ScratchBuffer) -> None:
        for rows in tiles:
            weights = tile_sum(rows, buffer)
            total = layer.heads + weights.sum(1, keepdim=True)
            result[rows] = (weights @ carried + layer.heads * carried[rows]) / total

    _map_tiles(fill, layer)
    return result


def relevance_rows(layers: Sequence[LazyAttention], logit: Tensor, start: NDArray[np.float64]) -> NDArray[np.float32]:
    """Returns ``start @ (R - I)``, ``[row, key]``: gradient relevance of self-attention for ``logit``, see `relevance`.

    Gradients of the weights are computed tile by tile from those of attention's output (``dA = dO V^T``), which fused
    kernels have, too. R - I is carried, not R: beside 1, what attention adds would be lost in rounding.
    Raises ``CaptureError`` (``relevance-graph``) where ``logit`` has no gradients with respect to the attention.
    """
    gradients = _gradients(logit, [layer.call for layer in layers])
    first = torch.from_numpy(np.ascontiguousarray(start, np.float32))
    carried = torch.zeros_like(first)
    for layer, gradient in zip(reversed(layers), reversed(gradients), strict=True):
        carried = carried + _relevance_layer_rows(layer, gradient[layer.batch], (carried + first) / layer.heads)
    return carried.numpy()


def _relevance_layer_rows(layer: LazyAttention, gradient: Tensor, carried: Tensor) -> Tensor:
    """Returns ``carried`` ``[row, query]`` times the gradient-weighted attention of one layer, summed over heads."""
    tile_sum = _tile_sum(layer, gradient)
    return _sum_over_tiles(lambda rows, buffer: carried[:, rows] @ tile_sum(rows, buffer), layer)


@plain_modes()
def relevance(logit: Tensor, calls: Sequence[AttentionCall], batch: int = 0) -> NDArray[np.float32]:
    """Returns the relevance ``[query, key]`` of self-attention layers for ``logit``, as ``R - I``: what attention adds.

    Formula and source: Chefer, Gur and Wolf 2021, section 3.1. Per layer ``A' = mean over heads of max(0, dlogit/dA *
    A)``, then ``R <- R + A' R`` from the first layer up, with ``R = I`` at the start. ``calls`` must still be in the
    graph. Raises ``CaptureError`` (``relevance-graph``) where ``logit`` has no gradients with respect to the attention.
    """
    layers = [LazyAttention(call, batch) for call in calls]
    return relevance_rows(layers, logit, np.eye(layers[-1].queries))


def _tile_sum(layer: LazyAttention, gradient: Tensor | None = None) -> TileSum:
    """Returns a function that sums the weights of some rows over heads.

    With ``gradient`` ``[head, query, d_v]``, that of attention's output, it sums ``max(0, dlogit/dA * A)`` instead.
    """
    heads = [layer.head(number) for number in range(layer.heads)]

    def tile_sum(rows: slice, buffer: ScratchBuffer) -> Tensor:
        total, spare = buffer.for_rows(rows.stop - rows.start, layer)
        for number, head in enumerate(heads):
            weights = head.row_tile(rows, spare if number else total)
            if gradient is not None:
                weights = weights.mul_(layer.gradient_tile(number, rows, gradient)).clamp_(min=0)
            total = total.add_(weights) if number else weights
        return total.cpu()

    return tile_sum


def _gradients(logit: Tensor, calls: Sequence[AttentionCall]) -> list[Tensor]:
    """Returns the gradients of the output of each attention, ``[batch, head, query, d_v]``."""
    for call in calls:
        if not logit.requires_grad or call.output is None:
            raise CaptureError("relevance-graph", name=call.module)
    outputs = [call.output for call in calls if call.output is not None]
    gradients = torch.autograd.grad(logit, outputs, retain_graph=True, allow_unused=True)
    arranged = []
    for call, gradient in zip(calls, gradients, strict=True):
        if gradient is None or call.arrange is None:
            raise CaptureError("relevance-graph", name=call.module)
        arranged.append(call.arrange(gradient))
    return arranged


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
