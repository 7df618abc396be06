"""The maps of the first view that a card names, chosen by their measured faithfulness.

Every method marks tokens; the patches, or the frames, are then removed and inserted in the order of its amounts, and
the answer's probability is followed (`mmviz.experiments.faithfulness`). The method with the highest score shows what an
answer depends on, and of the layers of the last stack in which modalities meet the highest one shows what it reads
from. The examples have a seed of their own, so that the choice does not see those of the tables.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.answer_maps import ATTRIBUTIONS, method_row
from mmviz.analysis.available_maps import last_map
from mmviz.backends import Backend
from mmviz.experiments.faithfulness import measure_faithfulness
from mmviz.models.question_templates import FAMILIES, NEEDS
from mmviz.training.evaluate.evaluation_cases import cases
from mmviz.training.evaluate.measure_model import CHOOSING_SEED, Tick, machine, named, worlds
from mmviz.training.world.examples import World
from mmviz.types import AttentionRecord, Modality, Request

FLOWS = ("rollout", "relevance")
MODALITIES = (Modality.IMAGE, Modality.AUDIO)
Scores = dict[str, dict[str, dict[str, float]]]
"""Mean faithfulness by method, ``image`` or ``audio``, and family."""


def choose(backend: Backend, model: str, count: int, tick: Tick) -> dict[str, Any]:
    """Returns the faithfulness of every method, and the choice: ``depends_on`` and ``map_ref``; as plain values.

    ``count``: examples for each family of questions.
    """
    scores = faithfulness_scores(backend, model, worlds()["unseen scenes"], CHOOSING_SEED, count, tick)
    ranked = sorted(scores, key=lambda method: -mean_score(scores[method]))
    return {
        "seed": CHOOSING_SEED,
        "count": count,
        "machine": machine(),
        "scores": {method: scores[method] for method in ranked},
        "depends_on": ranked[0],
        "map_ref": next(method for method in ranked if ":" in method),
    }


def faithfulness_scores(backend: Backend, model: str, world: World, seed: int, count: int, tick: Tick) -> Scores:
    """Returns the mean score of each method on the tokens of each modality that a family needs.

    The tokens of the other modalities stay. Examples whose answer changes too little are left out, see
    `mmviz.experiments.faithfulness.FLAT`.
    """
    scores: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for family in FAMILIES:
        for case in cases(world, seed, family, count, busy=True):
            request = Request(model, case.sample)
            (record,) = backend.run([Request(model, case.sample, relevance=True, norms=True, integrated=True)])
            amounts = candidates(record)
            for modality in (modality for modality in MODALITIES if modality in NEEDS[family]):
                curves = measure_faithfulness(backend, request, record, amounts, modality=modality)
                assert curves is not None  # nothing stops it
                for method, curve in curves.items():
                    if not curve.is_flat:
                        scores[method][str(modality)][family].append(curve.score)
            tick("choosing")
    return {
        method: {
            modality: {family: float(np.mean(values)) for family, values in by_family.items()}
            for modality, by_family in by_modality.items()
        }
        for method, by_modality in scores.items()
    }


def candidates(record: AttentionRecord) -> dict[str, NDArray[np.float64]]:
    """Returns the amounts ``[key]`` for the token that answers by every method that the record holds.

    They are the mean over heads of each map of the last stack in which modalities meet, rollout, gradient relevance,
    value-weighted attention and integrated gradients, of the same keys.
    """
    last = record.maps[last_map(record)]
    streams = last.queries, last.keys
    maps = [
        str(record.map_ref(number))
        for number, attn_map in enumerate(record.maps)
        if attn_map.stack == record.default_stack and (attn_map.queries, attn_map.keys) == streams
    ]
    amounts = {}
    for method in (*maps, *FLOWS, *ATTRIBUTIONS):
        try:
            between, row = method_row(record, method)
        except LookupError:
            continue
        if between == streams:
            amounts[method] = row
    return amounts


def mean_score(by_modality: Mapping[str, Mapping[str, float]]) -> float:
    """Returns the mean over the families of each modality, then over the modalities."""
    return float(np.mean([np.mean([*by_family.values()]) for by_family in by_modality.values()]))


def markdown(result: Mapping[str, Any]) -> str:
    """Returns the ranking as a table: the mean score, that of each modality, and that of each family."""
    columns = [(modality, family) for modality in MODALITIES for family in FAMILIES if modality in NEEDS[family]]
    heads = " | ".join(f"{modality}: {family}" for modality, family in columns)
    lines = [
        f"Faithfulness (deletion and insertion, 0 is chance), {result['count']} examples a family, seed "
        f"{result['seed']}, {result['machine']}.", "",
        f"| method | mean | image | audio | {heads} |", "|---|" + "---|" * (3 + len(columns)),
    ]  # fmt: skip
    for method, by_modality in result["scores"].items():
        means = [mean_score({m: by_modality.get(m, {"": float("nan")})}) for m in MODALITIES]
        families = [by_modality.get(modality, {}).get(family) for modality, family in columns]
        cells = [f"{value:.3f}" for value in (mean_score(by_modality), *means)]
        cells += ["" if value is None else f"{value:.2f}" for value in families]
        lines.append(f"| {named(method, result)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def count_runs(count: int) -> int:
    """Returns how many examples are run, for a progress bar."""
    return count * len(FAMILIES)
