"""Measures the cost of one attention layer on this machine: eager, fused, and fused with a lazy view of its weights."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from mmviz.capture.context_manager import capture
from mmviz.capture.map_check import BINS
from mmviz.capture.result import CaptureResult
from mmviz.capture.retained_capture import retained_bytes
from mmviz.capture.sdpa_with_lse import sdpa_with_lse
from mmviz.types import Modality, Token
from mmviz.types.token_bins import bin_edges, bin_means

Implementation = Literal["eager", "fused", "lazy"]
"""Eager attention, which keeps all weights; a fused kernel, which keeps none; that kernel captured, and its weights
pooled to `BINS` x `BINS` bins."""
IMPLEMENTATIONS: tuple[Implementation, ...] = get_args(Implementation)
TensorPair = tuple[Tensor, Tensor | None]
Array = NDArray[np.float32]
MAX_SECONDS = 20.0
"""How long all sizes together may take after the first, which includes warming up."""
ALWAYS_MEASURED = 2_048
"""Up to so many tokens are measured however long it takes; larger sizes that would take too long are left out."""
MIN_REPEATS, MAX_REPEATS, ENOUGH_SECONDS = 3, 15, 0.3
"""Repeats of a size: more than the fewest only until they took so many seconds."""
MIN_TIME = 1e-6
"""No time is shorter, in seconds: the resolution of some clocks is low."""


@dataclass(frozen=True)
class LayerCost:
    """The cost of one layer of attention over ``tokens`` tokens."""

    tokens: int
    """Number of queries and of keys."""
    seconds: Mapping[Implementation, float]
    """Median time on one processor core."""
    bytes: Mapping[Implementation, int]
    """Memory that is kept after the layer has run."""
    row_seconds: float
    """Median time for one exact row of one head, on one processor core."""
    repeat_seconds: float
    """Elapsed time of one repeat of all implementations."""
    difference: float
    """Largest difference between the lazy view's overview or row and the eager weights."""
    largest: float
    """The largest weight of that overview."""
    repeats: int
    """Number of repeats that the medians are of."""


@dataclass(frozen=True)
class LayerCosts:
    """The costs of one layer over several numbers of tokens."""

    sizes: tuple[LayerCost, ...]
    """At least one measurement, with ascending numbers of tokens."""
    left_out: tuple[int, ...]
    """Numbers of tokens that there was no time for."""

    @property
    def tokens(self) -> list[int]:
        """Number of tokens of every size."""
        return [size.tokens for size in self.sizes]

    def seconds(self, implementation: Implementation) -> list[float]:
        """Returns the seconds of every size."""
        return [size.seconds[implementation] for size in self.sizes]

    def bytes(self, implementation: Implementation) -> list[float]:
        """Returns the bytes of every size."""
        return [float(size.bytes[implementation]) for size in self.sizes]


def measure_layer_costs(
    tokens: Sequence[int], heads: int, head_size: int, progress: Callable[[int, int], None], stop: Callable[[], bool],
    max_seconds: float = MAX_SECONDS,
) -> LayerCosts | None:  # fmt: skip
    """Returns the costs of one layer of ``heads`` heads with d_k ``head_size`` over each number of ``tokens``.

    ``tokens`` ascend. Those up to `ALWAYS_MEASURED` are measured, and as many more as ``max_seconds`` allow: a size is
    left out before it begins if it would take too long, estimated by the square of the tokens of the last measurement.
    ``progress`` is called with the number of sizes done and of all sizes, ``stop`` before each computation. Returns
    None where not even the first size was done.

    It computes in the calling thread only and measures that thread's processor time, so that time in which other work
    has the processor does not count.
    """
    sizes: list[LayerCost] = []
    start = 0.0
    with torch.no_grad(), _single_threaded():
        for number, count in enumerate(tokens):
            progress(number, len(tokens))
            if sizes and count > ALWAYS_MEASURED:
                estimate = sizes[-1].repeat_seconds * (count / sizes[-1].tokens) ** 2 * (MIN_REPEATS + 1)
                if time.monotonic() - start + estimate > max_seconds:
                    break
            cost = Layer(count, heads, head_size).measure(stop)
            if cost is None:
                break
            sizes.append(cost)
            start = start or time.monotonic()
    if not sizes:
        return None
    left_out = () if stop() else tuple(tokens[len(sizes) :])
    progress(len(sizes), len(sizes) if left_out else len(tokens))
    return LayerCosts(tuple(sizes), left_out)


class _Attention(nn.Module):
    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(query, key, value)


