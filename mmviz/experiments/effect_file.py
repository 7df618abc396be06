"""The measured effects of recorded runs as JSON, so that they can be shown without running the model."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmviz.experiments.modality_shapley import Coalition, Effect, shapley
from mmviz.types import INPUT_MODALITIES, AttentionRecord, MmvizError, Modality

FORMAT = 1
MAX_BYTES = 1_000_000
"""Bytes of the file; the effect of a run takes less than a thousand."""
_MAX_NAME = 1_000
_DIGITS = 6
"""Decimal places of log-probabilities and probabilities."""


def effects_to_json(effects: Mapping[str, Effect]) -> str:
    """Returns effects, by the id of the record that each is of, as JSON with a line for each."""
    lines = (f"{json.dumps(name)}: {json.dumps(_encode(effect))}" for name, effect in effects.items())
    return f'{{"format": {FORMAT}, "effects": {{\n' + ",\n".join(lines) + "\n}}\n"


def read_effects(path: Path) -> dict[str, Effect]:
    """Returns the effects of a file that `effects_to_json` wrote, by the id of their record.

    Raises ``MmvizError`` (``stories-unreadable``) for any other file, and where there is none.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError
        content = json.loads(data)
        if content["format"] != FORMAT:
            raise ValueError
        return {_text(name): _decode(fields) for name, fields in content["effects"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as problem:
        raise MmvizError("stories-unreadable", name=path.name) from problem


def effect_of_record(effects: Mapping[str, Effect], record: AttentionRecord) -> Effect | None:
    """Returns the effect measured of ``record`` itself; None where there is none. A run with changes has none."""
    effect = effects.get(record.id)
    if effect is None or record.made_by.get("changes") or not record.answers:
        return None
    return effect if record.answers[0].label == effect.answer else None


def _encode(effect: Effect) -> dict[str, Any]:
    rows = []
    for kept, value in effect.values.items():
        label, probability = effect.answers[kept]
        modalities = [str(modality) for modality in INPUT_MODALITIES if modality in kept]
        rows.append([modalities, round(value, _DIGITS), label, round(probability, _DIGITS)])
    return {"answer": effect.answer, "kept": rows}


def _decode(fields: Mapping[str, Any]) -> Effect:
    values: dict[Coalition, float] = {}
    answers: dict[Coalition, tuple[str, float]] = {}
    if not 1 <= len(fields["kept"]) <= 2 ** len(INPUT_MODALITIES):
        raise ValueError
    for modalities, value, label, probability in fields["kept"]:
        kept = frozenset(map(Modality, modalities))
        values[kept], answers[kept] = _log_probability(value), (_text(label), _probability(probability))
    most = max(values, key=len)
    if not _is_whole(values) or not most <= {*INPUT_MODALITIES}:
        raise ValueError
    return Effect(_text(fields["answer"]), values, answers, shapley(values))


def _is_whole(values: Mapping[Coalition, float]) -> bool:
    """Returns whether ``values`` has every coalition between its least and its largest one."""
    least, most = min(values, key=len), max(values, key=len)
    return all(least <= kept <= most for kept in values) and len(values) == 2 ** len(most - least)


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MAX_NAME:
        raise ValueError
    return value


def _log_probability(value: Any) -> float:
    if isinstance(value, bool) or not math.isfinite(value) or value > 0:
        raise ValueError
    return float(value)


def _probability(value: Any) -> float:
    if isinstance(value, bool) or not 0 <= value <= 1:
        raise ValueError
    return float(value)
