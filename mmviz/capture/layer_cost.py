"""What one layer of attention costs on this machine, measured now: all weights kept, none kept, and the exact view."""

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

from mmviz.capture.context import capture
from mmviz.capture.fused_kernels import fused
from mmviz.capture.map_check import BINS
from mmviz.capture.result import CaptureResult
from mmviz.capture.retained import retained_bytes
from mmviz.types import Modality, Token
from mmviz.types.token_bins import bins

Way = Literal["full", "fused", "view"]
"""All weights kept; a kernel that keeps none; that kernel heard, and its weights pooled to `BINS` x `BINS` bins."""
WAYS: tuple[Way, ...] = get_args(Way)
Pair = tuple[Tensor, Tensor | None]
Numbers = NDArray[np.float32]
SECONDS = 20.0
"""How long all sizes may make one wait after the first, which wakes what sleeps."""
ALWAYS = 2_048
"""Up to so many tokens are measured however long it takes; the larger sizes that would take too long are left out."""
FEWEST, MOST, ENOUGH = 3, 15, 0.3
"""Turns at a size: more than the fewest only until they took so many seconds."""
TICK = 1e-6
"""No time is shorter: some clocks tick slowly."""


@dataclass(frozen=True)
class Size:
    """One layer over ``tokens`` tokens: median ``seconds`` of ``turns`` that one processor core computes, and the
    ``bytes`` of what is kept. ``row``: seconds for one exact row of one head; ``turn``: seconds of waiting for a turn
    of all these. ``difference``: the largest between the view's overview or row and those of all weights; ``largest``:
    the largest weight of that overview."""

    tokens: int
    seconds: Mapping[Way, float]
    bytes: Mapping[Way, int]
    row: float
    turn: float
    difference: float
    largest: float
    turns: int


@dataclass(frozen=True)
class Costs:
    """``sizes`` ascend, at least one; ``left_out``: those that there was no time for."""

    sizes: tuple[Size, ...]
    left_out: tuple[int, ...]

    @property
    def tokens(self) -> list[int]:
        """Of all sizes, in their order."""
        return [size.tokens for size in self.sizes]

    def seconds(self, way: Way) -> list[float]:
        """Of all sizes, in their order."""
        return [size.seconds[way] for size in self.sizes]

    def bytes(self, way: Way) -> list[float]:
        """Of all sizes, in their order."""
        return [float(size.bytes[way]) for size in self.sizes]


def costs(
    tokens: Sequence[int], heads: int, size: int, progress: Callable[[int, int], None], stop: Callable[[], bool],
    seconds: float = SECONDS,
) -> Costs | None:  # fmt: skip
    """One layer of ``heads`` heads with d_k ``size`` over each number of ``tokens``, ascending: those up to `ALWAYS`,
    and as many more as ``seconds`` of waiting reach. ``progress``: sizes done, and how many there are; ``stop`` is
    asked before each computation. None where not even the first was done.

    It computes in this thread alone, whose computing time is what is measured: time in which other work has the
    processor does not count. A size is left out before it begins: by the square of what the last one took.
    """
    made: list[Size] = []
    start = 0.0
    with torch.no_grad(), _alone():
        for number, count in enumerate(tokens):
            progress(number, len(tokens))
            if made and count > ALWAYS:
                ahead = made[-1].turn * (count / made[-1].tokens) ** 2 * (FEWEST + 1)
                if time.monotonic() - start + ahead > seconds:
                    break
            found = Layer(count, heads, size).measured(stop)
            if found is None:
                break
            made.append(found)
            start = start or time.monotonic()
    if not made:
        return None
    left_out = () if stop() else tuple(tokens[len(made) :])
    progress(len(made), len(made) if left_out else len(tokens))
    return Costs(tuple(made), left_out)


class _Attention(nn.Module):
    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(query, key, value)


