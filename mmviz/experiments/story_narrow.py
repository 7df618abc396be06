"""Narrows the steps of a story: the fewest queries, keys and layers that still carry them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mmviz.analysis.key_clusters import distinct_clusters, nearest_queries, query_clusters, surrounded
from mmviz.experiments.route_cut import LayerWindow, route_windows
from mmviz.experiments.story_search import KEPT, LEAST, READERS, Cutter, Step
from mmviz.types import AttentionRecord, ChosenTokens, Modality, TokenGroup

KEPT_TOGETHER = 0.35
"""Part of the effect that fewer queries, keys and layers of a step still take where they come together."""
CORE = 4
"""A cluster of so many keys is tried with fewer."""


def _places(record: AttentionRecord, tried: Sequence[Step], group: TokenGroup) -> list[ChosenTokens]:
    """Returns the clusters of the modality ``group`` that were tried as keys, each once; none of any other group."""
    if not isinstance(group, Modality):
        return []
    own = (candidate.keys for candidate in tried if candidate.modality is group)
    return distinct_clusters([keys for keys in own if isinstance(keys, ChosenTokens)])


def narrowed(cutter: Cutter, record: AttentionRecord, steps: Sequence[Step], all_tried: Sequence[Step]) -> list[Step]:
    """Returns ``steps`` with the fewest queries, keys and layers that still take much of the effect, each cut as it is.

    Fewer of each take `KEPT` of the effect alone; together they take `LEAST` and `KEPT_TOGETHER` of it.
    """
    windows = route_windows(record)[:-1]
    tried = [
        (
            [replace(step, queries=queries) for queries in _readers(record, all_tried, step)],
            [replace(step, keys=keys) for keys in _cores(step.keys)],
            [replace(step, windows=_joined(windows[first:])) for first in range(1, len(windows))],
        )
        for step in steps
    ]
    measured = iter(cutter.measure([each for parts in tried for part in parts for each in part]))
    ends: list[list[Step]] = []
    for step, parts in zip(steps, tried, strict=True):
        readers, cores, later = ([next(measured) for _ in part] for part in parts)
        needed_part = min(KEPT * step.effect, -LEAST)
        reader = min(readers, key=lambda each: each.effect, default=step)
        queries = reader.queries if reader.effect <= needed_part else step.queries
        keys = next((core.keys for core in cores if core.effect <= needed_part), step.keys)
        start = max((k + 1 for k, each in enumerate(later) if each.effect <= needed_part), default=0)
        layers = [_joined(windows[start:end]) for end in range(start + 1, len(windows) + 1)]
        small = replace(step, queries=queries, keys=keys)
        ends.append([replace(small, windows=some) for some in layers])
        if small != step:  # where they do not hold together
            ends[-1].append(replace(step, windows=layers[-1]))
    confirmed = iter(cutter.measure([each for some in ends for each in some]))
    result = []
    for step, some in zip(steps, ends, strict=True):
        own = [next(confirmed) for _ in some]
        result.append(next((c for c in own if c.effect <= min(KEPT_TOGETHER * step.effect, -LEAST)), step))
    return result


def _readers(record: AttentionRecord, tried: Sequence[Step], step: Step) -> list[ChosenTokens]:
    """Returns the places that may read the keys of a step in the name of its queries: those that were tried as keys,
    and those that attend to the keys most."""
    places = nearest_queries(record, _places(record, tried, step.queries), step.keys, READERS)
    if isinstance(step.queries, Modality):
        clusters = query_clusters(record, step.queries, step.keys, READERS)[:READERS]
        places += clusters
        places += [surrounded(record, cluster) for cluster in clusters[:1] if step.queries is not Modality.TEXT]
    return places


def _cores(keys: TokenGroup) -> list[ChosenTokens]:
    """Returns the strongest quarter and half of chosen keys, fewest first; none of a small cluster."""
    if not isinstance(keys, ChosenTokens) or len(keys.tokens) < CORE:
        return []
    count = len(keys.tokens)
    return [replace(keys, tokens=keys.tokens[:size]) for size in dict.fromkeys((-(-count // 4), -(-count // 2)))]


def _joined(windows: Sequence[LayerWindow]) -> tuple[LayerWindow, ...]:
    """Returns one window for each stack of ``windows``."""
    layers: dict[str, tuple[int, ...]] = {}
    for window in windows:
        layers[window.stack] = (*layers.get(window.stack, ()), *(window.layers or ()))
    return tuple(LayerWindow(stack, numbers) for stack, numbers in layers.items())
