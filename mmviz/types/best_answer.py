"""The answer that every experiment is about."""

from __future__ import annotations

from mmviz.types.errors import MmvizError
from mmviz.types.records import Answer, AttentionRecord


def best_answer(record: AttentionRecord) -> Answer:
    """Returns the first answer of a record, the most probable one or the one that the model wrote.

    Raises ``MmvizError`` (``answer-none``) for a model without answers, of which attention alone is known.
    """
    if not record.answers:
        raise MmvizError("answer-none", model=record.made_by.get("model", "?"))
    return record.answers[0]
