"""What capture costs beside a plain forward pass and beside eager attention: prints Markdown tables.

    python benchmarks/capture.py [--sizes 1024 2048 4096 8192] [--pairs 9]

All figures are ratios of medians of runs that took turns in one process; memory is that of processes of their own.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from model import HEADS, LAYERS, SIZE, Model, masks

import mmviz
from mmviz.capture.flow import rollout_rows

EAGER_UP_TO = 4096
VIEWED_UP_TO = 1024
BINS = 64
PAIRS_AT = {1024: 1.0, 2048: 1.0, 4096: 0.6, 8192: 0.35}
"""Which share of the pairs is run at a size."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1024, 2048, 4096, 8192])
    parser.add_argument("--pairs", type=int, default=9, help="runs of each kind at the smallest size")
    options = parser.parse_args(arguments)
    model = Model().eval()
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, ", end="")
    print(f"{LAYERS} layers, {HEADS} heads, d = {SIZE}\n")
    with torch.no_grad():
        table("time / plain forward", [("tokens", *TIMES), *(times(model, n, options.pairs) for n in options.sizes)])
        table("error against eager attention in float64", [("tokens", *ERRORS), *map(errors, options.sizes[:2])])
    table("growth of memory / plain", [("tokens", *MEMORY), *map(memory, options.sizes)])
    sizes = sorted({min(size, VIEWED_UP_TO) for size in (*options.sizes, 128, 512)} & {*options.sizes, 128, 512})
    table("a page to look at, of random maps", [("tokens", *PAGES), *map(pages, sizes)])


def table(title: str, rows: Sequence[Sequence[Any]]) -> None:
    """Print rows, the first of them the names, as Markdown."""
    print(f"**{title}**\n")
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows[1:]:
        print("| " + " | ".join(f"{one:.3g}" if isinstance(one, float) else str(one) for one in row) + " |")
    print(flush=True)


def taking_turns(works: dict[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """The median seconds of each work; they take turns, after one turn that is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(turns + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if turn:
                taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(found) for name, found in taken.items()}


TIMES = (
    "captured", "captured, causal", "captured, padding mask", "captured, bias", "all overviews", "whole record",
    "eager, weights kept", "row (ms)", "rollout / attention",
)  # fmt: skip


def times(model: Model, count: int, pairs: int) -> list[object]:
    """One row of the first table."""
    x = torch.randn(1, count, SIZE)
    turns = max(3, round(pairs * PAIRS_AT.get(count, 1.0)))
    found: list[object] = [count]
    for options in masks(count).values():

        def captured(options: dict[str, Any] = options) -> None:
            with mmviz.capture(model):
                model(x, options)

        def plain(options: dict[str, Any] = options) -> None:
            model(x, options)

        both = taking_turns({"plain": plain, "captured": captured}, turns)
        found.append(both["captured"] / both["plain"])
    with mmviz.capture(model) as seen:
        model(x)
    edges = np.linspace(0, count, BINS + 1).astype(int).tolist()
    start = np.zeros((BINS, count))
    for row in range(BINS):
        start[row, edges[row] : edges[row + 1]] = 1 / (edges[row + 1] - edges[row])
    query, key, value = (torch.randn(1, HEADS, count, SIZE // HEADS) for _ in range(3))
    works: dict[str, Callable[[], object]] = {
        "plain": lambda: model(x),
        "overviews": lambda: [seen.view(layer).overview(edges, edges) for layer in range(LAYERS)],
        "record": seen.record,
        "row": lambda: seen.view(2).rows([count // 3], 1),
        "rollout": lambda: rollout_rows(seen.layers("rollout"), start),
        "attention": lambda: [F.scaled_dot_product_attention(query, key, value) for _ in range(LAYERS)],
    }
    if count <= EAGER_UP_TO:
        works["eager"] = lambda: model(x, kept=[])
    taken = taking_turns(works, turns)
    found += [taken[name] / taken["plain"] for name in ("overviews", "record")]
    found.append(taken["eager"] / taken["plain"] if "eager" in taken else "not tried")
    return [*found, 1000 * taken["row"], taken["rollout"] / taken["attention"]]


ERRORS = ("overview, float32", "overview, bfloat16", "row, float32")


def errors(count: int) -> list[object]:
    """One row of the second table: the largest differences."""
    found: list[object] = [count]
    edges = np.linspace(0, count, BINS + 1).astype(int)
    row = 0.0
    for dtype in (torch.float32, torch.bfloat16):
        query, key, value = (torch.randn(1, HEADS, count, SIZE // HEADS).to(dtype) for _ in range(3))
        weights = (query.double() @ key.double().transpose(-2, -1) / (SIZE // HEADS) ** 0.5).softmax(-1)[0].numpy()
        with mmviz.capture(Kernel()) as seen:
            seen.model(query, key, value)
        sums = np.add.reduceat(np.add.reduceat(weights, edges[:-1], 1), edges[:-1], 2)
        means = sums / np.outer(np.diff(edges), np.diff(edges))
        found.append(float(np.abs(seen.view(0).overview(edges, edges) - means).max()))
        if dtype is torch.float32:
            row = float(np.abs(seen.view(0).rows([7], 1) - weights[1, [7]]).max())
    return [*found, row]


class Kernel(torch.nn.Module):
    """Fused attention and nothing else."""

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        return F.scaled_dot_product_attention(*tensors)


MEMORY = ("captured", "eager, weights kept", "captured / eager")


def memory(count: int) -> list[object]:
    """One row of the third table."""
    plain, captured = grown("plain", count), grown("captured", count)
    if count > EAGER_UP_TO:
        return [count, captured / plain, "not tried", ""]
    eager = grown("eager", count)
    return [count, captured / plain, eager / plain, captured / eager]


def grown(way: str, count: int) -> int:
    """Bytes, as a process of its own finds them; the median of three."""
    command = [sys.executable, str(Path(__file__).with_name("memory.py")), way, str(count)]
    runs = (subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(3))
    return int(statistics.median(int(run) for run in runs))


PAGES = ("mmviz (s)", "mmviz (MB)", "bertviz head_view (s)", "bertviz head_view (MB)", "bertviz, growth of memory (MB)")


def pages(count: int) -> list[object]:
    """One row of the last table: making the HTML of all layers and heads."""
    maps = [torch.rand(1, HEADS, count, count).softmax(-1) for _ in range(LAYERS)]
    start = time.perf_counter()
    page = mmviz.Run(mmviz.Sample(), mmviz.record(maps)).to_html()
    found: list[object] = [count, time.perf_counter() - start, len(page.encode()) / 1e6]
    if importlib.util.find_spec("bertviz") is None:
        return [*found, "not installed", "", ""]
    from head_view import view

    start = time.perf_counter()
    page = view(maps)
    found += [time.perf_counter() - start, len(page.encode()) / 1e6]
    return [*found, grown("bertviz", count) / 1e6]


if __name__ == "__main__":
    main()
