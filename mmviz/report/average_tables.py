"""Means over examples, and two checkpoints compared, as tables: what ``mmviz average`` writes and the page offers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmviz.analysis.comparable_attention import SOUND_PARTS, MapPlace
from mmviz.experiments.checkpoint_comparison import CheckpointComparison
from mmviz.experiments.example_averages import Averages, MeanPlaces
from mmviz.experiments.example_measurements import ExampleMeasurement
from mmviz.experiments.route_cut import LayerWindow
from mmviz.report.result_table import ExperimentTable, plain
from mmviz.types import Modality

TABLES = ("routes", "maps", "places", "answers")
"""The tables of means."""
COMPARED_TABLES = ("routes", "maps", "answers")
"""The tables of two models."""
ALL_LAYERS = "all"
"""What stands for the layers of a window of all layers."""
_PLACE = ("stack", "module", "layer", "call", "index")


def average_tables(
    averages: Averages, measurements: Sequence[ExampleMeasurement], facts: Mapping[str, Any], command: str
) -> dict[str, ExperimentTable]:
    """Returns `TABLES` by name; ``facts`` hold for all of them, the groups and what was left out are added.

    Layers, heads, rows and columns count from 0. A spread is a standard deviation over the examples (None for one);
    ``over_heads`` one over the heads. ``changed``: in how many examples the answer without a route is another, of those
    of which that can be told (``told``); None if of none.
    """
    rows: dict[str, list[dict[str, Any]]] = {
        "routes": [
            {
                "group": route.group, **_window(route.window), "queries": str(route.queries), "keys": str(route.keys),
                "effect": route.effect.mean, "effect_spread": route.effect.spread,
                "attention": route.attention.mean, "attention_spread": route.attention.spread,
                "uniform": route.uniform, "changed": route.changed if route.told else None,
                "told": route.told, "examples": route.effect.count,
            }
            for route in averages.routes
        ],
        "maps": [
            {
                "group": cell.group, **_place(cell.place), "head": cell.head,
                "queries": str(cell.queries), "keys": str(cell.keys),
                "attention": cell.attention.mean, "attention_spread": cell.attention.spread,
                "ratio": cell.ratio.mean, "ratio_spread": cell.ratio.spread, "examples": cell.attention.count,
            }
            for cell in averages.maps
        ],
        "places": [row for places in averages.places for row in _place_rows(places)],
        "answers": _answer_rows(averages, measurements),
    }  # fmt: skip
    columns = {
        "routes": (
            "group", "stack", "layers", "queries", "keys", "effect", "effect_spread", "attention", "attention_spread",
            "uniform", "changed", "told", "examples",
        ),
        "maps": (
            "group", *_PLACE, "head", "queries", "keys", "attention", "attention_spread", "ratio", "ratio_spread",
            "examples",
        ),
        "places": (
            "group", *_PLACE, "modality", "row", "column", "start", "end", "attention", "attention_spread",
            "over_heads", "examples",
        ),
        "answers": ("group", "example", "question", "truth", "answer", "probability", "correct"),
    }  # fmt: skip
    return _tables(columns, rows, averages, facts, command)


def comparison_tables(
    comparison: CheckpointComparison, facts: Mapping[str, Any], command: str
) -> dict[str, ExperimentTable]:
    """Returns `COMPARED_TABLES` by name, the largest change first; ``facts`` as in `average_tables`."""
    rows: dict[str, list[dict[str, Any]]] = {
        "routes": [
            {
                "group": route.group, **_window(route.window), "queries": str(route.queries), "keys": str(route.keys),
                "before": route.before, "after": route.after, "change": route.change.mean,
                "change_spread": route.change.spread, "before_attention": route.before_attention,
                "after_attention": route.after_attention, "examples": route.change.count,
            }
            for route in comparison.routes
        ],
        "maps": [
            {
                "group": cell.group, **_place(cell.place), "head": cell.head,
                "queries": str(cell.queries), "keys": str(cell.keys),
                "before": cell.before, "after": cell.after, "change": cell.change.mean,
                "change_spread": cell.change.spread, "examples": cell.change.count,
            }
            for cell in comparison.maps
        ],
        "answers": [
            {
                "example": answer.name, "question": answer.question, "truth": answer.truth,
                "before": answer.before, "before_probability": answer.before_probability,
                "before_correct": answer.before_correct, "after": answer.after,
                "after_probability": answer.after_probability, "after_correct": answer.after_correct,
                "changed": answer.is_changed,
            }
            for answer in comparison.answers
        ],
    }  # fmt: skip
    columns = {
        "routes": (
            "group", "stack", "layers", "queries", "keys", "before", "after", "change", "change_spread",
            "before_attention", "after_attention", "examples",
        ),
        "maps": (
            "group", *_PLACE, "head", "queries", "keys", "before", "after", "change", "change_spread", "examples",
        ),
        "answers": (
            "example", "question", "truth", "before", "before_probability", "before_correct", "after",
            "after_probability", "after_correct", "changed",
        ),
    }  # fmt: skip
    return _tables(columns, rows, comparison, facts, command)


def to_json(tables: Mapping[str, ExperimentTable]) -> str:
    """Returns all tables as one JSON document: their facts, their command, and a list of rows by each table's name.

    A number that is not finite is null.
    """
    first = next(iter(tables.values()))
    lists = {name: [dict(row) for row in table.rows] for name, table in tables.items()}
    document = plain({**first.facts, "command": first.command, **lists})
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _tables(
    columns: Mapping[str, tuple[str, ...]], rows: Mapping[str, Sequence[Mapping[str, Any]]],
    result: Averages | CheckpointComparison, facts: Mapping[str, Any], command: str,
) -> dict[str, ExperimentTable]:  # fmt: skip
    groups = {group: list(names) for group, names in result.groups.items()}
    facts = {**facts, "by": result.by, "groups": groups, "left_out": [str(notice) for notice in result.left_out]}
    return {name: ExperimentTable(name, columns[name], rows[name], facts, command) for name in columns}


def _place(place: MapPlace) -> dict[str, Any]:
    return {name: getattr(place, name) for name in _PLACE}


def _window(window: LayerWindow) -> dict[str, Any]:
    return {"stack": window.stack, "layers": ALL_LAYERS if window.layers is None else list(window.layers)}


def _place_rows(places: MeanPlaces) -> list[dict[str, Any]]:
    is_picture = places.modality is Modality.IMAGE
    return [
        {
            "group": places.group, **_place(places.place), "modality": str(places.modality),
            "row": at[0] if is_picture else None, "column": at[1] if is_picture else None,
            "start": None if is_picture else at[0] / SOUND_PARTS,
            "end": None if is_picture else (at[0] + 1) / SOUND_PARTS,
            "attention": float(mean), "attention_spread": _known(float(places.spread[at])),
            "over_heads": _known(float(places.over_heads[at])), "examples": int(places.count[at]),
        }
        for at, mean in np.ndenumerate(places.mean) if not np.isnan(mean)
    ]  # fmt: skip


def _answer_rows(averages: Averages, measurements: Sequence[ExampleMeasurement]) -> list[dict[str, Any]]:
    by_name = {measurement.name: measurement for measurement in measurements}
    return [
        {
            "group": group, "example": name, "question": by_name[name].question, "truth": by_name[name].truth,
            "answer": by_name[name].answer, "probability": by_name[name].probability,
            "correct": by_name[name].is_correct,
        }
        for group, names in averages.groups.items() for name in names
    ]  # fmt: skip


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
