"""What a change of the run does to a written answer: variants keep it, so that its probability alone is measured."""

from __future__ import annotations

from mmviz.analysis.answer_shares import written_log_probability
from mmviz.figures.signed_colours import signed
from mmviz.i18n.language import join_sentences
from mmviz.i18n.page import say
from mmviz.types import AttentionRecord


def written_change(before: AttentionRecord, change: float) -> str:
    """Returns sentences on a change of the log-probability, in nats, of the written answer of ``before``, or of the
    part that the run is about; empty where there is no written answer."""
    log_p, part = written_log_probability(before), before.made_by.get("answer_part", ())
    if log_p is None:
        return ""
    code = "written-change-part" if part else "written-change"
    measured = say(code, count=len(part), change=signed(change), before=log_p, after=log_p + change)
    return join_sentences([measured, say("written-kept")])
