"""Time of capture and its views beside a plain forward pass, and of eager attention with its full maps."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from model import HEADS, LAYERS, SIZE, Model, masks
from torch import Tensor

import mmviz
from mmviz.capture.call_rollout_relevance import one_stream
from mmviz.capture.joint_rollout import rollout_rows

BINS = 64
Work = Callable[[], object]


def uneven_edges(count: int) -> list[int]:
    """Returns the edges of `BINS` uneven bins, small ones first; fewer where there are too few tokens."""
    return np.unique(np.round(count * (np.arange(BINS + 1) / BINS) ** 1.5).astype(int)).tolist()


def median_seconds(works: dict[str, Work], turns: int) -> dict[str, float]:
    """Returns the median seconds of each work. They take turns, after one warm-up turn."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(turns + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if turn:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def passes(model: Model, count: int, turns: int, with_eager: bool) -> tuple[float, dict[str, dict[str, float]]]:
    """Returns the seconds of a plain pass without a mask, and by method and mask the time of a pass that keeps all
    attention, divided by a plain pass with that mask."""
    x = torch.randn(1, count, SIZE)
    plain_seconds = 0.0
    ratios: dict[str, dict[str, float]] = {"mmviz": {}, "eager": {}}
    for mask, options in masks(count).items():

        def captured() -> None:
            with mmviz.capture(model):
                model(x, options)  # noqa: B023

        works: dict[str, Work] = {"plain": lambda: model(x, options), "mmviz": captured}  # noqa: B023
        if with_eager:
            works["eager"] = lambda: model(x, options, [])  # noqa: B023
        times = median_seconds(works, turns)
        plain_seconds = plain_seconds or times["plain"]
        for method in works.keys() - {"plain"}:
            ratios[method][mask] = times[method] / times["plain"]
    return plain_seconds, ratios


OVERVIEWS, RECORD, ROW, ROLLOUT = "all overviews / plain", "whole record / plain", "one row (ms)", "rollout / attention"


def views(model: Model, count: int, turns: int, with_eager: bool) -> dict[str, dict[str, float]]:
    """Returns by method the time of views of one captured pass, and of the same from the full maps of an eager pass."""
    x, edges = torch.randn(1, count, SIZE), uneven_edges(count)
    with mmviz.capture(model) as result:
        model(x)
    start = bin_means(edges)
    query, key, value = (torch.randn(1, HEADS, count, SIZE // HEADS) for _ in range(3))
    works: dict[str, Work] = {
        "plain": lambda: model(x),
        "attention": lambda: [F.scaled_dot_product_attention(query, key, value) for _ in range(LAYERS)],
        f"mmviz {OVERVIEWS}": lambda: [result.view(layer).overview(edges, edges) for layer in range(LAYERS)],
        f"mmviz {RECORD}": result.record,
        f"mmviz {ROW}": lambda: result.view(2).rows([count // 3], 1),
        f"mmviz {ROLLOUT}": lambda: rollout_rows(one_stream([result.view(k) for k in range(LAYERS)]), start, 0, 0),
    }
    if with_eager:
        maps: list[Tensor] = []
        model(x, kept=maps)
        works |= {
            f"eager {OVERVIEWS}": lambda: [start @ weights[0] @ start.T for weights in maps],
            f"eager {ROW}": lambda: maps[2][0, 1, count // 3].numpy().copy(),
            f"eager {ROLLOUT}": lambda: full_rollout(maps, start),
        }
    times = median_seconds(works, turns)
    units = {OVERVIEWS: times["plain"], RECORD: times["plain"], ROW: 1e-3, ROLLOUT: times["attention"]}
    return {
        method: {name: times[f"{method} {name}"] / unit for name, unit in units.items() if f"{method} {name}" in times}
        for method in ("mmviz", "eager")
    }


def bin_means(edges: list[int]) -> Tensor:
    """Returns the matrix ``[bin, token]`` that averages tokens within bins."""
    widths = torch.tensor(edges).diff()
    return torch.eye(len(widths)).div(widths[:, None]).repeat_interleave(widths, 1)


def full_rollout(maps: list[Tensor], start: Tensor) -> Tensor:
    """Rollout (Abnar and Zuidema 2020, section 3) of rows ``start``, from full maps."""
    for weights in reversed(maps):
        start = (start + start @ weights[0].mean(0)) / 2
    return start
