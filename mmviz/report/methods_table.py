"""Whether what a method marks matters, as a table and in words: what ``mmviz methods`` and Faithfulness show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmviz.analysis.available_maps import last_map
from mmviz.experiments.faithfulness import FaithfulnessCurves
from mmviz.experiments.removals import Baseline
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.minus_sign import signed_text
from mmviz.i18n.page import say
from mmviz.report.map_id_columns import PLACE_COLUMNS, map_place, ref_place
from mmviz.report.result_table import ExperimentTable
from mmviz.report.run_facts import run_facts
from mmviz.types import AttentionRecord, MapRef, Request

COLUMNS = (
    "method", *PLACE_COLUMNS, "score", "verdict", "deletion_area", "insertion_area", "random_area", "deletion",
    "insertion", "random",
)  # fmt: skip


def methods_table(
    request: Request, record: AttentionRecord, curves: Mapping[str, FaithfulnessCurves], baseline: Baseline,
    command: str,
) -> ExperimentTable:  # fmt: skip
    """Returns a row for each method, in the order of ``curves``; named ``methods``.

    A row holds ``method`` as `mmviz.analysis.attributions.attributions` names it, the columns of
    `mmviz.report.map_id_columns` (None for a method through all layers), ``score`` (0 is chance, at most 1),
    ``verdict`` ("yes", "half", "no" or "flat", see `FaithfulnessCurves.verdict`), the areas under the curves, and the
    curves of ``deletion`` and ``insertion`` with the mean of the ``random`` orders, by tenths of the tokens. The facts
    hold the ``verdict`` in words.
    """
    rows = [_row(record, method, curve) for method, curve in curves.items()]
    facts = {**run_facts(request, record), "baseline": baseline, "verdict": [best_method(curves)] if curves else []}
    return ExperimentTable("methods", COLUMNS, rows, facts, command)


def best_method(curves: Mapping[str, FaithfulnessCurves]) -> str:
    """Returns a sentence on the method with the highest score."""
    best = max(curves, key=lambda method: curves[method].score)
    verdict = say(f"faithfulness-{curves[best].verdict}")
    if curves[best].verdict == "flat":
        return verdict
    return say("faithfulness-best", method=method_name(best), score=curves[best].score, verdict=verdict)


def method_name(method: str) -> str:
    """Returns the name for people of a method of `mmviz.analysis.attributions.attributions`."""
    if ":" not in method:
        return say(f"method-name-{method}")
    map_ref = MapRef.parse(method)
    if map_ref.head is None:
        return say("method-name-mean")
    name = say("faithfulness-raw", layer=(map_ref.layer or 0) + 1, head=map_ref.head + 1)
    return sentence("map-of-stack", stack=map_ref.stack, map=name) if map_ref.stack else name


def _row(record: AttentionRecord, method: str, curves: FaithfulnessCurves) -> dict[str, Any]:
    last = last_map(record)
    streams = record.maps[last].queries, record.maps[last].keys
    if ":" in method:
        place = ref_place(record, MapRef.parse(method), streams)
    elif method == "value":  # the norms of the last map
        place = map_place(record, last)
    else:
        place = ref_place(record, MapRef("rollout"), streams)
    return {
        "method": method,
        **place,
        "score": curves.score,
        "verdict": curves.verdict,
        **{f"{kind}_area": area for kind, area in curves.areas.items()},
        "deletion": curves.deletion.tolist(),
        "insertion": curves.insertion.tolist(),
        "random": curves.band()[1].tolist(),
    }


def methods_rows(curves: Mapping[str, FaithfulnessCurves]) -> list[list[str]]:
    """Returns the score and the areas of each method as text, the header first."""
    rows = [[say(f"methods-column-{column}") for column in ("method", "score", "deletion", "insertion", "random")]]
    for method, curve in curves.items():
        areas = [f"{curve.areas[kind]:.2f}" for kind in ("deletion", "insertion", "random")]
        rows.append([method_name(method), signed_text(curve.score), *areas])
    return rows
