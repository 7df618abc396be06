"""What each head does for an answer: every head is ablated alone, and the answer's probability is compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmviz.analysis.answer_shares import answer_log_probability
from mmviz.analysis.head_profiles import all_heads
from mmviz.backends import Backend, Progress, Stop, ignore_progress, never_stop
from mmviz.experiments.sweep_requests import sweep_requests
from mmviz.types import AblateHead, AttentionRecord, Request
from mmviz.types.best_answer import best_answer

CHUNK = 32
"""Heads in the sweep of one request: enough for a batch, few enough to stop between two."""
DEAD = 0.01
"""A head is dead for an input if ablating it changes the answer's log-probability by less than this, and every answer's
probability by less than this."""


@dataclass(frozen=True)
class HeadEffect:
    """What changes if one head is ablated, that is, its output is set to 0."""

    map: int
    """Position of the head's map in ``record.maps``, in order of execution; ``record.map_ref(map, head)`` names it."""
    head: int
    """Number of the head within its map, from 0."""
    effect: float
    """Change of the answer's log-probability, in nats. Below 0 if the answer needs the head."""
    answer: str
    """The most probable answer without the head."""
    probability: float
    """Probability of that answer."""
    largest_change: float
    """Largest absolute change of the probability of any answer."""

    @property
    def is_dead(self) -> bool:
        """Whether the head does nothing for this input, see `DEAD`."""
        return abs(self.effect) < DEAD and self.largest_change < DEAD


def head_requests(request: Request, heads: Sequence[tuple[int, int]]) -> tuple[Request, ...]:
    """Returns the requests that `read_heads` needs the records of: each of ``heads`` ablated alone.

    ``heads`` are pairs ``(map, head)`` as of `mmviz.analysis.head_profiles.all_heads`; `CHUNK` of them share a request.
    Source: Michel, Levy and Neubig 2019, "Are Sixteen Heads Really Better than One?", section 3.2.
    """
    sweep = [(AblateHead(number, head),) for number, head in heads]
    return sweep_requests(request, sweep, CHUNK)


def measure_head_ablation(
    backend: Backend,
    request: Request,
    record: AttentionRecord,
    progress: Progress = ignore_progress,
    stop: Stop = never_stop,
    heads: Sequence[tuple[int, int]] | None = None,
) -> list[HeadEffect]:
    """Ablates each of ``heads``, by default `all_heads` of ``record``, that of ``request``; returns their effects.

    If it was stopped, the list holds the heads that were ablated until then. Raises ``MmvizError`` (``answer-none``)
    for a model without answers.

    Examples:
        >>> toy = mmviz.explain(text="left left right", model="toy")  # its only head makes both answers equal
        >>> toy.record.answers[0].label, round(toy.record.answers[0].probability, 2)
        ('left', 0.6)
        >>> (head,) = measure_head_ablation(toy.backend, toy.request, toy.record)
        >>> round(head.effect, 2)  # log 0.5 - log 0.6
        -0.18
    """
    best_answer(record)
    heads = all_heads(record) if heads is None else heads
    requests = head_requests(request, heads)
    return read_heads(heads, backend.run(requests, progress, stop))


def read_heads(heads: Sequence[tuple[int, int]], records: Sequence[AttentionRecord]) -> list[HeadEffect]:
    """Returns the effects that the records of `head_requests` show. There may be fewer records than requests.

    Formula: ``log p(answer | head ablated) - log p(answer)``; the answer is the most probable one with all heads.
    """
    effects = []
    rows = [(record, row) for record in records if record.sweep is not None for row in record.sweep]
    for (number, head), (record, row) in zip(heads, rows, strict=False):
        before = np.array([answer.probability for answer in record.answers])
        after = np.exp(row)
        best = int(after.argmax())
        effects.append(
            HeadEffect(
                map=number,
                head=head,
                effect=float(row[0]) - answer_log_probability(record),
                answer=record.answers[best].label,
                probability=float(after[best]),
                largest_change=float(np.abs(after - before).max()),
            )
        )
    return effects
