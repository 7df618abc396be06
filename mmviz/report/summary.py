"""A run as plain values, for JSON."""

from __future__ import annotations

from typing import Any

from mmviz.io.run_file import place
from mmviz.report.run_protocol import WholeRun
from mmviz.types import INPUT_MODALITIES, MmvizError, Modality


def summary_of(run: WholeRun) -> dict[str, Any]:
    """See `mmviz.Run.summary`."""
    by_modality = {
        modality: [k for k, token in enumerate(run.tokens) if token.modality is modality and token.location is not None]
        for modality in INPUT_MODALITIES
    }
    is_exact = run.is_exact
    attention = run.attention() if is_exact else run.about()
    matrix = run.matrix()
    try:
        effect = run.effect() if run.backend is not None and run.record.answers else None
    except MmvizError:
        effect = None
    return {
        "answer": run.record.answers[0].label if run.record.answers else None,
        "probabilities": {answer.label: answer.probability for answer in run.record.answers},
        "tokens": {
            "image": [place(run.tokens[k].location) for k in by_modality[Modality.IMAGE]],
            "text": [
                {"label": run.tokens[k].label, **place(run.tokens[k].location)} for k in by_modality[Modality.TEXT]
            ],
            "audio": [place(run.tokens[k].location) for k in by_modality[Modality.AUDIO]],
        },
        "attention": {
            "query": run.tokens[run.answer_query].label,
            "method": str(run.map_ref) if is_exact else f"{run.map_ref}, means over bins",
            **{str(modality): [float(attention[k]) for k in found] for modality, found in by_modality.items()},
        },
        "modality_matrix": {
            "queries": [str(modality) for modality in matrix.queries],
            "keys": [str(modality) for modality in matrix.keys],
            "sums": matrix.sums.tolist(),
            "per_token": matrix.per_token.tolist(),
            "ratio": matrix.ratio.tolist(),
        },
        "effect": effect,
        "notices": [str(notice) for notice in (*run.sample.notices, *run.record.notices)],
        "made_by": dict(run.record.made_by),
    }
