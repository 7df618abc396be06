"""The requests of an experiment that runs one sample in many variants, and what their records say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from mmviz.analysis.answer_shares import answer_log_probability
from mmviz.types import AttentionRecord, Change, Request


def answers_only(request: Request, sweep: Sequence[tuple[Change, ...]] = ()) -> Request:
    """Returns ``request`` for its answers alone, with the variants of ``sweep``: the model runs as it did before."""
    return replace(
        request, relevance=False, maps=False, norms=False, integrated=False, depends_on=False, steps=False,
        towers=False, lens=False,
        sweep=tuple(sweep),
    )  # fmt: skip


def sweep_requests(request: Request, sweep: Sequence[tuple[Change, ...]], chunk: int) -> tuple[Request, ...]:
    """Returns requests without maps for all variants of ``sweep`` in order, at most ``chunk`` of them in each."""
    return tuple(answers_only(request, sweep[first : first + chunk]) for first in range(0, len(sweep), chunk))


def sweep_effects(record: AttentionRecord) -> list[tuple[float, str, float, bool | None]]:
    """Returns of each variant the change of the answer's log-probability in nats, the most probable answer, its
    probability, and whether it is another; None where the answer is not the most probable one without a change: a text
    of many words is less probable than all others together, so whether it is another cannot be told. Empty where the
    record has no sweep."""
    if record.sweep is None:
        return []
    before = answer_log_probability(record)
    is_told = record.answers[0].probability >= max(other.probability for other in record.answers)
    effects = []
    for row in record.sweep:
        best = int(row.argmax())
        is_changed = bool(row[best] > row[0]) if is_told else None
        effects.append((float(row[0]) - before, record.answers[best].label, math.exp(float(row[best])), is_changed))
    return effects
