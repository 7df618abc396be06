"""What evidence costs, as multiples of one run of the model: ``python benchmarks/evidence.py``.

Each row is timed beside single runs in turn, so that both meet the same machine; printed are medians.
"""

from __future__ import annotations

import platform
import statistics
import sys
import time
from collections.abc import Callable

import torch

from mmviz.analysis.attributions import attributions
from mmviz.analysis.head_profiles import all_heads
from mmviz.backends.local import LocalBackend
from mmviz.experiments.faithfulness import curve_requests
from mmviz.experiments.head_ablation import head_requests
from mmviz.experiments.modality_shapley import effect_requests
from mmviz.inputs.examples import load_gallery
from mmviz.types import Request

TURNS = 7


def main() -> None:
    """Time Shapley values, the head sweep, the curves and integrated gradients on one gallery trio."""
    sample = next(example for example in load_gallery() if example.id == "spoken-place").sample()
    backend = LocalBackend("cpu")
    one = Request("trio", sample, maps=False)
    (record,) = backend.run([Request("trio", sample, relevance=True, norms=True, integrated=True)])
    tokens, ways = record.streams[record.maps[-1].keys], attributions(record)
    plans = {
        "effect: Shapley values of 3 modalities": effect_requests("trio", sample),
        "heads: each switched off alone": head_requests("trio", sample, all_heads(record)),
        f"curves: {len(ways)} ways, 10 random orders": curve_requests("trio", sample, tokens, ways),
    }
    rows = {name: (sum(len(asked.sweep) for asked in plan), _times(backend, plan, one)) for name, plan in plans.items()}
    deep = (Request("trio", sample, integrated=True),)
    rows["integrated gradients, 32 points (forward and back)"] = (32, _times(backend, deep, one))
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}; medians of {TURNS}\n")
    print("| what | runs, one by one | cost in runs | cost / one by one |\n|---|---|---|---|")
    for name, (count, cost) in rows.items():
        print(f"| {name} | {count} | {cost:.1f} | {cost / count:.2f} |")


def _times(backend: LocalBackend, plan: tuple[Request, ...], one: Request) -> float:
    """How many single runs the plan takes."""
    ratios = []
    for turn in range(TURNS + 1):
        single = _seconds(lambda: [backend.run([one]) for _ in range(3)]) / 3
        whole = _seconds(lambda: backend.run(plan))
        if turn:  # the first warms up
            ratios.append(whole / single)
    return statistics.median(ratios)


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


if __name__ == "__main__":
    sys.exit(main())
