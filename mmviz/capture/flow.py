"""Attention through all layers, exact, without a matrix of all tokens by all tokens: a few rows are carried along."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmviz.capture.call import AttentionCall
from mmviz.capture.lazy_attention import LazyAttention, each, row_tiles, rows_at_once
from mmviz.types import CaptureError

T = TypeVar("T")
Total = Callable[[slice, "ScratchBuffer"], Tensor]
"""The sum over heads of what flows from some rows, ``[row, key]``."""


class ScratchBuffer:
    """Where one thread works out strip after strip: to make room anew takes longer than to fill it."""

    def __init__(self) -> None:
        self._kept = torch.empty(0)

    def for_rows(self, rows: int, layer: LazyAttention) -> tuple[Tensor, Tensor]:
        """Two tensors ``[row, key]``, on the device where the model ran."""
        device = layer.heard.value.device
        expected = (2, rows_at_once(layer.keys), layer.keys)
        if self._kept.device != device or self._kept.shape != expected:
            self._kept = torch.empty(expected, device=device)
        return self._kept[0, :rows], self._kept[1, :rows]


def rollout_rows(layers: Sequence[LazyAttention], start: NDArray[np.float64]) -> NDArray[np.float32]:
    """``start @ rollout``, ``[row, key]``: one-hot rows of ``start`` ``[row, query]`` give rows of the rollout, rows
    that share 1 among several queries give their mean.

    Formula and source: Abnar and Zuidema 2020, section 3, as in `mmviz.analysis.rollout.rollout`; the rows are carried
    down from the last layer, so that nothing larger than ``start`` is kept.
    """
    carried = torch.from_numpy(np.ascontiguousarray(start, np.float32))
    for layer in reversed(layers):
        total, is_whole = _weights_of(layer), layer.is_whole

        def part(
            rows: slice, room: ScratchBuffer, carried: Tensor = carried, total: Total = total, heads: int = layer.heads,
            is_whole: bool = is_whole,
        ) -> Tensor:  # fmt: skip
            made = total(rows, room)
            shared = carried[:, rows] / (heads + (heads if is_whole else made.sum(1)))
            found = shared @ made
            found[:, rows] += shared * heads
            return found

        carried = _added(part, layer)
    return carried.numpy()


def rollout_columns(layers: Sequence[LazyAttention], chosen: Sequence[int]) -> NDArray[np.float32]:
    """``rollout[:, chosen]``, ``[query, len(chosen)]``, carried up from the first layer."""
    carried = torch.zeros(layers[0].keys, len(chosen))
    carried[torch.as_tensor(chosen), torch.arange(len(chosen))] = 1
    for layer in layers:
        total = _weights_of(layer)
        below, carried = carried, torch.empty(layer.queries, len(chosen))

        def fill(
            some: list[slice], room: ScratchBuffer, below: Tensor = below, now: Tensor = carried, total: Total = total,
            heads: int = layer.heads,
        ) -> None:  # fmt: skip
            for rows in some:
                made = total(rows, room)
                now[rows] = (made @ below + heads * below[rows]) / (heads + made.sum(1, keepdim=True))

        _by_thread(fill, layer)
    return carried.numpy()


def relevance_rows(layers: Sequence[LazyAttention], logit: Tensor, start: NDArray[np.float64]) -> NDArray[np.float32]:
    """``start @ (R - I)``, ``[row, key]``: gradient relevance of self-attention layers for ``logit``; see `relevance`.

    The weights' gradients come strip by strip from those of attention's output (``dA = dmixed V^T``), so that fused
    kernels will do. R - I is carried, not R: what attention added would drown in rounding beside 1.
    Raises ``CaptureError`` (``relevance-graph``) where ``logit`` has no gradients towards the attention.
    """
    gradients = _gradients(logit, [layer.heard for layer in layers])
    first = torch.from_numpy(np.ascontiguousarray(start, np.float32))
    carried = torch.zeros_like(first)
    for layer, gradient in zip(reversed(layers), reversed(gradients), strict=True):
        total = _weights_of(layer, gradient[layer.batch])

        def part(
            rows: slice, room: ScratchBuffer, now: Tensor = (carried + first) / layer.heads, total: Total = total
        ) -> Tensor:
            return now[:, rows] @ total(rows, room)

        carried = carried + _added(part, layer)
    return carried.numpy()


def relevance(logit: Tensor, heard: Sequence[AttentionCall], batch: int = 0) -> NDArray[np.float32]:
    """Relevance ``[query, key]`` of self-attention layers for ``logit`` (Chefer, Gur and Wolf 2021, section 3.1).

    Per layer ``A' = mean over heads of max(0, dlogit/dA * A)``, then ``R <- R + A' R`` from the first layer up, with
    ``R = I`` at the start.  ``heard`` must still be in the graph.  Returned is ``R - I``: what attention added.
    Raises ``CaptureError`` (``relevance-graph``) where ``logit`` has no gradients towards the attention.
    """
    layers = [LazyAttention(one, batch) for one in heard]
    return relevance_rows(layers, logit, np.eye(layers[-1].queries))


def _weights_of(layer: LazyAttention, gradient: Tensor | None = None) -> Total:
    """The weights of some rows of ``layer``, summed over heads; with ``gradient``, what of them adds to a logit."""

    heads = [layer.head(number) for number in range(layer.heads)]

    def total(rows: slice, room: ScratchBuffer) -> Tensor:
        found, one = room.for_rows(rows.stop - rows.start, layer)
        for number, head in enumerate(heads):
            made = head.strip(rows, one if number else found)
            if gradient is not None:
                made = made.mul_(layer.gradient_strip(number, rows, gradient)).clamp_(min=0)
            found = found.add_(made) if number else made
        return found.cpu()

    return total


def _gradients(logit: Tensor, heard: Sequence[AttentionCall]) -> list[Tensor]:
    """Gradients of what each attention made of its values, ``[batch, head, query, d_v]``."""
    for one in heard:
        if not logit.requires_grad or one.output is None:
            raise CaptureError("relevance-graph", name=one.module)
    outputs = [one.output for one in heard if one.output is not None]
    found = torch.autograd.grad(logit, outputs, retain_graph=True, allow_unused=True)
    arranged = []
    for one, gradient in zip(heard, found, strict=True):
        if gradient is None or one.arrange is None:
            raise CaptureError("relevance-graph", name=one.module)
        arranged.append(one.arrange(gradient))
    return arranged


def _by_thread(work: Callable[[list[slice], ScratchBuffer], T], layer: LazyAttention) -> list[T]:
    """``work`` of the strips of rows of each thread, of which each computes alone."""
    every, threads = list(row_tiles(layer.queries, layer.keys)), torch.get_num_threads()

    def alone(first: int) -> T:
        with torch.no_grad(), torch.inference_mode(False):
            return work(every[first::threads], ScratchBuffer())

    return each(alone, min(threads, len(every)))


def _added(part: Callable[[slice, ScratchBuffer], Tensor], layer: LazyAttention) -> Tensor:
    """The sum of ``part`` over all strips of rows."""

    def work(some: list[slice], room: ScratchBuffer) -> Tensor:
        total = part(some[0], room)
        for rows in some[1:]:
            total += part(rows, room)
        return total

    return torch.stack(_by_thread(work, layer)).sum(0)
