"""What capture costs beside a plain forward pass and beside eager attention: prints Markdown tables, and which aims are
missed.

    python benchmarks/capture.py [--sizes 1024 2048 4096 8192] [--pages 128 512 1024] [--pairs 9]

Times are ratios of medians of runs that took turns in one process; memory is that of processes of their own.
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
from alone import alone
from errors import DTYPES, errors
from model import HEADS, LAYERS, SIZE, Model, masks
from times import OVERVIEWS, ROLLOUT, ROW, passes, views

EAGER_UP_TO = 4096
"""Full maps of more tokens do not fit."""
SHARE = {4096: 0.6, 8192: 0.4}
"""Which share of the runs is made at a size."""
MEMORY, OF_EAGER = "memory / plain", "memory / eager"
Row = dict[str, object]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
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
            rows += measured(model, count, turns)
    table("A forward pass that keeps all attention / a plain one", rows, ["plain (s)", *masks(1), MEMORY, OF_EAGER])
    table("Views of what was kept", rows, [OVERVIEWS, RECORD_COLUMN, ROW, ROLLOUT, *DTYPES])
    pages = [row for count in options.pages for row in paged(count)]
    table("A page of all layers and heads", pages, ["seconds", "memory (MB)", "HTML (MB)"])
    table("Aims", judged(rows), ["at most", "worst", "at", "verdict"])


RECORD_COLUMN = "whole record / plain"


def measured(model: Model, count: int, turns: int) -> list[Row]:
    """What is known of each way at one size."""
    with_eager = count <= EAGER_UP_TO
    seconds, passed = passes(model, count, turns, with_eager)
    viewed, wrong = views(model, count, turns, with_eager), errors(count, with_eager)
    grown = {way: alone(way, count)["memory"] for way in ("plain", "captured", *(["eager"] if with_eager else []))}
    rows = []
    for way, kind in {"mmviz": "captured", "eager": "eager"}.items():
        if kind in grown:
            row: Row = {"tokens": count, "way": way, "plain (s)": seconds, MEMORY: grown[kind] / grown["plain"]}
            rows.append(row | passed[way] | viewed[way] | wrong[way])
    if with_eager:
        rows[0][OF_EAGER] = grown["captured"] / grown["eager"]
    return rows


def paged(count: int) -> list[Row]:
    """From what a forward pass kept to HTML, by mmviz and by bertviz."""
    rows: list[Row] = []
    for way in ("mmviz", "bertviz"):
        if importlib.util.find_spec(way) is None:
            rows.append({"tokens": count, "way": f"{way} (not installed)"})
            continue
        took = alone(way, count)
        sizes = {"memory (MB)": took["memory"] / 1e6, "HTML (MB)": took["size"] / 1e6}
        rows.append({"tokens": count, "way": way, "seconds": took["seconds"], **sizes})
    return rows


@dataclass(frozen=True)
class Aim:
    """What the largest of ``columns`` may be at sizes from ``first`` to ``last``."""

    way: str
    columns: tuple[str, ...]
    limit: float
    first: int = 1024
    last: float = math.inf


AIMS = (
    Aim("captured / plain", tuple(masks(1)), 1.05),
    Aim("captured, " + MEMORY, (MEMORY,), 2.1),
    Aim("captured, " + OF_EAGER, (OF_EAGER,), 0.1, 4096, 4096),
    Aim(OVERVIEWS, (OVERVIEWS,), 0.5, 1024, 8192),
    Aim(ROW, (ROW,), 5, 8192, 8192),
    Aim("overview, error in float32", ("error, float32",), 1e-6),
    Aim("overview, error in bfloat16", ("error, bfloat16",), 5e-5),
    Aim(ROLLOUT, (ROLLOUT,), 0.9),
)


def judged(rows: Iterable[Mapping[str, object]]) -> list[Row]:
    """Each aim, the worst that was found of it and where."""
    verdicts: list[Row] = []
    for aim in AIMS:
        found = [
            (value, f"{row['tokens']:,} tokens, {column}" if len(aim.columns) > 1 else f"{row['tokens']:,} tokens")
            for row in rows
            if row["way"] == "mmviz" and aim.first <= int(str(row["tokens"])) <= aim.last
            for column in aim.columns
            if isinstance(value := row.get(column), float)
        ]
        verdict: Row = {"way": aim.way, "at most": aim.limit, "verdict": "not measured"}
        if found:
            worst, where = max(found)
            verdict |= {"worst": worst, "at": where, "verdict": "met" if worst <= aim.limit else "**missed**"}
        verdicts.append(verdict)
    return verdicts


def table(title: str, rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> None:
    """Print ``columns`` of rows as Markdown, after what tells the rows apart."""
    columns = [*(name for name in ("tokens", "way") if any(name in row for row in rows)), *columns]
    print(f"**{title}**\n\n| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(shown(row.get(name)) for name in columns) + " |")
    print(flush=True)


def shown(value: object) -> str:
    """Three digits."""
    if isinstance(value, float):
        return f"{value:.1e}" if value < 1e-3 else f"{value:.2f}" if value < 10 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value or "")


def processor() -> str:
    """The name of the processor."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


if __name__ == "__main__":
    main()
