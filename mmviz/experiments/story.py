"""The story of an answer: the two to five routes that carry it, each confirmed by its own cut.

Routes between whole modalities are cut first. Of those that the answer needs, candidates for what is read (neighbouring
patches, consecutive moments, words) are proposed by attention and cut alone; then those that read it, and the layers in
which it is read. Tokens that carry nothing of a step are left out of it. A step is told only with the effect of the cut
at exactly its tokens and layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mmviz.backends import Backend, Progress, Stop, ignore_progress, never_stop
from mmviz.experiments.route_cut import ways_out
from mmviz.experiments.story_confirm import confirmed
from mmviz.experiments.story_narrow import narrowed
from mmviz.experiments.story_search import (
    LEAST,
    STAGES,
    Cutter,
    Step,
    Stopped,
    chosen_routes,
    keys_of,
    looked_into,
    routes_of,
    wider_keys_of,
)
from mmviz.types import INPUT_MODALITIES, AttentionRecord, Modality, Request
from mmviz.types.best_answer import best_answer


@dataclass(frozen=True)
class Story:
    """The steps that carry one answer."""

    answer: str
    """The most probable answer."""
    probability: float
    """Probability of that answer."""
    steps: tuple[Step, ...]
    """At most `MOST_STEPS`, in the order of layers; empty where no single route carries the answer."""
    ways_out: tuple[tuple[Modality, float], ...] = ()
    """Where there are no steps: the change of the answer's log-probability if every way out of a modality is cut, for
    those that the answer needs all the same, in nats."""
    is_complete: bool = True
    """False where it was stopped before the last cut."""


def measure_story(
    backend: Backend,
    request: Request,
    record: AttentionRecord,
    progress: Progress = ignore_progress,
    stop: Stop = never_stop,
) -> Story:
    """Returns the `Story` of the answer of ``request``, whose record, with maps, is ``record``.

    ``progress`` is told of stages, of which there are seven at most. If it was stopped, the story holds what was
    confirmed until then. Of an answer that the model wrote, it is about the words of `Request.answer_part`, or the
    whole. Raises ``MmvizError`` where the model's attention cannot be cut, or it has no answers (``answer-none``).

    Sources: Geva et al. 2023, "Dissecting Recall of Factual Associations in Auto-Regressive Language Models"
    (attention knockout); the search for what carries a route is ours.
    """
    first = best_answer(record)
    cutter = Cutter(backend, request, progress, stop)
    progress(0, STAGES)
    steps: Sequence[Step] = ()
    others: tuple[tuple[Modality, float], ...] = ()
    is_complete = True
    try:
        routes = looked_into(cutter.measure(routes_of(record)))
        tried = cutter.measure(keys_of(record, routes)) if routes else []
        wider = wider_keys_of(record, routes, tried)
        tried += cutter.measure(wider) if wider else []
        chosen = chosen_routes(routes, tried)
        if chosen:
            steps = chosen
            steps = narrowed(cutter, record, chosen, tried)
            steps = confirmed(cutter, routes, steps)
        else:
            others = _ways_out(cutter, record)
    except Stopped:
        is_complete = False
    told = [step for step in steps if step.effect <= -LEAST]
    if is_complete and cutter.stage < STAGES:
        progress(STAGES, STAGES)
    return Story(first.label, first.probability, tuple(sorted(told, key=_order(record))), others, is_complete)


def about_word(request: Request, record: AttentionRecord, word: int) -> tuple[Request, AttentionRecord]:
    """Returns what `measure_story` takes for the token ``word`` of a written answer, counted from 0.

    ``record`` is that of ``request``, whose answer stays as it was written. Raises ``LookupError`` for a record without
    a written answer.
    """
    answer = tuple(record.made_by["answer"])
    stream, first = record.made_by["answer_token"]
    before = next(iter(record.made_by.get("answer_part") or (0,)))
    made_by = {**record.made_by, "answer_part": (word,), "answer_token": (stream, first + word - before)}
    return replace(request, answer=answer, answer_part=(word,)), replace(record, made_by=made_by)


def _ways_out(cutter: Cutter, record: AttentionRecord) -> tuple[tuple[Modality, float], ...]:
    """Returns the modalities that the answer needs although no single route carries it, and their effects."""
    present = {token.modality for tokens in record.streams.values() for token in tokens}
    modalities = [modality for modality in INPUT_MODALITIES if modality in present - record.absent_modalities]
    effects = cutter.effects([ways_out(modality) for modality in modalities])
    return tuple((m, effect[0]) for m, effect in zip(modalities, effects, strict=True) if effect[0] <= -LEAST)


def _order(record: AttentionRecord) -> Callable[[Step], tuple[int, int, int]]:
    """Returns the place of a step in the flow through the layers: the last layer that it may be read in."""
    stacks = list(record.stacks)

    def place(step: Step) -> tuple[int, int, int]:
        last = step.windows[-1]
        stack = stacks.index(last.stack) if last.stack in stacks else len(stacks)
        numbers = last.layers or (10**6,)
        return stack, numbers[-1], numbers[0]

    return place