class Layer:
    """One attention layer with random queries, keys and values ``[1, head, token, d_k]``; its cost is that of any."""

    def __init__(self, count: int, heads: int, head_size: int):
        generator = torch.Generator().manual_seed(count)
        self.count = count
        self.query, self.key, self.value = (
            torch.randn(1, heads, count, head_size, generator=generator) for _ in range(3)
        )
        self.model = _Attention().eval()
        self.scores, self.weights = torch.empty(count, count), torch.empty(heads, count, count)
        self.edges = bin_edges([Token(Modality.SPECIAL, "")] * count, BINS)
        self.result = self.capture()

    def eager(self) -> TensorPair:
        """Returns softmax(Q K^T / sqrt(d_k)), all weights ``[head, token, token]``, and these times V.

        Their memory is allocated beforehand: where they are large, allocating it would take long.
        """
        scale = self.query.shape[-1] ** -0.5
        for query, key, weights in zip(self.query[0] * scale, self.key[0], self.weights, strict=True):
            torch.softmax(torch.mm(query, key.T, out=self.scores), -1, out=weights)
        return self.weights, self.weights @ self.value[0]

    def fused(self) -> TensorPair:
        """Returns the output of the fused kernel and the log-sum-exp of its rows."""
        return sdpa_with_lse({"query": self.query, "key": self.key, "value": self.value})

    def capture(self) -> CaptureResult:
        """Returns the attention of the layer, captured in one run."""
        with capture(self.model) as result:
            self.model(self.query, self.key, self.value)
        return result

    def overview(self) -> Array:
        """Captures the layer and returns the overview of its weights, ``[head, bin, bin]``."""
        attention = self.capture().view(0)
        return np.stack([attention.zoom(self.edges, self.edges, head) for head in range(attention.heads)])

    def row(self) -> Array:
        """Returns one row of weights of the first head, ``[1, token]``."""
        return self.result.view(0).rows([self.count // 3], 0)

    def measure(self, stop: Callable[[], bool]) -> LayerCost | None:
        """Returns the cost of the layer; None where it was stopped.

        The implementations take turns. A first round, which is not timed, warms up.
        """
        steps: dict[str, Callable[[], Any]] = {
            "eager": self.eager, "fused": self.fused, "lazy": self.overview, "row": self.row
        }  # fmt: skip
        results: dict[str, Any] = {}
        for name, compute in steps.items():
            if stop():
                return None
            results[name] = compute()
        kept, (difference, largest) = self._bytes(**results), self._difference(**results)
        times: dict[str, list[float]] = {name: [] for name in steps}
        start = time.monotonic()
        for _ in _repeats():
            for name, compute in steps.items():
                if stop():
                    return None
                before = time.thread_time()
                compute()
                times[name].append(max(time.thread_time() - before, MIN_TIME))
        repeats = len(times["row"])
        repeat_seconds = (time.monotonic() - start) / repeats
        medians = {name: statistics.median(seconds) for name, seconds in times.items()}
        seconds = {implementation: medians[implementation] for implementation in IMPLEMENTATIONS}
        return LayerCost(self.count, seconds, kept, medians["row"], repeat_seconds, difference, largest, repeats)

    def _bytes(self, eager: TensorPair, fused: TensorPair, lazy: Array, row: Array) -> dict[Implementation, int]:
        """Returns the bytes of all weights; of what the kernel reads and writes; of what views need, and the views."""
        tensors = (self.query, self.key, self.value, *fused)
        return {
            "eager": eager[0].nbytes,
            "fused": sum(tensor.nbytes for tensor in tensors if tensor is not None),
            "lazy": retained_bytes(self.result) + lazy.nbytes + row.nbytes,
        }

    def _difference(self, eager: TensorPair, fused: TensorPair, lazy: Array, row: Array) -> tuple[float, float]:
        """Returns the largest difference between views and all weights, and the largest mean weight of a bin."""
        weights = eager[0].numpy()
        means = bin_means(weights, self.edges, self.edges)
        errors = np.abs(lazy - means).max(), np.abs(row[0] - weights[0, self.count // 3]).max()
        return float(max(errors)), float(means.max())


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Lets torch compute in this thread alone.

    Threads that start meanwhile use as many as before: torch gives them the number that was set last, in any thread.
    """
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    thread = threading.Thread(target=torch.set_num_threads, args=(count,))
    thread.start()
    thread.join()
    try:
        yield
    finally:
        torch.set_num_threads(count)


def _repeats() -> Iterator[int]:
    """Yields the numbers of the repeats of one size."""
    start = time.monotonic()
    for repeat in range(MAX_REPEATS):
        if repeat >= MIN_REPEATS and time.monotonic() - start > ENOUGH_SECONDS:
            return
        yield repeat
