"""Capture on a GPU: exactness of every route and kernel, and what capture costs. Prints Markdown tables.

    python benchmarks/gpu.py [--device cuda] [--sizes 8192 32768] [--seconds 230]

Without a GPU it runs on the CPU at small sizes, and says so: that run shows that the script works, nothing of a GPU.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from capture import processor, table
from capture_timing import uneven_edges
from gpu_exactness import DTYPES, KERNELS, Row, parity_rows
from model import HEADS, LAYERS, SIZE, Model
from torch.nn.attention import sdpa_kernel

import mmviz
from mmviz.types import PooledMap

SIZES, PARITY_TOKENS, TURNS = (
    {"cuda": [8192, 32768], "cpu": [520, 600]},
    {"cuda": 700, "cpu": 48},
    {"cuda": 7, "cpu": 1},
)
"""Numbers of tokens, and of measured runs, by kind of device; from 513 tokens on, a record has pooled maps."""
PASSES = {
    "cuda": (("flash", "float16"), ("flash", "bfloat16"), ("efficient", "float32")), "cpu": (("flash", "float32"),),
}  # fmt: skip
"""Kernel and precision of the measured forward passes; on a CPU, half precision takes too long."""
RATIO, PEAK = "captured / plain", "peak memory / plain"
AIMS = {RATIO: 1.05, PEAK: 2.1}
PARITY_COLUMNS = ["kernel", "dtype", "case", "route", "reference", "error", "same output", "verdict"]
COST_COLUMNS = [
    "kernel", "dtype", "plain (ms)", RATIO, PEAK, "same output", "overviews / plain", "record / plain",
    "pooled maps",
]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and prints."""
    best = "cuda" if torch.cuda.is_available() else "cpu"
    parser = argparse.ArgumentParser(description="Exactness and cost of capture on a GPU.")
    parser.add_argument("--device", default=best, help=f"torch device (default: the GPU if there is one; here {best})")
    parser.add_argument("--sizes", type=int, nargs="+", help="numbers of tokens (default: 8192 32768; less on a CPU)")
    parser.add_argument("--seconds", type=float, default=230, help="what would begin later is left out (default: 230)")
    options = parser.parse_args(arguments)
    deadline = time.monotonic() + options.seconds
    kind = torch.device(options.device).type
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    print(f"{device_name(options.device)}, torch {torch.__version__}, Python {platform.python_version()}.\n")
    if kind != "cuda":
        print("**A dry run without a GPU, at small sizes: its figures say nothing of a GPU.**\n")
    rows = list(until(deadline, parity_rows(options.device, PARITY_TOKENS[kind])))
    table(f"Exactness, {PARITY_TOKENS[kind]} tokens", rows, PARITY_COLUMNS)
    print(f"A model of {LAYERS} layers, {HEADS} heads, d = {SIZE}.\n")
    sizes = options.sizes or SIZES[kind]
    costs = list(until(deadline, cost_rows(options.device, sizes)))
    table("Cost of a forward pass that keeps all attention", costs, COST_COLUMNS)
    expected = len(sizes) * len(PASSES[kind])
    if len(costs) < expected:
        print(f"Left out, since the time was over: {expected - len(costs)} of {expected} passes.\n")
    table("Aims", aims(rows, costs), ["aim", "at most", "worst", "verdict"])


def until(deadline: float, rows: Iterator[Row]) -> Iterator[Row]:
    """Yields rows while there is time."""
    for row in rows:
        yield row
        if time.monotonic() > deadline:
            return


def cost_rows(device: str, sizes: Sequence[int]) -> Iterator[Row]:
    """Yields time, memory and equality of a captured pass beside a plain one, for each size, kernel and precision."""
    for count in sizes:
        for kernel, dtype in PASSES[torch.device(device).type]:
            row: Row = {"tokens": count, "kernel": kernel, "dtype": dtype}
            model = Model().eval().to(device, DTYPES[dtype])
            x = torch.randn(1, count, SIZE, generator=torch.Generator().manual_seed(0)).to(device, DTYPES[dtype])
            try:
                with torch.no_grad(), sdpa_kernel(KERNELS[kernel]):
                    yield row | cost(device, model, x)
            except RuntimeError as problem:
                if "kernel" not in str(problem):
                    raise
                yield row | {"same output": "no such kernel here"}


def cost(device: str, model: Model, x: torch.Tensor) -> Row:
    """Returns the measurements of one model and input."""

    def captured() -> mmviz.CaptureResult:
        with mmviz.capture(model) as result:
            model(x)
        return result

    plain_seconds, captured_seconds = median_seconds(
        device, [lambda: model(x), captured], TURNS[torch.device(device).type]
    )
    plain_peak, captured_peak = (peak_bytes(device, work) for work in (lambda: model(x), captured))
    edges = uneven_edges(x.shape[1])
    output = model(x)
    with mmviz.capture(model) as result:
        is_same = torch.equal(model(x), output)
    overviews, record = median_seconds(
        device, [lambda: [result.view(k).overview(edges, edges) for k in range(LAYERS)], result.record], 1
    )
    return {
        "plain (ms)": plain_seconds * 1e3, RATIO: captured_seconds / plain_seconds,
        PEAK: captured_peak / plain_peak if plain_peak else None, "same output": "yes" if is_same else "**no**",
        "overviews / plain": overviews / plain_seconds, "record / plain": record / plain_seconds,
        "pooled maps": sum(isinstance(attn_map, PooledMap) for attn_map in result.record().maps),
    }  # fmt: skip


def median_seconds(device: str, works: Sequence[Callable[[], object]], turns: int) -> list[float]:
    """Returns the median seconds of each work until the device is idle. They take turns, after a warm-up."""
    times: list[list[float]] = [[] for _ in works]
    for turn in range(turns + 1):
        for work, values in zip(works, times, strict=True):
            synchronize(device)
            start = time.perf_counter()
            work()
            synchronize(device)
            if turn:
                values.append(time.perf_counter() - start)
    return [statistics.median(values) for values in times]


def peak_bytes(device: str, work: Callable[[], object]) -> int:
    """Returns by how many bytes the allocated memory of the GPU rises at most during ``work``; 0 without a GPU."""
    if torch.device(device).type != "cuda":
        return 0
    synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    kept = work()
    synchronize(device)
    rise = torch.cuda.max_memory_allocated(device) - before
    del kept
    return int(rise)


def synchronize(device: str) -> None:
    """Waits until the GPU is idle."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def aims(rows: Sequence[Row], costs: Sequence[Row]) -> list[Row]:
    """Returns for each aim the worst value that was measured."""
    measured = [row for row in rows if "error" in row]
    missed = [row for row in measured if row["verdict"] != "met"]
    verdict = "**missed**" if missed else "met"
    exactness = {"at most": 0, "worst": f"{len(missed)} of {len(measured)}", "verdict": verdict}
    verdicts: list[Row] = [{"aim": "cases beyond tolerance, or with another output", **exactness}]
    for name, limit in AIMS.items():
        values = [value for row in costs if isinstance(value := row.get(name), float)]
        verdict = ("met" if max(values) <= limit else "**missed**") if values else "not measured"
        verdicts.append({"aim": name, "at most": limit, "worst": max(values, default=None), "verdict": verdict})
    return verdicts


def device_name(device: str) -> str:
    """Returns the name of the GPU, or of the processor."""
    return torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else processor()


if __name__ == "__main__":
    main()
