"""Cost of the experiments, as multiples of one run of the model: ``python benchmarks/experiments.py``.

Each row takes turns with single runs, so that both meet the same load; the figures are medians.
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
    """Times Shapley values, head ablation, the curves and integrated gradients on one gallery example."""
    sample = next(example for example in load_gallery() if example.id == "spoken-place").sample()
    backend = LocalBackend("cpu")
    single = Request("trio", sample, maps=False)
    (record,) = backend.run([Request("trio", sample, relevance=True, norms=True, integrated=True)])
    tokens, methods = record.streams[record.maps[-1].keys], attributions(record)
    plans = {
        "effect: Shapley values of 3 modalities": effect_requests(single),
        "heads: each ablated alone": head_requests(single, all_heads(record)),
        f"curves: {len(methods)} methods, 10 random orders": curve_requests(single, tokens, methods),
    }
    rows = {
        name: (sum(len(request.sweep) for request in plan), _cost(backend, plan, single))
        for name, plan in plans.items()
    }
    integrated = (Request("trio", sample, integrated=True),)
    rows["integrated gradients, 32 points (forward and back)"] = (32, _cost(backend, integrated, single))
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}; medians of {TURNS}\n")
    print("| experiment | runs, one by one | cost in runs | cost / one by one |\n|---|---|---|---|")
    for name, (count, cost) in rows.items():
        print(f"| {name} | {count} | {cost:.1f} | {cost / count:.2f} |")


def _cost(backend: LocalBackend, plan: tuple[Request, ...], single: Request) -> float:
    """Returns the time of the plan in single runs."""
    ratios = []
    for turn in range(TURNS + 1):
        single_seconds = _seconds(lambda: [backend.run([single]) for _ in range(3)]) / 3
        plan_seconds = _seconds(lambda: backend.run(plan))
        if turn:  # the first is a warm-up
            ratios.append(plan_seconds / single_seconds)
    return statistics.median(ratios)


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


if __name__ == "__main__":
    sys.exit(main())
