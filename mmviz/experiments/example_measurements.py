"""Many examples, each measured by itself: its answer, the attention that can be averaged, and its table of routes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmviz.analysis.comparable_attention import ComparableMap, comparable_maps
from mmviz.backends import Backend, Progress, Stop, ignore_progress, never_stop
from mmviz.backends.run_queue import Outcome, outcomes
from mmviz.experiments.example_records import TOGETHER, ExampleRecord, example_records
from mmviz.experiments.removal_changes import present_modalities
from mmviz.experiments.route_cut import RouteCell, RouteTable, read_routes, route_cells, route_requests
from mmviz.inputs.examples import Example
from mmviz.types import INPUT_MODALITIES, AttentionRecord, MmvizError, Request, Sample


@dataclass(frozen=True, eq=False)
class ExampleMeasurement:
    """What was measured on one example."""

    name: str
    question: str
    truth: str | None
    """The expected answer, if it is known."""
    answer: str
    """The most probable answer; "" for a model without answers."""
    probability: float | None
    """Probability of that answer."""
    is_correct: bool | None
    """Whether the answer is correct. None if the expected answer is not known or is not one of the model's answers."""
    maps: tuple[ComparableMap, ...]
    routes: RouteTable | None = None
    """The effect of each route in each window of layers; None where that was not asked for, or failed."""
    routes_error: MmvizError | None = None
    """Why the routes could not be measured."""


@dataclass(frozen=True)
class _Run:
    example: Example
    record: AttentionRecord
    sample: Sample
    cells: tuple[RouteCell, ...]
    requests: tuple[Request, ...]


def measure_examples(
    backend: Backend,
    model: str,
    examples: Sequence[Example],
    with_routes: bool = True,
    progress: Progress = ignore_progress,
    stop: Stop = never_stop,
) -> tuple[list[ExampleMeasurement], list[tuple[str, MmvizError]]]:
    """Runs the model on every example, and ``with_routes`` once more with each of its routes cut alone.

    Returns the measurements, and the examples that were skipped, each as its id and the error. ``progress`` counts
    both. If ``stop`` ends it early, there are fewer of both together than examples.
    """
    measurements: list[ExampleMeasurement] = []
    skipped: list[tuple[str, MmvizError]] = []
    for first in range(0, len(examples), TOGETHER):
        members = examples[first : first + TOGETHER]
        for example, outcome in _measured(backend, model, members, with_routes, stop):
            if outcome is None:
                return measurements, skipped
            if isinstance(outcome, MmvizError):
                skipped.append((example.id, outcome))
            else:
                measurements.append(outcome)
            progress(len(measurements) + len(skipped), len(examples))
    return measurements, skipped


def _measured(
    backend: Backend, model: str, examples: Sequence[Example], with_routes: bool, stop: Stop
) -> Iterator[tuple[Example, ExampleMeasurement | MmvizError | None]]:
    """Yields each example with its measurement, the error that it is skipped for, or None where ``stop`` ended it."""
    for example, run in zip(examples, list(_runs(backend, model, examples, with_routes, stop)), strict=True):
        if not isinstance(run, _Run):
            yield example, run
            continue
        routes: RouteTable | MmvizError | None = None
        if with_routes:  # an example by itself: its cuts fill calls of the model, and progress is told more often
            routes = _routes(run, list(outcomes(backend, run.requests, [stop] * len(run.requests))))
            if routes is None:
                yield example, None
                return
        yield example, _measurement(run, routes)


def _runs(
    backend: Backend, model: str, examples: Sequence[Example], with_routes: bool, stop: Stop
) -> Iterator[_Run | MmvizError | None]:
    """Yields for each example its run, the error that it is skipped for, or None where ``stop`` ended it."""
    for example, run in example_records(backend, examples, lambda sample: Request(model, sample), stop):
        if not isinstance(run, ExampleRecord):
            yield run
            continue
        record, sample = run.record, run.request.sample
        cells = _own_cells(record, sample) if with_routes and record.answers else ()
        yield _Run(example, record, sample, cells, route_requests(run.request, cells))


def _own_cells(record: AttentionRecord, sample: Sample) -> tuple[RouteCell, ...]:
    """Returns the routes between what the sample has: no token that stands in the place of a missing modality."""
    absent = {*INPUT_MODALITIES} - {*present_modalities(sample)}
    return tuple(cell for cell in route_cells(record) if not {cell.queries, cell.keys} & absent)


def _routes(run: _Run, records: Sequence[Outcome]) -> RouteTable | MmvizError | None:
    """Returns the table of routes, the error of the first cut that failed, or None where it was stopped."""
    for record in records:
        if isinstance(record, Exception) and not isinstance(record, MmvizError):
            raise record
    error = next((record for record in records if isinstance(record, MmvizError)), None)
    if error is not None:
        return error
    if any(record is None for record in records):
        return None
    if not run.record.answers:
        return MmvizError("average-answers")
    return read_routes(run.record, run.cells, [record for record in records if isinstance(record, AttentionRecord)])


def _measurement(run: _Run, routes: RouteTable | MmvizError | None) -> ExampleMeasurement:
    example, record, sample = run.example, run.record, run.sample
    answer = record.answers[0] if record.answers else None
    can_be_correct = answer is not None and any(example.is_right(other.label) for other in record.answers)
    return ExampleMeasurement(
        name=example.id,
        question=example.question,
        truth=example.truth,
        answer="" if answer is None else answer.label,
        probability=None if answer is None else answer.probability,
        is_correct=example.is_right(answer.label) if answer is not None and can_be_correct else None,
        maps=comparable_maps(
            record, present_modalities(sample), None if sample.audio is None else sample.audio.seconds
        ),
        routes=routes if isinstance(routes, RouteTable) else None,
        routes_error=routes if isinstance(routes, MmvizError) else None,
    )
