"""The kinds of fusion side by side: right answers by family, parameters, time, and whether attention points right.

A kind points by one rule for all: of its maps whose queries begin with an answer token, the one that points best on
trios of another seed, mean over its heads, for picture and sound each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.backends import Backend
from mmviz.models.cards import COMPARED
from mmviz.models.question_templates import FAMILIES, NEEDS, slots
from mmviz.training.evaluate.metrics import Case, Score, cases, pointed
from mmviz.training.evaluate.tables import CHOOSING_SEED, SEED, Tick, fewer, machine, worlds
from mmviz.training.world.examples import World
from mmviz.types import AttentionRecord, Modality, Request

ALL = ("trio", *COMPARED)
ROUNDS = 15
"""Runs of one trio whose time is measured, of every kind in turn."""
Points = dict[tuple[str, int, str], Score]
"""Pointing by kind, number of the map, and ``image`` or ``audio``."""


def compare(backend: Backend, count: int, tick: Tick) -> dict[str, Any]:
    """Everything that ``mmviz evaluate --fusions`` prints, as plain values. ``count``: trios a family."""
    world = worlds()["unseen scenes"]
    right: dict[str, dict[str, float]] = {kind: {} for kind in ALL}
    for family in FAMILIES:
        hits = dict.fromkeys(ALL, 0)
        for case in cases(world, SEED, family, count, busy=False):
            for kind, record in _runs(backend, case, maps=False):
                hits[kind] += record.answers[0].label == case.question.answer
            tick("answers")
        for kind in ALL:
            right[kind][family] = hits[kind] / count
    few = fewer(count)
    best = _best(_points(backend, world, CHOOSING_SEED, few, tick))
    found = _points(backend, world, SEED, few, tick)
    times = _milliseconds(backend, world)
    cards = {card.id: card for card in backend.models()}
    kinds = {
        kind: {
            "accuracy": right[kind],
            "meet": _mean(right[kind], meets),
            "apart": _mean(right[kind], lambda family: not meets(family)),
            "parameters": cards[kind].details.get("parameters"),
            "time": times[kind] / times[COMPARED[0]],
            "pointing": {side: found[kind, number, side].rate for (name, side), number in best.items() if name == kind},
            "maps": {side: number for (name, side), number in best.items() if name == kind},
        }
        for kind in ALL
    }  # fmt: skip
    chance = {
        side: next(score.blind for (_, _, one), score in found.items() if one == side) for side in ("image", "audio")
    }
    return {
        "seed": SEED,
        "count": count,
        "pointing count": few,
        "machine": machine(),
        "kinds": kinds,
        "chance": chance,
    }


def meets(family: str) -> bool:
    """Whether what one modality names must be looked for in another; else what is asked for stands in one alone."""
    return bool(slots(family)) or len(NEEDS[family]) > 1


def _runs(backend: Backend, case: Case, maps: bool) -> Iterator[tuple[str, AttentionRecord]]:
    for kind in ALL:
        (record,) = backend.run([Request(kind, case.sample, maps=maps)])
        yield kind, record


def _points(backend: Backend, world: World, seed: int, count: int, tick: Tick) -> Points:
    """Pointing of every map that an answer token asks in, over all families in busy scenes."""
    found: Points = defaultdict(Score)
    for family in FAMILIES:
        for case in cases(world, seed, family, count, busy=True):
            for kind, record in _runs(backend, case, maps=True):
                for number, amounts in _asked(record):
                    tokens = record.streams[record.maps[number].keys]
                    for side, hit, chance in pointed(case, tokens, amounts):
                        found[kind, number, side].add(hit, chance)
            tick("pointing")
    return found


def _asked(record: AttentionRecord) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """The number of each map that an answer token asks in, and what it gives to every key, mean over the heads."""
    for number, one in enumerate(record.maps):
        if record.streams[one.queries][0].modality is Modality.SPECIAL:
            yield number, one.weights[:, 0].mean(0, dtype=np.float64)


def _best(points: Points) -> dict[tuple[str, str], int]:
    """The map that points best, by kind and side."""
    found: dict[tuple[str, str], int] = {}
    for kind, number, side in points:
        now = found.get((kind, side))
        if now is None or points[kind, number, side].rate > points[kind, now, side].rate:
            found[kind, side] = number
    return found


def _milliseconds(backend: Backend, world: World) -> dict[str, float]:
    """Median time of the whole model by kind, all kinds in turn, warmed up."""
    case = next(cases(world, SEED, "relheard", 1, busy=True))
    times: dict[str, list[float]] = {kind: [] for kind in ALL}
    for _ in range(ROUNDS + 2):
        for kind, record in _runs(backend, case, maps=False):
            times[kind].append(record.made_by["milliseconds"]["model"])
    return {kind: median(found[2:]) for kind, found in times.items()}


def _mean(right: Mapping[str, float], is_meant: Callable[[str], bool]) -> float:
    return float(np.mean([rate for family, rate in right.items() if is_meant(family)]))


def table(found: Mapping[str, Any]) -> str:
    """The figures as the README has them."""
    kinds: Mapping[str, Any] = found["kinds"]
    lines = [
        f"{found['count']} trios a family (pointing: {found['pointing count']}), seed {found['seed']}, "
        f"{found['machine']}.", "",
        "| | needs | " + " | ".join(kinds) + " |", "|---|---|" + "---|" * len(kinds),
    ]  # fmt: skip
    for family in FAMILIES:
        needs = " and ".join(NEEDS[family])
        rates = (f"{one['accuracy'][family]:.2f}" for one in kinds.values())
        lines.append(f"| {family} | {needs} | " + " | ".join(rates) + " |")
    rows: Sequence[tuple[str, Any]] = (
        ("**where one modality is enough**", lambda one: f"**{one['apart']:.2f}**"),
        ("**where modalities must meet**", lambda one: f"**{one['meet']:.2f}**"),
        (
            "parameters of the fusion, millions",
            lambda one: f"{one['parameters'] / 1e6:.1f}" if one["parameters"] else "–",
        ),
        ("time of a run, trio-reduced = 1", lambda one: f"{one['time']:.2f}"),
        (f"pointing, picture (chance {found['chance']['image']:.2f})", lambda one: f"{one['pointing']['image']:.2f}"),
        (f"pointing, sound (chance {found['chance']['audio']:.2f})", lambda one: f"{one['pointing']['audio']:.2f}"),
    )
    lines += [f"| {name} | | " + " | ".join(write(one) for one in kinds.values()) + " |" for name, write in rows]
    return "\n".join(lines)


def trials(count: int) -> int:
    """How many trios will be run, for a progress bar."""
    return len(FAMILIES) * (count + 2 * fewer(count))
