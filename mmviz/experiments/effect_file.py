"""The measured effects of recorded runs as JSON, so that they can be shown without running the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmviz.experiments.modality_shapley import Coalition, Effect, shapley
from mmviz.experiments.recorded_file import (
    DIGITS,
    checked_number,
    checked_probability,
    checked_text,
    entries_to_json,
    entry_of_record,
    read_entries,
)
from mmviz.types import INPUT_MODALITIES, AttentionRecord, Modality

_KIND = "effects"


def effects_to_json(effects: Mapping[str, Effect]) -> str:
    """Returns effects, by the id of the record that each is of, as JSON with a line for each."""
    return entries_to_json(_KIND, effects, _encode)


def read_effects(path: Path) -> dict[str, Effect]:
    """Returns the effects of a file that `effects_to_json` wrote, by the id of their record. Raises as
    `mmviz.experiments.recorded_file.read_entries`."""
    return read_entries(path, _KIND, _decode)


def effect_of_record(effects: Mapping[str, Effect], record: AttentionRecord) -> Effect | None:
    """Returns the effect measured of ``record`` itself; None where there is none. A run with changes has none."""
    return entry_of_record(effects, record)


def _encode(effect: Effect) -> dict[str, Any]:
    rows = []
    for kept, value in effect.values.items():
        label, probability = effect.answers[kept]
        modalities = [str(modality) for modality in INPUT_MODALITIES if modality in kept]
        rows.append([modalities, round(value, DIGITS), label, round(probability, DIGITS)])
    return {"answer": effect.answer, "kept": rows}


def _decode(fields: Mapping[str, Any]) -> Effect:
    values: dict[Coalition, float] = {}
    answers: dict[Coalition, tuple[str, float]] = {}
    if not 1 <= len(fields["kept"]) <= 2 ** len(INPUT_MODALITIES):
        raise ValueError
    for modalities, value, label, probability in fields["kept"]:
        kept = frozenset(map(Modality, modalities))
        values[kept], answers[kept] = checked_number(value, 0), (checked_text(label), checked_probability(probability))
    most = max(values, key=len)
    if not _is_whole(values) or not most <= {*INPUT_MODALITIES}:
        raise ValueError
    return Effect(checked_text(fields["answer"]), values, answers, shapley(values))


def _is_whole(values: Mapping[Coalition, float]) -> bool:
    """Returns whether ``values`` has every coalition between its least and its largest one."""
    least, most = min(values, key=len), max(values, key=len)
    return all(least <= kept <= most for kept in values) and len(values) == 2 ** len(most - least)
