"""The fusion kinds side by side: accuracy by family, parameters, time, and pointing.

Every kind points by one rule: of its maps whose queries begin with an answer token, the map that points best on
examples of another seed, mean over its heads, for image and audio each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import tee
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.backends import Backend
from mmviz.models.cards import COMPARED
from mmviz.models.question_templates import FAMILIES, NEEDS, slots
from mmviz.training.evaluate.evaluation_cases import Case, cases, runs
from mmviz.training.evaluate.measure_model import CHOOSING_SEED, SEED, Tick, fewer, machine, worlds
from mmviz.training.evaluate.metrics import Score, pointing_hits
from mmviz.training.world.examples import World
from mmviz.types import AttentionRecord, Modality, Request

ALL = ("trio", *COMPARED)
ROUNDS = 15
"""Runs of one example whose time is measured, of every kind in turn."""
PointingScores = dict[tuple[str, int, str], Score]
"""Pointing by kind, number of the map, and ``image`` or ``audio``."""


def compare(backend: Backend, count: int, tick: Tick) -> dict[str, Any]:
    """Returns all figures that ``mmviz evaluate --fusions`` prints, as plain values. ``count``: examples per family."""
    world = worlds()["unseen scenes"]
    accuracy: dict[str, dict[str, float]] = {kind: {} for kind in ALL}
    for family in FAMILIES:
        hits = dict.fromkeys(ALL, 0)
        for case, records in _runs(backend, cases(world, SEED, family, count, busy=False), maps=False):
            for kind, record in records.items():
                hits[kind] += record.answers[0].label == case.question.answer
            tick("answers")
        for kind in ALL:
            accuracy[kind][family] = hits[kind] / count
    pointing_count = fewer(count)
    best = _best_maps(_pointing(backend, world, CHOOSING_SEED, pointing_count, tick))
    scores = _pointing(backend, world, SEED, pointing_count, tick)
    times = _milliseconds(backend, world)
    cards = {card.id: card for card in backend.models()}
    kinds = {
        kind: {
            "accuracy": accuracy[kind],
            "cross-modal": _mean(accuracy[kind], is_cross_modal),
            "single modality": _mean(accuracy[kind], lambda family: not is_cross_modal(family)),
            "parameters": cards[kind].details.get("parameters"),
            "time": times[kind] / times[COMPARED[0]],
            "pointing": {
                modality: scores[kind, number, modality].rate
                for (name, modality), number in best.items() if name == kind
            },
            "maps": {modality: number for (name, modality), number in best.items() if name == kind},
        }
        for kind in ALL
    }  # fmt: skip
    chance = {
        modality: next(score.chance_rate for (_, _, other), score in scores.items() if other == modality)
        for modality in ("image", "audio")
    }
    return {
        "seed": SEED,
        "count": count,
        "pointing count": pointing_count,
        "machine": machine(),
        "kinds": kinds,
        "chance": chance,
    }


def is_cross_modal(family: str) -> bool:
    """Returns whether something named in one modality must be located in another."""
    return bool(slots(family)) or len(NEEDS[family]) > 1


def _runs(
    backend: Backend, examples: Iterable[Case], maps: bool
) -> Iterator[tuple[Case, dict[str, AttentionRecord]]]:  # fmt: skip
    """Yields each example with the records of all kinds."""
    by_kind = [
        runs(backend, of_kind, lambda case, kind=kind: Request(kind, case.sample, maps=maps))  # type: ignore[misc]
        for kind, of_kind in zip(ALL, tee(examples, len(ALL)), strict=True)
    ]
    for parts in zip(*by_kind, strict=True):
        yield parts[0][0], {kind: record for kind, (_, record) in zip(ALL, parts, strict=True)}


def _pointing(backend: Backend, world: World, seed: int, count: int, tick: Tick) -> PointingScores:
    """Returns pointing of every map with an answer token among its queries, over all families in busy scenes."""
    scores: PointingScores = defaultdict(Score)
    for family in FAMILIES:
        for case, records in _runs(backend, cases(world, seed, family, count, busy=True), maps=True):
            for kind, record in records.items():
                for number, amounts in _answer_rows(record):
                    tokens = record.streams[record.maps[number].keys]
                    for modality, hit, chance in pointing_hits(case, tokens, amounts):
                        scores[kind, number, modality].add(hit, chance)
            tick("pointing")
    return scores


def _answer_rows(record: AttentionRecord) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yields number and weights ``[key]``, mean over heads, of each map whose first query is an answer token."""
    for number, attn_map in enumerate(record.maps):
        if record.streams[attn_map.queries][0].modality is Modality.SPECIAL:
            yield number, attn_map.weights[:, 0].mean(0, dtype=np.float64)


def _best_maps(scores: PointingScores) -> dict[tuple[str, str], int]:
    """Returns the number of the map that points best, by kind and modality."""
    best: dict[tuple[str, str], int] = {}
    for kind, number, modality in scores:
        current = best.get((kind, modality))
        if current is None or scores[kind, number, modality].rate > scores[kind, current, modality].rate:
            best[kind, modality] = number
    return best


def _milliseconds(backend: Backend, world: World) -> dict[str, float]:
    """Returns the median time of the whole model by kind, in milliseconds; all kinds take turns, after a warm-up."""
    case = next(cases(world, SEED, "relheard", 1, busy=True))
    times: dict[str, list[float]] = {kind: [] for kind in ALL}
    for _ in range(ROUNDS + 2):
        for kind in ALL:
            (record,) = backend.run([Request(kind, case.sample, maps=False)])
            times[kind].append(record.made_by["milliseconds"]["model"])
    return {kind: median(milliseconds[2:]) for kind, milliseconds in times.items()}


def _mean(by_family: Mapping[str, float], include: Callable[[str], bool]) -> float:
    return float(np.mean([rate for family, rate in by_family.items() if include(family)]))


def markdown(result: Mapping[str, Any]) -> str:
    """Returns the table as docs/fusion-kinds.md has it."""
    kinds: Mapping[str, Any] = result["kinds"]
    lines = [
        f"{result['count']} examples a family (pointing: {result['pointing count']}), seed {result['seed']}, "
        f"{result['machine']}.", "",
        "| | needs | " + " | ".join(kinds) + " |", "|---|---|" + "---|" * len(kinds),
    ]  # fmt: skip
    for family in FAMILIES:
        needs = " and ".join(NEEDS[family])
        rates = (f"{kind['accuracy'][family]:.2f}" for kind in kinds.values())
        lines.append(f"| {family} | {needs} | " + " | ".join(rates) + " |")
    rows: Sequence[tuple[str, Any]] = (
        ("**one modality is enough**", lambda kind: f"**{kind['single modality']:.2f}**"),
        ("**modalities must be related**", lambda kind: f"**{kind['cross-modal']:.2f}**"),
        (
            "parameters of the fusion, millions",
            lambda kind: f"{kind['parameters'] / 1e6:.1f}" if kind["parameters"] else "–",
        ),
        ("time of a run, trio-reduced = 1", lambda kind: f"{kind['time']:.2f}"),
        (f"pointing, image (chance {result['chance']['image']:.2f})", lambda kind: f"{kind['pointing']['image']:.2f}"),
        (f"pointing, audio (chance {result['chance']['audio']:.2f})", lambda kind: f"{kind['pointing']['audio']:.2f}"),
    )
    lines += [f"| {name} | | " + " | ".join(cell(kind) for kind in kinds.values()) + " |" for name, cell in rows]
    return "\n".join(lines)


def count_runs(count: int) -> int:
    """Returns how many examples are run, for a progress bar."""
    return len(FAMILIES) * (count + 2 * fewer(count))
