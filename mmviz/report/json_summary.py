"""Summarises a run as plain values for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmviz.analysis.available_maps import streams_of
from mmviz.analysis.unsure_answers import unsure_answers
from mmviz.experiments.language_prior import LanguagePrior, measure_language_prior
from mmviz.io.sample_parts import location_to_dict
from mmviz.report.answer_maps import plain_map
from mmviz.report.run_interface import AnalysedRun
from mmviz.types import INPUT_MODALITIES, Answer, MmvizError, Modality


def run_summary(run: AnalysedRun, prior: LanguagePrior | None = None) -> dict[str, Any]:
    """Returns the summary of `mmviz.Run.summary`. ``prior``: its language prior, where it was measured already."""
    tokens = run.tokens
    by_modality = {
        modality: [k for k, token in enumerate(tokens) if token.modality is modality and token.location is not None]
        for modality in INPUT_MODALITIES
    }
    map_ref, record = run.map_ref, run.record
    queries, keys = streams_of(record, map_ref)
    stack = None if map_ref.layer is None else record.maps[record.map_number(map_ref)].stack
    attention = run.attention() if run.is_exact else run.pooled_attention()
    matrix = run.modality_matrix()
    try:
        effect = run.effect() if run.backend is not None and run.record.answers else None
    except MmvizError:
        effect = None
    return {
        "answer": run.record.answers[0].label if run.record.answers else None,
        "not_sure": [
            {"label": answer.label, "probability": answer.probability} for answer in unsure_answers(run.record)
        ],
        "probabilities": _probabilities(run.record.answers),
        "tokens": {
            "image": [location_to_dict(tokens[k].location) for k in by_modality[Modality.IMAGE]],
            "text": [
                {"label": tokens[k].label, **location_to_dict(tokens[k].location)} for k in by_modality[Modality.TEXT]
            ],
            "audio": [location_to_dict(tokens[k].location) for k in by_modality[Modality.AUDIO]],
        },
        "attention": {
            "query": record.streams[queries][run.answer_query].label,
            "method": str(map_ref) if run.is_exact else f"{map_ref}, means over bins",
            "stack": stack,
            "streams": {"queries": queries, "keys": keys},
            **{str(modality): [float(attention[k]) for k in indices] for modality, indices in by_modality.items()},
        },
        "reads_from": plain_map(run, "reads_from"),
        "depends_on": plain_map(run, "depends_on"),
        "modality_matrix": {
            "queries": [str(modality) for modality in matrix.queries],
            "keys": [str(modality) for modality in matrix.keys],
            "sums": matrix.sums.tolist(),
            "per_token": matrix.per_token.tolist(),
            "ratio": matrix.ratio.tolist(),
        },
        "answer_shares": _answer_shares(run),
        "effect": effect,
        "language_prior": _plain_prior(prior or measured_prior(run)),
        "notices": [str(notice) for notice in (*run.sample.notices, *run.record.notices)],
        "made_by": dict(run.record.made_by),
    }


def _probabilities(answers: Sequence[Answer]) -> dict[str, float]:
    """Returns the probability of each label, the most probable first; of answers that share a label, the largest."""
    probabilities: dict[str, float] = {}
    for answer in answers:
        probabilities.setdefault(answer.label, answer.probability)
    return probabilities


def _answer_shares(run: AnalysedRun) -> dict[str, Any] | None:
    """Returns `mmviz.Run.answer_shares` of the default map as plain values; None where a run has none."""
    try:
        shares = run.answer_shares()
    except (LookupError, MmvizError):  # relevance has none, and a long run may no longer be kept
        return None
    if shares is None:
        return None
    tokens = run.record.streams[streams_of(run.record, run.map_ref)[0]]
    return {
        "unit": "share of attention, sum of the weights from the token before each word",
        "method": str(run.map_ref),
        "groups": list(shares.groups),
        "words": [tokens[word].label for word in shares.words],
        "queries": [tokens[query].label for query in shares.queries],
        "shares": shares.shares.tolist(),
    }


def measured_prior(run: AnalysedRun) -> LanguagePrior | None:
    """Returns the `measure_language_prior` of a written answer; None where it cannot be measured."""
    if run.backend is None or not run.record.made_by.get("answer"):
        return None
    try:
        return measure_language_prior(run.backend, run.rerun_request())
    except MmvizError:
        return None


def _plain_prior(prior: LanguagePrior | None) -> dict[str, Any] | None:
    """Returns a language prior as plain values."""
    if prior is None:
        return None
    return {
        "unit": "log-probability of each word given the words before it, nats",
        "words": list(prior.words),
        "rows": [
            {"without": [str(modality) for modality in removed], "log_probabilities": row.tolist()}
            for removed, row in zip(prior.removed, prior.log_probabilities, strict=True)
        ],
        "required": [str(modality) for modality in prior.required],
    }
