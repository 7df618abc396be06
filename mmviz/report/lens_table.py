"""A lens as rows, CSV, plain values for JSON, and sentences: what ``mmviz lens`` writes."""

from __future__ import annotations

from typing import Any

from mmviz.experiments.lens import Lens
from mmviz.i18n.errors_and_notices import sentence
from mmviz.report.csv_table import csv_text


def rows(lens: Lens) -> list[dict[str, Any]]:
    """Returns one row of plain values for each layer and token, as ``pandas.DataFrame`` takes them.

    A row holds ``layer`` (0: the tokens that enter the first layer), ``module``, ``token`` (from 0), ``label``,
    ``modality``, ``is_answer_token``, ``top`` (pairs of answer and log-probability in nats, best first),
    ``answer_rank`` and ``answer_log_probability`` of the final answer.
    """
    reading = lens.reading
    return [
        {
            "layer": layer,
            "module": module,
            "token": number,
            "label": token.label,
            "modality": str(token.modality),
            "is_answer_token": number == reading.answer_token,
            "top": [list(pair) for pair in lens.answers_of(layer, number)],
            "answer_rank": int(reading.answer_ranks[layer, number]),
            "answer_log_probability": float(reading.answer_log_probabilities[layer, number]),
        }
        for layer, module in enumerate(reading.layers)
        for number, token in enumerate(lens.tokens)
    ]


def to_csv(lens: Lens) -> str:
    """Returns `rows` as CSV, with a pair of columns for each of the most probable answers."""
    table = rows(lens)
    names = [name for name in table[0] if name != "top"]
    best = range(1, len(table[0]["top"]) + 1)
    header = [*names, *(name for rank in best for name in (f"top_{rank}", f"top_{rank}_log_probability"))]
    return csv_text(
        header, ([*(row[name] for name in names), *(value for pair in row["top"] for value in pair)] for row in table)
    )


def to_plain(lens: Lens) -> dict[str, Any]:
    """Returns the whole lens as plain values, for JSON; its list of rows is called ``lens``."""
    reading = lens.reading
    return {
        "answer": reading.answer,
        "answers": reading.answers,
        "answer_token": reading.answer_token,
        "stream": reading.stream,
        "through": list(reading.through),
        "parity": reading.parity,
        "formed_at": lens.formed_at,
        "about": about(lens),
        "misleads": misleads(lens),
        "lens": rows(lens),
    }


def about(lens: Lens) -> list[str]:
    """Returns in words what the lens shows, and from which layer on the answer is there."""
    reading = lens.reading
    answer = _quoted(reading.answer)
    formed, layers = lens.formed_at, len(reading.layers) - reading.layers[0].endswith(":input")
    if formed is None:
        end = sentence("lens-unformed", best=_quoted(lens.forming()[-1].answers[0][0]), answer=answer)
    elif formed == 0:
        end = sentence("lens-formed-first", answer=answer)
    else:
        end = sentence("lens-forming", layer=formed, layers=layers, answer=answer)
    through = ", ".join(reading.through)
    return [sentence("lens-about", through=through, answer=answer, answers=reading.answers), end]


def misleads(lens: Lens) -> list[str]:
    """Returns in words where the lens misleads."""
    tokens = "lens-misleads-written" if lens.is_written else "lens-misleads-tokens"
    return [sentence("lens-misleads-early"), sentence(tokens)]


def _quoted(label: str) -> str:
    return f"“{label}”"
