"""The answer of a run in one line: the same words and digits in report, talk, figure, file and commands."""

from __future__ import annotations

from collections.abc import Iterable

from mmviz.analysis.answer_shares import written_log_probability
from mmviz.analysis.unsure_answers import unsure_answers
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.language import join_list
from mmviz.i18n.unicode_display import replace_invisible
from mmviz.i18n.viewer import about
from mmviz.types import AttentionRecord


def answer_title(record: AttentionRecord) -> str:
    """Returns the answer and its probability; that the model is not sure, and its likeliest answers; of an answer that
    the model wrote, its log-probability; or that there is none."""
    if not record.answers:
        return about("no-answers")
    best, log_p = record.answers[0], written_log_probability(record)
    label = replace_invisible(best.label)
    if log_p is not None:
        count = len(record.made_by.get("answer_part") or record.made_by["answer"])
        return sentence("figure-title-written", answer=label, total=log_p, count=count)
    if unsure := unsure_answers(record):
        named = named_answers((other.label, other.probability) for other in unsure)
        return sentence("figure-title-unsure", answers=named)
    return sentence("figure-title", answer=label, probability=best.probability)


def named_answers(answers: Iterable[tuple[str, float]]) -> str:
    """Returns answers with their probabilities, as a list in words."""
    return join_list(f"{replace_invisible(label)} {share_text(probability)}" for label, probability in answers)


def share_text(probability: float) -> str:
    """Returns a probability in percent with one decimal."""
    return f"{probability:.1%}"
