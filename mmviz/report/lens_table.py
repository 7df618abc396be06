"""A lens as a table and in sentences: what ``mmviz lens`` writes, and what the page's section Lens shows."""

from __future__ import annotations

from typing import Any

from mmviz.experiments.lens import Lens
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.unicode_display import one_line
from mmviz.report.result_table import ExperimentTable
from mmviz.report.run_facts import run_facts
from mmviz.types import AttentionRecord, Request


def rows(lens: Lens) -> list[dict[str, Any]]:
    """Returns one row of plain values for each layer and token, as ``pandas.DataFrame`` takes them.

    A row holds ``layer`` (0: the tokens that enter the first layer), ``module``, ``token`` (from 0), ``label``,
    ``modality``, ``is_answer_token``; ``answer_rank`` and ``answer_log_probability`` of the final answer; and of each
    of the most probable answers, best first, ``top_1``, ``top_1_log_probability`` and so on. Log-probabilities are in
    nats.
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
            "answer_rank": int(reading.answer_ranks[row, number]),
            "answer_log_probability": float(reading.answer_log_probabilities[row, number]),
            **_top_columns(lens.answers_of(row, number)),
        }
        for row, (layer, module) in enumerate(zip(lens.layer_numbers, reading.layers, strict=True))
        for number, token in enumerate(lens.tokens)
    ]


def lens_table(request: Request, record: AttentionRecord, lens: Lens, command: str) -> ExperimentTable:
    """Returns `rows`, named ``lens``, with what holds for the whole lens of ``record``, the run of ``request``.

    The facts hold ``followed``, the answer that ranks and log-probabilities are of: the answer of the model, or of one
    that writes its answer, a token of it; and the fields of `TokenLens` that are not of single tokens.
    """
    reading, table = lens.reading, rows(lens)
    facts = {
        **run_facts(request, record),
        "followed": reading.answer,
        "answers": reading.answers,
        "answer_token": reading.answer_token,
        "stream": reading.stream,
        "through": list(reading.through),
        "parity": reading.parity,
        "formed_at": lens.formed_at,
        "about": about(lens),
        "misleads": misleads(lens),
    }
    return ExperimentTable("lens", tuple(table[0]), table, facts, command)


def _top_columns(answers: tuple[tuple[str, float], ...]) -> dict[str, Any]:
    return {
        name: value
        for rank, (label, log_probability) in enumerate(answers, 1)
        for name, value in ((f"top_{rank}", label), (f"top_{rank}_log_probability", log_probability))
    }


def layer_names(lens: Lens) -> list[str]:
    """Returns what people call each row of a lens: ``input``, then the number of layers that have run."""
    return [str(layer) if layer else sentence("lens-input") for layer in lens.layer_numbers]


def about(lens: Lens) -> list[str]:
    """Returns in words what the lens shows, and from which layer on the answer is there."""
    reading = lens.reading
    through = ", ".join(reading.through)
    opening = sentence("lens-about", through=through, answer=_quoted(reading.answer), answers=reading.answers)
    return [opening, formed(lens)]


def formed(lens: Lens) -> str:
    """Returns a sentence on the layer from which on the answer is there."""
    answer, first = _quoted(lens.reading.answer), lens.formed_at
    layers = lens.layer_numbers[-1]
    if first is None:
        return sentence("lens-unformed", best=_quoted(lens.forming()[-1].answers[0][0]), answer=answer)
    if first == 0:
        return sentence("lens-formed-first", answer=answer)
    return sentence("lens-forming", layer=first, layers=layers, answer=answer)


def misleads(lens: Lens) -> list[str]:
    """Returns in words where the lens misleads."""
    tokens = "lens-misleads-written" if lens.is_written else "lens-misleads-tokens"
    return [sentence("lens-misleads-early"), sentence(tokens)]


def _quoted(label: str) -> str:
    return f"“{one_line(label)}”"
