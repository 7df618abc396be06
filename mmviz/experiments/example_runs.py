"""Many examples, each run by itself: its record, or why it is skipped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mmviz.backends import Backend, Progress, Stop
from mmviz.backends.run_queue import outcomes
from mmviz.inputs.examples import Example
from mmviz.types import AttentionRecord, MmvizError, Request, Sample

TOGETHER = 16
"""Examples that are requested at once, so that they share calls of the model."""
T = TypeVar("T")
Outcomes = Iterator[tuple[Example, T | MmvizError | None]]
"""Each example with what was measured, the error that it is skipped for, or None where it was stopped."""


@dataclass(frozen=True, eq=False)
class ExampleRecord:
    """The run of one example."""

    request: Request
    """What was requested, with the checked inputs."""
    record: AttentionRecord
    """What was recorded."""


def possible_answers(backend: Backend, model: str) -> Collection[str]:
    """Returns all answers that a model chooses among, as its card has them; none where it writes its answer."""
    return next((card.answers for card in backend.models() if card.id == model), ())


def is_correct(example: Example, record: AttentionRecord, possible: Collection[str]) -> bool | None:
    """Returns whether the answer of a record is the one that an example expects, see `Example.is_right`.

    None where that is not known, and where the model cannot give the expected answer: it is neither among those of
    the record, which may be a choice, nor among ``possible``. A model that writes its answer can give any.
    """
    if not record.answers or example.truth is None:
        return None
    is_written = bool(record.made_by.get("answer"))
    can_be = is_written or any(map(example.is_right, (*(answer.label for answer in record.answers), *possible)))
    return example.is_right(record.answers[0].label) if can_be else None


def measured_in_groups(
    examples: Sequence[Example], measure: Callable[[Sequence[Example]], Outcomes[T]], progress: Progress
) -> tuple[list[T], list[tuple[str, MmvizError]]]:
    """Returns what ``measure`` measured, of groups of `TOGETHER`, and the skipped examples by id, with their errors.

    ``progress`` counts both. After a stop there are fewer of both together than examples.
    """
    measured: list[T] = []
    skipped: list[tuple[str, MmvizError]] = []
    for first in range(0, len(examples), TOGETHER):
        for example, outcome in measure(examples[first : first + TOGETHER]):
            if outcome is None:
                return measured, skipped
            if isinstance(outcome, MmvizError):
                skipped.append((example.id, outcome))
            else:
                measured.append(outcome)
            progress(len(measured) + len(skipped), len(examples))
    return measured, skipped


def example_records(
    backend: Backend, examples: Sequence[Example], request_of: Callable[[Sample], Request], stop: Stop
) -> Outcomes[ExampleRecord]:
    """Yields each example with its run, the error that it is skipped for, or None where ``stop`` ended it.

    All are read and requested at once. What does not share a call of the model runs when it is its turn. An error of
    another kind than ``MmvizError`` is raised.
    """
    requests: list[Request | MmvizError] = []
    for example in examples:
        try:
            requests.append(request_of(example.sample()))
        except MmvizError as error:
            requests.append(error)
    usable = [request for request in requests if isinstance(request, Request)]
    results = outcomes(backend, usable, [stop] * len(usable))
    for example, request in zip(examples, requests, strict=True):
        if isinstance(request, MmvizError):
            yield example, None if stop() else request
            continue
        record = next(results)
        if isinstance(record, Exception) and not isinstance(record, MmvizError):
            raise record
        yield example, ExampleRecord(request, record) if isinstance(record, AttentionRecord) else record
