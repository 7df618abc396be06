"""Whether an answer comes by the routes of the modalities that its question needs, by family of questions.

The drop of a modality is that of the answer's log-probability when every way out of it is cut in all layers, its way
through the words included (`mmviz.experiments.route_cut.ways_out`). Its share is its absolute drop over the sum of
those of image, text and audio. A question needs the text, which asks it, and the modalities of `NEEDS`; one that it
does not need is idle. Where nothing is idle the needed ones have all of the sum: what tells there is that the cut of
each moves the answer. Trios that are answered rightly count; of shuffled weights all do, by the answer that these give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmviz.backends import Backend
from mmviz.experiments.route_cut import ways_out
from mmviz.experiments.sweep_requests import answers_only
from mmviz.models.question_templates import FAMILIES, NEEDS
from mmviz.training.evaluate.evaluation_cases import cases, runs
from mmviz.training.evaluate.measure_model import SEED, SHUFFLES, Tick, machine, worlds
from mmviz.training.world.examples import World
from mmviz.types import INPUT_MODALITIES, AttentionRecord, Change, Modality, Request, ShuffleWeights

LEAST_NEEDED, MOST_IDLE = 0.8, 0.1
"""Shares: what the needed modalities are to have together, and what an idle one is to stay below."""
LEAST_MOVED = 0.1
"""Absolute drop from which a cut moves an answer, in nats."""
EVEN = 2 / 3
"""Share of two of three modalities if each has as much as the others."""
LEAST_SHUFFLED = 10
"""Trios a family in each of the shuffles, at least."""
Drops = dict[Modality, float]
"""The drop of image, text and audio, in nats; below 0 where the answer becomes more probable."""


@dataclass(frozen=True)
class RouteScore:
    """How the drops of the examples of one family are spread."""

    needed: tuple[str, ...]
    """The modalities that the question needs, the text included."""
    examples: int
    """Number of examples that count."""
    needed_rate: float
    """Share of examples in which the needed modalities have at least `LEAST_NEEDED`."""
    idle_rate: float | None
    """Share of examples in which the idle modality has less than `MOST_IDLE`; None where all are needed."""
    beside_text_rate: float | None
    """The same if the sum is that of image and audio alone, so that the large drop of the text hides nothing."""
    moved_rate: float
    """Share of examples in which the drop of each needed modality is at least `LEAST_MOVED`."""
    needed_share: float
    """Mean share of the needed modalities together. An even share is their number over three."""
    drops: dict[str, float]
    """Mean drop by modality, in nats."""


def measure(backend: Backend, model: str, count: int, tick: Tick) -> dict[str, Any]:
    """Returns all figures that ``mmviz evaluate --routes`` prints, as plain values.

    ``count``: examples for each family, as in training. Of each of three shuffles there are fewer.
    """
    world = worlds()["unseen scenes"]
    shuffled = {
        seed: drops_by_family(backend, model, world, SEED, fewest(count), (ShuffleWeights(seed),), tick)
        for seed in SHUFFLES
    }
    trained = drops_by_family(backend, model, world, SEED, count, (), tick)
    controls = {
        family: [drops for by_family in shuffled.values() for drops in by_family[family]] for family in FAMILIES
    }
    return {
        "seed": SEED,
        "count": count,
        "machine": machine(),
        "voices": sorted(world.bank.engines),
        "families": {family: vars(score(family, drops)) for family, drops in trained.items() if drops},
        "shuffles": list(SHUFFLES),
        "shuffled count": fewest(count),
        "shuffled": {family: vars(score(family, drops)) for family, drops in controls.items()},
    }


def drops_by_family(
    backend: Backend, model: str, world: World, seed: int, count: int, changes: tuple[Change, ...], tick: Tick
) -> dict[str, list[Drops]]:
    """Returns the drops of each example that counts, of ``count`` by family; all count where ``changes`` are given."""
    sweep = tuple(ways_out(modality) for modality in INPUT_MODALITIES)
    by_family: dict[str, list[Drops]] = {}
    for family in FAMILIES:
        by_family[family] = []
        examples = cases(world, seed, family, count, busy=False)
        for case, record in runs(
            backend, examples, lambda case: answers_only(Request(model, case.sample, changes), sweep)
        ):
            if changes or record.answers[0].label == case.question.answer:
                by_family[family].append(read_drops(record))
            tick("shuffled weights" if changes else "routes")
    return by_family


def read_drops(record: AttentionRecord) -> Drops:
    """Returns the drops from the record of a request that sweeps `ways_out` of image, text and audio."""
    assert record.sweep is not None
    before = float(np.log(record.answers[0].probability))
    return {modality: before - float(row[0]) for modality, row in zip(INPUT_MODALITIES, record.sweep, strict=True)}


def score(family: str, examples: Sequence[Drops]) -> RouteScore:
    """Returns how ``examples``, of which there is at least one, of ``family`` spread. Drops that are all 0 are even."""
    needed = [Modality.TEXT, *map(Modality, NEEDS[family])]
    idle = [modality for modality in INPUT_MODALITIES if modality not in needed]
    shares = [_shares(drops, INPUT_MODALITIES) for drops in examples]
    beside = [_shares(drops, (Modality.IMAGE, Modality.AUDIO)) for drops in examples]
    together = [sum(share[modality] for modality in needed) for share in shares]
    return RouteScore(
        needed=tuple(str(modality) for modality in INPUT_MODALITIES if modality in needed),
        examples=len(examples),
        needed_rate=float(np.mean([share >= LEAST_NEEDED for share in together])),
        idle_rate=_idle_rate(shares, idle),
        beside_text_rate=_idle_rate(beside, idle),
        moved_rate=float(np.mean([all(drops[modality] >= LEAST_MOVED for modality in needed) for drops in examples])),
        needed_share=float(np.mean(together)),
        drops={str(modality): float(np.mean([drops[modality] for drops in examples])) for modality in INPUT_MODALITIES},
    )


def _shares(drops: Drops, modalities: Sequence[Modality]) -> Drops:
    total = sum(abs(drops[modality]) for modality in modalities)
    return {modality: abs(drops[modality]) / total if total else 1 / len(modalities) for modality in modalities}


def _idle_rate(shares: Sequence[Drops], idle: Sequence[Modality]) -> float | None:
    return float(np.mean([all(share[m] < MOST_IDLE for m in idle) for share in shares])) if idle else None


def totals(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Returns each rate over the examples of all families together, of the idle one over those that have one."""
    rates = {}
    for name in ("needed_rate", "idle_rate", "beside_text_rate", "moved_rate"):
        rows = [(row[name], row["examples"]) for row in scores.values() if row[name] is not None]
        values, examples = zip(*rows, strict=True)
        rates[name] = float(np.average(values, weights=examples))
    return rates


