"""What every table of an experiment says of the run that it is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmviz.analysis.unsure_answers import unsure_answers
from mmviz.types import AttentionRecord, Request


def run_facts(request: Request, record: AttentionRecord) -> dict[str, Any]:
    """Returns plain values for `ExperimentTable.facts`, of the run ``record`` of ``request``.

    ``model``; ``answer`` and its ``probability`` (None for both without one); ``not_sure``, the likeliest answers where
    the model is not sure; ``part``, which tokens of the answer it is about, from 0 (empty: all); ``changes`` and
    ``options`` of the request as text (empty: the model as it is); ``notices`` on the inputs and the run.
    """
    unsure = unsure_answers(record)
    best = record.answers[0] if record.answers else None
    return {
        "model": request.model,
        "answer": best.label if best else None,
        "probability": best.probability if best else None,
        "not_sure": [{"label": answer.label, "probability": answer.probability} for answer in unsure],
        "part": list(request.answer_part),
        "changes": [str(change) for change in request.changes],
        "options": option_texts(request.options),
        "notices": [str(notice) for notice in (*request.sample.notices, *record.notices)],
    }


def option_texts(options: Sequence[tuple[str, str | int]]) -> list[str]:
    """Returns settings of a run, as in `mmviz.types.Request`, as plain texts of name and value."""
    return [f"{name}={value}" for name, value in options]
