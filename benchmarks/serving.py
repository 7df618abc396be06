"""The cost of a run on a backend, and its load under many visitors: ``python benchmarks/serving.py [--visitors 20]``.

One backend on this machine, and a thread for each visitor, which makes ``--runs`` runs. ``--batches`` prints instead
how many samples run in a second, by the number that share a call of the model; sizes take turns, and each turn gives a
ratio to a size of 1.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from processes import free_port, running_server

from mmviz.backends import wire
from mmviz.backends.local import LocalBackend
from mmviz.backends.remote import RemoteBackend
from mmviz.cli.commands.doctor import diagnose
from mmviz.inputs.examples import load_gallery
from mmviz.types import INPUT_MODALITIES, AttentionRecord, DropModality, MmvizError, Request

BATCH_REQUESTS: dict[str, dict[str, Any]] = {
    "the answer": {"maps": False},
    "answer and maps": {},
    "answer, maps and relevance": {"relevance": True},
    "the answer and three variants": {
        "maps": False, "sweep": tuple((DropModality(modality),) for modality in INPUT_MODALITIES),
    },
}  # fmt: skip
"""Kinds of requests, and their fields."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--visitors", type=int, nargs="+", default=(1, 4, 20))
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument(
        "--batches", type=int, nargs="*", metavar="SIZE", help="samples in a call (default: 1 2 4 8 16)"
    )
    parser.add_argument("--turns", type=int, default=7, help="with --batches: measured turns after a warm-up")
    parser.add_argument("--model", default="trio", help="with --batches: the model")
    options = parser.parse_args()
    if options.batches is not None:
        _report_batches(options.model, options.batches or [1, 2, 4, 8, 16], options.turns)
        return
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running_server([sys.executable, "-m", "mmviz.cli", "serve", "--port", str(port)], f"{url}/ready"):
        _report(url, options.visitors, options.runs)


def _report(url: str, visitors: list[int], runs: int) -> None:
    requests = [Request("trio", example.sample(), relevance=True) for example in load_gallery()]
    remote = RemoteBackend(url, deadline=120)
    expected = [remote.run([request])[0] for request in requests]
    machine = diagnose("toy", None)["machine"]
    print(f"{machine['name']}, torch {torch.__version__}; trio, {len(requests)} examples of the gallery.\n")
    record = remote.run(requests[:1])[0]
    up, down = len(wire.request_to_bytes(requests[0])) / 1e3, len(wire.record_to_bytes(record)) / 1e3
    print(f"One run: {up:,.0f} kB up, {down:,.0f} kB down; milliseconds: {record.made_by['milliseconds']}\n")
    print("| visitors | runs | runs / s | median (s) | 95th percentile (s) | crossed | refused | /live, 95th (ms) |")
    print("|---|---|---|---|---|---|---|---|")
    for count in visitors:
        spent, wrong, refused = [], 0, 0
        health, done = [], threading.Event()

        def watch(health: list[float] = health, done: threading.Event = done) -> None:
            import urllib.request

            while not done.wait(0.05):
                start = time.perf_counter()
                urllib.request.urlopen(f"{url}/live", timeout=10).read()
                health.append((time.perf_counter() - start) * 1e3)

        def visit(visitor: int, runs: int = runs) -> list[tuple[float, bool | None]]:
            backend, results = RemoteBackend(url, deadline=120), []
            for turn in range(runs):
                k = (visitor + turn) % len(requests)
                start = time.perf_counter()
                try:
                    is_equal = _is_same(backend.run([requests[k]])[0], expected[k])
                except MmvizError:
                    is_equal = None
                results.append((time.perf_counter() - start, is_equal))
            return results

        watching = threading.Thread(target=watch, daemon=True)
        watching.start()
        start = time.perf_counter()
        try:
            with ThreadPoolExecutor(count) as pool:
                for seconds, is_equal in chain.from_iterable(pool.map(visit, range(count))):
                    spent.append(seconds)
                    wrong += is_equal is False
                    refused += is_equal is None
            whole = time.perf_counter() - start
        finally:
            done.set()
            watching.join(20)
        print(
            f"| {count} | {len(spent)} | {len(spent) / whole:.1f} | {statistics.median(spent):.2f} | {_p95(spent):.2f} "
            f"| {wrong} | {refused} | {_p95(health):.0f} |",
            flush=True,
        )


def _report_batches(model: str, sizes: list[int], turns: int) -> None:
    backend = LocalBackend()
    samples = [example.sample() for example in load_gallery()]
    print(f"{backend.machine()['name']}, torch {torch.__version__}; {model}, examples of the gallery.\n")
    print("| request | samples in a call | runs / s | ratio to 1 | shared |\n|---|---|---|---|---|")
    for name, options in BATCH_REQUESTS.items():
        requests = {
            size: [Request(model, samples[k % len(samples)], **options) for k in range(size)] for size in {1, *sizes}
        }
        rates: dict[int, list[float]] = {size: [] for size in requests}
        shared = {}
        for turn in range(turns + 1):
            for size, members in requests.items():
                start = time.perf_counter()
                records = backend.run(members)
                if turn:
                    rates[size].append(size / (time.perf_counter() - start))
                shared[size] = sum("batch_size" in record.made_by for record in records)
        for size in sizes:
            ratio = statistics.median(rate / alone for rate, alone in zip(rates[size], rates[1], strict=True))
            print(
                f"| {name} | {size} | {statistics.median(rates[size]):.1f} | {ratio:.2f} | {shared[size]} of {size} |",
                flush=True,
            )


def _is_same(record: AttentionRecord, expected: AttentionRecord) -> bool:
    """Returns whether the answer is that of ``expected``, to what a GPU rounds in a batch."""
    answer, other = record.answers[0], expected.answers[0]
    return answer.label == other.label and abs(answer.probability - other.probability) < 1e-4


def _p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


if __name__ == "__main__":
    main()