class Layer:
    """Random queries, keys and values ``[1, head, token, d_k]``: how long attention takes does not depend on them."""

    def __init__(self, count: int, heads: int, size: int):
        random = torch.Generator().manual_seed(count)
        self.count = count
        self.query, self.key, self.value = (torch.randn(1, heads, count, size, generator=random) for _ in range(3))
        self.model = _Attention().eval()
        self.scores, self.weights = torch.empty(count, count), torch.empty(heads, count, count)
        self.edges = bins([Token(Modality.SPECIAL, "")] * count, BINS)
        self.seen = self.heard()

    def full(self) -> Pair:
        """softmax(Q K^T / sqrt(d_k)) with all its weights, ``[head, token, token]``, and these times V. There is room
        for them beforehand: to make it where they are large would take long."""
        scale = self.query.shape[-1] ** -0.5
        for query, key, weights in zip(self.query[0] * scale, self.key[0], self.weights, strict=True):
            torch.softmax(torch.mm(query, key.T, out=self.scores), -1, out=weights)
        return self.weights, self.weights @ self.value[0]

    def fused(self) -> Pair:
        """The output, and what each row's weights were divided by."""
        return fused({"query": self.query, "key": self.key, "value": self.value})

    def heard(self) -> CaptureResult:
        with capture(self.model) as seen:
            self.model(self.query, self.key, self.value)
        return seen

    def view(self) -> Numbers:
        """The overview of a layer that is heard, ``[head, bin, bin]``."""
        exact = self.heard().view(0)
        return np.stack([exact.zoom(self.edges, self.edges, head) for head in range(exact.heads)])

    def row(self) -> Numbers:
        """One row of the first head, ``[1, token]``."""
        return self.seen.view(0).rows([self.count // 3], 0)

    def measured(self, stop: Callable[[], bool]) -> Size | None:
        """The ways take turns, after one turn that is not counted; None where it was stopped."""
        works = {"full": self.full, "fused": self.fused, "view": self.view, "row": self.row}
        first: dict[str, Any] = {}
        for name, work in works.items():
            if stop():
                return None
            first[name] = work()
        kept, (difference, largest) = self._bytes(**first), self._compared(**first)
        taken: dict[str, list[float]] = {name: [] for name in works}
        began = time.monotonic()
        for _ in _turns():
            for name, work in works.items():
                if stop():
                    return None
                before = time.thread_time()
                work()
                taken[name].append(max(time.thread_time() - before, TICK))
        turn = (time.monotonic() - began) / len(taken["row"])
        medians = {name: statistics.median(found) for name, found in taken.items()}
        seconds = {way: medians[way] for way in WAYS}
        return Size(self.count, seconds, kept, medians["row"], turn, difference, largest, len(taken["row"]))

    def _bytes(self, full: Pair, fused: Pair, view: Numbers, row: Numbers) -> dict[Way, int]:
        """The weights; what the kernel reads and writes; what views are made of, with the overview and a row."""
        given = (self.query, self.key, self.value, *fused)
        views = retained_bytes(self.seen) + view.nbytes + row.nbytes
        return {"full": full[0].nbytes, "fused": sum(one.nbytes for one in given if one is not None), "view": views}

    def _compared(self, full: Pair, fused: Pair, view: Numbers, row: Numbers) -> tuple[float, float]:
        """How far the view is from all weights, pooled afterwards in float64; and the largest weight of these bins."""
        weights = full[0].numpy()
        widths = np.diff(self.edges)
        pooled = weights
        for axis in (2, 1):
            pooled = np.add.reduceat(pooled, self.edges[:-1], axis=axis, dtype=np.float64)
        pooled = pooled / np.outer(widths, widths)
        far = np.abs(view - pooled).max(), np.abs(row[0] - weights[0, self.count // 3]).max()
        return float(max(far)), float(pooled.max())


@contextmanager
def _alone() -> Iterator[None]:
    """This thread computes without others. Threads that begin meanwhile have as many as before: torch tells them the
    number that was set last, wherever it was."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    other = threading.Thread(target=torch.set_num_threads, args=(count,))
    other.start()
    other.join()
    try:
        yield
    finally:
        torch.set_num_threads(count)


def _turns() -> Iterator[int]:
    """Numbers of the turns of a size."""
    start = time.monotonic()
    for turn in range(MOST):
        if turn >= FEWEST and time.monotonic() - start > ENOUGH:
            return
        yield turn
