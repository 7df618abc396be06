"""Cost of capture beside a plain forward pass and beside eager attention: prints Markdown tables and missed aims.

    python benchmarks/capture.py [--sizes 1024 2048 4096 8192] [--pages 128 512 1024] [--pairs 9]

Times are ratios of medians of runs that took turns in one process; memory is that of separate processes.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from capture_timing import OVERVIEWS, ROLLOUT, ROW, passes, views
from isolated import isolated
from model import HEADS, LAYERS, SIZE, Model, masks
from numeric_error import DTYPES, numeric_errors

MAX_EAGER_TOKENS = 4096
"""Full maps of more tokens do not fit into memory."""
SHARE = {4096: 0.6, 8192: 0.4}
"""Share of the runs that are made at a size."""
MEMORY, MEMORY_OF_EAGER = "memory / plain", "memory / eager"
Row = dict[str, object]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="What capture costs.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1024, 2048, 4096, 8192], help="numbers of tokens")
    parser.add_argument("--pages", type=int, nargs="+", default=[128, 512, 1024], help="the same, for bertviz")
    parser.add_argument("--pairs", type=int, default=9, help="runs of each kind at the smaller sizes")
    options = parser.parse_args(arguments)
    threads = f"{torch.get_num_threads()} threads of {os.cpu_count()} processors"
    print(f"{processor()} ({platform.machine()}), {threads}, torch {torch.__version__}; ", end="")
    print(f"a model of {LAYERS} layers, {HEADS} heads, d = {SIZE}, float32.\n", flush=True)
    model, rows = Model().eval(), []
    with torch.no_grad():
        for count in options.sizes:
            turns = max(3, round(options.pairs * SHARE.get(count, 1)))
            rows += measure(model, count, turns)
    table(
        "A forward pass that keeps all attention / a plain one", rows, ["plain (s)", *masks(1), MEMORY, MEMORY_OF_EAGER]
    )
    table("Views of what was kept", rows, [OVERVIEWS, RECORD_COLUMN, ROW, ROLLOUT, *DTYPES])
    pages = [row for count in options.pages for row in measure_page(count)]
    table("A page of all layers and heads", pages, ["seconds", "memory (MB)", "HTML (MB)"])
    table("Aims", check_aims(rows), ["at most", "worst", "at", "verdict"])


RECORD_COLUMN = "whole record / plain"


def measure(model: Model, count: int, turns: int) -> list[Row]:
    """Returns a row per method at one size."""
    with_eager = count <= MAX_EAGER_TOKENS
    seconds, pass_ratios = passes(model, count, turns, with_eager)
    view_times, errors = views(model, count, turns, with_eager), numeric_errors(count, with_eager)
    growth = {
        kind: isolated(kind, count)["memory"] for kind in ("plain", "captured", *(["eager"] if with_eager else []))
    }
    rows = []
    for method, kind in {"mmviz": "captured", "eager": "eager"}.items():
        if kind in growth:
            row: Row = {"tokens": count, "method": method, "plain (s)": seconds, MEMORY: growth[kind] / growth["plain"]}
            rows.append(row | pass_ratios[method] | view_times[method] | errors[method])
    if with_eager:
        rows[0][MEMORY_OF_EAGER] = growth["captured"] / growth["eager"]
    return rows


def measure_page(count: int) -> list[Row]:
    """Returns time, memory and size from the result of a forward pass to HTML, by mmviz and by bertviz."""
    rows: list[Row] = []
    for method in ("mmviz", "bertviz"):
        if importlib.util.find_spec(method) is None:
            rows.append({"tokens": count, "method": f"{method} (not installed)"})
            continue
        cost = isolated(method, count)
        sizes = {"memory (MB)": cost["memory"] / 1e6, "HTML (MB)": cost["size"] / 1e6}
        rows.append({"tokens": count, "method": method, "seconds": cost["seconds"], **sizes})
    return rows


@dataclass(frozen=True)
class Aim:
    """The largest value that ``columns`` may have at sizes from ``first`` to ``last``."""

    name: str
    columns: tuple[str, ...]
    limit: float
    first: int = 1024
    last: float = math.inf


AIMS = (
    Aim("captured / plain", tuple(masks(1)), 1.05),
    Aim("captured, " + MEMORY, (MEMORY,), 2.1),
    Aim("captured, " + MEMORY_OF_EAGER, (MEMORY_OF_EAGER,), 0.1, 4096, 4096),
    Aim(OVERVIEWS, (OVERVIEWS,), 0.5, 1024, 8192),
    Aim(ROW, (ROW,), 5, 8192, 8192),
    Aim("overview, error in float32", ("error, float32",), 1e-6),
    Aim("overview, error in bfloat16", ("error, bfloat16",), 5e-5),
    Aim(ROLLOUT, (ROLLOUT,), 0.9),
)


def check_aims(rows: Iterable[Mapping[str, object]]) -> list[Row]:
    """Returns for each aim the worst value and where it was measured."""
    verdicts: list[Row] = []
    for aim in AIMS:
        values = [
            (value, f"{row['tokens']:,} tokens, {column}" if len(aim.columns) > 1 else f"{row['tokens']:,} tokens")
            for row in rows
            if row["method"] == "mmviz" and aim.first <= int(str(row["tokens"])) <= aim.last
            for column in aim.columns
            if isinstance(value := row.get(column), float)
        ]
        verdict: Row = {"method": aim.name, "at most": aim.limit, "verdict": "not measured"}
        if values:
            worst, where = max(values)
            verdict |= {"worst": worst, "at": where, "verdict": "met" if worst <= aim.limit else "**missed**"}
        verdicts.append(verdict)
    return verdicts


def table(title: str, rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> None:
    """Prints ``columns`` of rows as Markdown, after the columns that identify a row."""
    columns = [*(name for name in ("tokens", "method") if any(name in row for row in rows)), *columns]
    print(f"**{title}**\n\n| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(formatted(row.get(name)) for name in columns) + " |")
    print(flush=True)


def formatted(value: object) -> str:
    """Returns a value with three digits."""
    if isinstance(value, float):
        return f"{value:.1e}" if value < 1e-3 else f"{value:.2f}" if value < 10 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value or "")


def processor() -> str:
    """Returns the name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.exists() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


if __name__ == "__main__":
    main()
