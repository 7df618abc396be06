"""The likeliest answers of a model that is not sure of any."""

from __future__ import annotations

from mmviz.types import Answer, AttentionRecord

LIKELIEST = 3
"""Answers that are shown where a model is not sure."""


def unsure_answers(record: AttentionRecord) -> tuple[Answer, ...]:
    """Returns the likeliest answers where the model was not sure; none where it was, or where its probabilities are not
    calibrated."""
    is_unsure = any(notice.code == "answer-unsure" for notice in record.notices)
    return record.answers[:LIKELIEST] if is_unsure else ()
