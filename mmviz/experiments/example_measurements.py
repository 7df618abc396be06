"""Many examples, each measured by itself: its answer, the attention that can be averaged, and its table of routes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mmviz.analysis.comparable_attention import ComparableMap, comparable_maps
from mmviz.backends import Backend, Progress, Stop, ignore_progress, never_stop
from mmviz.backends.run_queue import outcomes
from mmviz.experiments.example_runs import (
    ExampleRecord,
    Outcomes,
    example_records,
    is_correct,
    measured_in_groups,
    possible_answers,
)
from mmviz.experiments.removals import present_modalities
from mmviz.experiments.route_cut import RouteCell, RouteTable, read_routes, route_cells, route_requests, route_windows
from mmviz.inputs.examples import Example
from mmviz.types import INPUT_MODALITIES, AttentionRecord, MmvizError, Request, Sample


@dataclass(frozen=True, eq=False)
class ExampleMeasurement:
    """What was measured on one example."""

    name: str
    """`Example.id` of the example."""
    question: str
    """The text input of the example; "" for none."""
    truth: str | None
    """The expected answer, if it is known."""
    answer: str
    """The most probable answer; "" for a model without answers."""
    probability: float | None
    """Probability of that answer."""
    is_correct: bool | None
    """Whether the answer is correct. None if the expected answer is not known or is not one of the model's answers."""
    maps: tuple[ComparableMap, ...]
    """What can be averaged of each attention map, in order of execution."""
    routes: RouteTable | None = None
    """The effect of each route in each window of layers; None where that was not requested, or failed."""
    routes_error: MmvizError | None = None
    """Why the routes could not be measured."""


def measure_examples(
    backend: Backend,
    model: str,
    examples: Sequence[Example],
    with_routes: bool = True,
    progress: Progress = ignore_progress,
    stop: Stop = never_stop,
    options: Sequence[tuple[str, str | int]] = (),
    by_layer: bool = True,
) -> tuple[list[ExampleMeasurement], list[tuple[str, MmvizError]]]:
    """Runs the model on every example, and ``with_routes`` once more with each of its routes cut alone; ``options`` as
    in `mmviz.types.Request`. Without ``by_layer`` routes are cut in all layers of a stack at once alone, which takes a
    fraction of the time.

    Returns the measurements, and the examples that were skipped, each as its id and the error. ``progress`` counts
    both. If ``stop`` ends it early, there are fewer of both together than examples.
    """

    def measured(members: Sequence[Example]) -> Outcomes[ExampleMeasurement]:
        runs = list(example_records(backend, members, request_of, stop))
        for example, run in runs:
            if not isinstance(run, ExampleRecord):
                yield example, run
                continue
            routes: RouteTable | MmvizError | None = None
            if with_routes:  # an example by itself: its cuts fill calls of the model, and progress is told more often
                routes = _routes(backend, run, by_layer, stop)
                if routes is None:
                    yield example, None
                    return
            yield example, _measurement(example, run, routes, possible)

    def request_of(sample: Sample) -> Request:
        return Request(model, sample, options=tuple(options))

    possible = possible_answers(backend, model)
    return measured_in_groups(examples, measured, progress)


def _own_cells(record: AttentionRecord, sample: Sample, by_layer: bool) -> tuple[RouteCell, ...]:
    """Returns the routes between what the sample has: no token that stands in the place of a missing modality."""
    absent = {*INPUT_MODALITIES} - {*present_modalities(sample)}
    windows = [window for window in route_windows(record) if by_layer or window.layers is None]
    return tuple(cell for cell in route_cells(record, windows) if not {cell.queries, cell.keys} & absent)


def _routes(backend: Backend, run: ExampleRecord, by_layer: bool, stop: Stop) -> RouteTable | MmvizError | None:
    """Returns the table of routes, the error of the first cut that failed, or None where it was stopped."""
    cells = _own_cells(run.record, run.request.sample, by_layer) if run.record.answers else ()
    requests = route_requests(run.request, cells)
    records = list(outcomes(backend, requests, [stop] * len(requests)))
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
    return read_routes(run.record, cells, [record for record in records if isinstance(record, AttentionRecord)])


def _measurement(
    example: Example, run: ExampleRecord, routes: RouteTable | MmvizError | None, possible: Collection[str]
) -> ExampleMeasurement:
    record, sample = run.record, run.request.sample
    answer = record.answers[0] if record.answers else None
    return ExampleMeasurement(
        name=example.id,
        question=example.question,
        truth=example.truth,
        answer="" if answer is None else answer.label,
        probability=None if answer is None else answer.probability,
        is_correct=is_correct(example, record, possible),
        maps=comparable_maps(
            record, present_modalities(sample), None if sample.audio is None else sample.audio.seconds
        ),
        routes=routes if isinstance(routes, RouteTable) else None,
        routes_error=routes if isinstance(routes, MmvizError) else None,
    )
