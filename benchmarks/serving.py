"""The cost of a run on a backend, and its load under many visitors: ``python benchmarks/serving.py [--visitors 20]``.

One backend on this machine, and a thread for each visitor, which makes ``--runs`` runs.
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

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from processes import free_port, running_server

from mmviz.backends import wire
from mmviz.backends.remote import RemoteBackend
from mmviz.cli.commands.doctor import diagnose
from mmviz.inputs.examples import load_gallery
from mmviz.types import MmvizError, Request


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--visitors", type=int, nargs="+", default=(1, 4, 20))
    parser.add_argument("--runs", type=int, default=10)
    options = parser.parse_args()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running_server([sys.executable, "-m", "mmviz.cli", "serve", "--port", str(port)], f"{url}/ready"):
        _report(url, options.visitors, options.runs)


def _report(url: str, visitors: list[int], runs: int) -> None:
    requests = [Request("trio", example.sample(), relevance=True) for example in load_gallery()]
    remote = RemoteBackend(url, deadline=120)
    expected = [remote.run([request])[0].answers for request in requests]
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
                    is_equal = backend.run([requests[k]])[0].answers == expected[k]
                except MmvizError:
                    is_equal = None
                results.append((time.perf_counter() - start, is_equal))
            return results

        watching = threading.Thread(target=watch)
        watching.start()
        start = time.perf_counter()
        with ThreadPoolExecutor(count) as pool:
            for seconds, is_equal in chain.from_iterable(pool.map(visit, range(count))):
                spent.append(seconds)
                wrong += is_equal is False
                refused += is_equal is None
        whole = time.perf_counter() - start
        done.set()
        watching.join()
        print(
            f"| {count} | {len(spent)} | {len(spent) / whole:.1f} | {statistics.median(spent):.2f} | {_p95(spent):.2f} "
            f"| {wrong} | {refused} | {_p95(health):.0f} |",
            flush=True,
        )


def _p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


if __name__ == "__main__":
    main()
