"""The attention of chosen tokens as a table: what the viewer shows of them, a row for each token on the other side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmviz.analysis.answer_token import token_or_answer
from mmviz.analysis.available_maps import map_words, streams_of
from mmviz.analysis.map_weights import Direction
from mmviz.figures.token_labels import names
from mmviz.i18n.figures import unit_name
from mmviz.report.map_id_columns import PLACE_COLUMNS, ref_place
from mmviz.report.result_table import ExperimentTable
from mmviz.report.run_interface import AnalysedRun
from mmviz.types import MapRef, location_numbers

COLUMNS = (
    "token", "label", "modality", "location", "amount", "unit", "map", *PLACE_COLUMNS, "direction", "of", "of_labels",
    "minus", "minus_labels", "averaged",
)  # fmt: skip


def attention_table(
    run: AnalysedRun, map_ref: MapRef | None, token: int | Sequence[int] | None, direction: Direction,
    versus: Sequence[int] = (), command: str = "",
) -> ExperimentTable:  # fmt: skip
    """Returns a row for each token, in the model's order, named ``attention``; the parameters are `Run.figure`'s.

    A row holds ``token``, its index from 0, its ``label`` and ``modality``, its ``location`` (the numbers of its
    `Location`: pixels, seconds, or characters from 0), and the ``amount`` with its ``unit``; of which ``map`` (as
    `MapRef` writes it) with the columns of `mmviz.report.map_id_columns` (layers and heads from 0; no head: the mean
    over heads, or a flow), in which ``direction``, and of which tokens: ``of`` (indices) with their ``of_labels``.
    Where they are compared with others, ``minus`` and ``minus_labels`` name these, and the amounts are differences.
    ``averaged``: the amounts are means over bins of tokens, all that is left of a long run.
    Raises as `Run.attention` does.
    """
    record, ref = run.record, map_ref or run.map_ref
    chosen = token_or_answer(record, ref, token, direction)
    of, minus = (tuple(int(index) for index in np.atleast_1d(tokens)) for tokens in (chosen, versus))
    attention = run.attention if run.is_exact else run.pooled_attention
    amounts = attention(ref, of, direction)
    if minus:
        amounts = amounts - attention(ref, minus, direction)
    streams = streams_of(record, ref)
    selected_from, others = streams if direction == "from" else streams[::-1]
    selectable = names(record.streams[selected_from])
    unit = unit_name(ref.method)
    of_map = {
        "unit": unit,
        "map": str(ref),
        **ref_place(record, ref, streams),
        "direction": direction,
        "of": list(of),
        "of_labels": [selectable[index] for index in of],
        "minus": list(minus),
        "minus_labels": [selectable[index] for index in minus],
        "averaged": not run.is_exact,
    }
    tokens = record.streams[others]
    rows = [
        {
            "token": index,
            "label": label,
            "modality": str(other.modality),
            "location": list(location_numbers(other.location)),
            "amount": float(amount),
            **of_map,
        }
        for index, (other, label, amount) in enumerate(zip(tokens, names(tokens), amounts, strict=True))
    ]
    best = record.answers[0] if record.answers else None
    facts = {
        "model": record.made_by.get("model"),
        "answer": best.label if best else None,
        "probability": best.probability if best else None,
        "method": map_words(ref, record),
        "notices": [str(notice) for notice in (*run.sample.notices, *record.notices)],
    }
    return ExperimentTable("attention", COLUMNS, rows, facts, command)
