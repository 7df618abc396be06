"""What a run costs a backend, and how it holds under visitors: ``python benchmarks/serving.py [--visitors 20]``.

One backend on this machine, asked over loopback by threads that stand for visitors; each asks ``--runs`` times.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import torch

from mmviz.backends import wire
from mmviz.backends.remote import RemoteBackend
from mmviz.cli.doctor import diagnose
from mmviz.inputs.examples import load_gallery
from mmviz.types import MmvizError, Request

PORT = 8_699


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--visitors", type=int, nargs="+", default=(1, 4, 20))
    parser.add_argument("--runs", type=int, default=10)
    options = parser.parse_args()
    command = [sys.executable, "-m", "mmviz.cli", "serve", "--port", str(PORT)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            _report(options.visitors, options.runs)
        finally:
            server.terminate()


def _report(visitors: list[int], runs: int) -> None:
    url = f"http://127.0.0.1:{PORT}"
    requests = [Request("trio", example.sample(), relevance=True) for example in load_gallery()]
    remote = RemoteBackend(url, deadline=120)
    _wait(remote)
    expected = [remote.run([request])[0].answers for request in requests]
    machine = diagnose("toy", None)["machine"]
    print(f"{machine['name']}, torch {torch.__version__}; trio, {len(requests)} trios of the gallery.\n")
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
                began = time.perf_counter()
                urllib.request.urlopen(f"{url}/live", timeout=10).read()
                health.append((time.perf_counter() - began) * 1e3)

        def visit(visitor: int, runs: int = runs) -> list[tuple[float, bool | None]]:
            mine, found = RemoteBackend(url, deadline=120), []
            for turn in range(runs):
                k = (visitor + turn) % len(requests)
                began = time.perf_counter()
                try:
                    is_right = mine.run([requests[k]])[0].answers == expected[k]
                except MmvizError:
                    is_right = None
                found.append((time.perf_counter() - began, is_right))
            return found

        watching = threading.Thread(target=watch)
        watching.start()
        began = time.perf_counter()
        with ThreadPoolExecutor(count) as pool:
            for seconds, is_right in (one for found in pool.map(visit, range(count)) for one in found):
                spent.append(seconds)
                wrong += is_right is False
                refused += is_right is None
        whole = time.perf_counter() - began
        done.set()
        watching.join()
        print(
            f"| {count} | {len(spent)} | {len(spent) / whole:.1f} | {statistics.median(spent):.2f} | {_p95(spent):.2f} "
            f"| {wrong} | {refused} | {_p95(health):.0f} |",
            flush=True,
        )


def _p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


def _wait(remote: RemoteBackend) -> None:
    for _ in range(300):
        try:
            remote.models()
            return
        except MmvizError:
            remote.reset()
            time.sleep(0.2)
    raise SystemExit("the backend did not start")


if __name__ == "__main__":
    main()
