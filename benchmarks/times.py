"""How long capture and its views take beside a plain forward pass, and eager attention with its full maps."""

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
from mmviz.capture.flow import rollout_rows

BINS = 64
Work = Callable[[], object]


def edges_of(count: int) -> list[int]:
    """`BINS` uneven bins, small ones first; fewer where there are too few tokens."""
    return np.unique(np.round(count * (np.arange(BINS + 1) / BINS) ** 1.5).astype(int)).tolist()


def taking_turns(works: dict[str, Work], turns: int) -> dict[str, float]:
    """The median seconds of each work; they take turns, after one turn that is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(turns + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if turn:
                taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(found) for name, found in taken.items()}


def passes(model: Model, count: int, turns: int, with_eager: bool) -> tuple[float, dict[str, dict[str, float]]]:
    """Seconds of a plain pass without a mask; and by way and mask, the time of a pass that keeps all attention / plain
    with that mask."""
    x = torch.randn(1, count, SIZE)
    plain_seconds = 0.0
    found: dict[str, dict[str, float]] = {"mmviz": {}, "eager": {}}
    for mask, options in masks(count).items():

        def captured() -> None:
            with mmviz.capture(model):
                model(x, options)  # noqa: B023

        works: dict[str, Work] = {"plain": lambda: model(x, options), "mmviz": captured}  # noqa: B023
        if with_eager:
            works["eager"] = lambda: model(x, options, [])  # noqa: B023
        taken = taking_turns(works, turns)
        plain_seconds = plain_seconds or taken["plain"]
        for way in works.keys() - {"plain"}:
            found[way][mask] = taken[way] / taken["plain"]
    return plain_seconds, found


OVERVIEWS, RECORD, ROW, ROLLOUT = "all overviews / plain", "whole record / plain", "one row (ms)", "rollout / attention"


def views(model: Model, count: int, turns: int, with_eager: bool) -> dict[str, dict[str, float]]:
    """By way, what the views of one captured pass take, and the same from the full maps of an eager one."""
    x, edges = torch.randn(1, count, SIZE), edges_of(count)
    with mmviz.capture(model) as seen:
        model(x)
    start = means(edges)
    query, key, value = (torch.randn(1, HEADS, count, SIZE // HEADS) for _ in range(3))
    works: dict[str, Work] = {
        "plain": lambda: model(x),
        "attention": lambda: [F.scaled_dot_product_attention(query, key, value) for _ in range(LAYERS)],
        f"mmviz {OVERVIEWS}": lambda: [seen.view(layer).overview(edges, edges) for layer in range(LAYERS)],
        f"mmviz {RECORD}": seen.record,
        f"mmviz {ROW}": lambda: seen.view(2).rows([count // 3], 1),
        f"mmviz {ROLLOUT}": lambda: rollout_rows(seen.layers("rollout"), start.double().numpy()),
    }
    if with_eager:
        maps: list[Tensor] = []
        model(x, kept=maps)
        works |= {
            f"eager {OVERVIEWS}": lambda: [start @ one[0] @ start.T for one in maps],
            f"eager {ROW}": lambda: maps[2][0, 1, count // 3].numpy().copy(),
            f"eager {ROLLOUT}": lambda: full_rollout(maps, start),
        }
    taken = taking_turns(works, turns)
    by = {OVERVIEWS: taken["plain"], RECORD: taken["plain"], ROW: 1e-3, ROLLOUT: taken["attention"]}
    return {
        way: {name: taken[f"{way} {name}"] / unit for name, unit in by.items() if f"{way} {name}" in taken}
        for way in ("mmviz", "eager")
    }


def means(edges: list[int]) -> Tensor:
    """``[bin, token]``: what makes means over bins of tokens."""
    widths = torch.tensor(edges).diff()
    return torch.eye(len(widths)).div(widths[:, None]).repeat_interleave(widths, 1)


def full_rollout(maps: list[Tensor], start: Tensor) -> Tensor:
    """Rollout (Abnar and Zuidema 2020, section 3) of rows ``start``, from full maps."""
    for one in reversed(maps):
        start = (start + start @ one[0].mean(0)) / 2
    return start