def balanced_share(scores: Mapping[str, Mapping[str, Any]]) -> float:
    """Returns the mean share of the needed modalities, families with an idle image and with an idle audio half each.

    An even share is `EVEN`. Balanced, since weights that nothing has trained read most from the modality with most
    tokens, whatever is asked; that is right by chance in the families that need it, and wrong in the others.
    """
    by_needed: dict[tuple[str, ...], list[float]] = {}
    for row in scores.values():
        if len(row["needed"]) < len(INPUT_MODALITIES):
            by_needed.setdefault(tuple(row["needed"]), []).append(row["needed_share"])
    return float(np.mean([np.mean(shares) for shares in by_needed.values()]))


def markdown(result: Mapping[str, Any]) -> str:
    """Returns the table as docs/model-card.md has it."""
    lines = [
        f"{result['count']} examples a family, seed {result['seed']}, {result['machine']}, voices of "
        f"{' and '.join(result['voices'])}; shuffled weights: {result['shuffled count']} a family, seeds "
        f"{', '.join(map(str, result['shuffles']))}.", "",
        f"| family | idle | right | needed at least {LEAST_NEEDED} | idle below {MOST_IDLE} | and without the text | "
        f"each needed cut moves {LEAST_MOVED} nat | drop: image | text | audio | needed, mean | shuffled | even |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for family, row in result["families"].items():
        idle = next((str(modality) for modality in INPUT_MODALITIES if str(modality) not in row["needed"]), "–")
        rates = [row[name] for name in ("needed_rate", "idle_rate", "beside_text_rate", "moved_rate")]
        drops = [row["drops"][modality] for modality in INPUT_MODALITIES]
        shares = [row["needed_share"], result["shuffled"][family]["needed_share"], len(row["needed"]) / 3]
        cells = [idle, str(row["examples"]), *map(_cell, (*rates, *drops, *shares))]
        lines.append(f"| {family} | {' | '.join(cells)} |")
    every, control = result["families"], result["shuffled"]
    examples = sum(row["examples"] for row in every.values())
    rates = [totals(every)[name] for name in ("needed_rate", "idle_rate", "beside_text_rate", "moved_rate")]
    cells = [*(f"**{_cell(rate)}**" for rate in rates), "", "", "",
             *map(_cell, (balanced_share(every), balanced_share(control), EVEN))]  # fmt: skip
    return "\n".join([*lines, f"| **all** | | {examples} | {' | '.join(cells)} |"])


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def fewest(count: int) -> int:
    """Returns the number of examples a family in each of the shuffles."""
    return max(LEAST_SHUFFLED, count // 5)


def count_runs(count: int) -> int:
    """Returns how many examples are run, for a progress bar."""
    return len(FAMILIES) * (count + len(SHUFFLES) * fewest(count))
