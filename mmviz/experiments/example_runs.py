"""Many examples, run in groups that share calls of the model; what cannot be run is skipped with its reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mmviz.backends import Backend, Progress, Stop
from mmviz.backends.run_queue import outcomes
from mmviz.inputs.examples import Example
from mmviz.types import AttentionRecord, MmvizError, Request, Sample

TOGETHER = 16
"""Examples that are requested at once."""
T = TypeVar("T")
Outcomes = Iterator[tuple[Example, T | MmvizError | None]]
"""Each example with what was measured, the error that it is skipped for, or None where it was stopped."""


@dataclass(frozen=True, eq=False)
class ExampleRun:
    """An example that ran."""

    sample: Sample
    request: Request
    record: AttentionRecord


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


def example_runs(
    backend: Backend, examples: Sequence[Example], request_of: Callable[[Sample], Request], stop: Stop
) -> Outcomes[ExampleRun]:
    """Yields each example with its run. All are requested at once, so that they share calls of the model."""
    samples: list[Sample | MmvizError] = []
    for example in examples:
        try:
            samples.append(example.sample())
        except MmvizError as error:
            samples.append(error)
    requests = [request_of(sample) for sample in samples if isinstance(sample, Sample)]
    pairs = zip(requests, outcomes(backend, requests, [stop] * len(requests)), strict=True)
    for example, sample in zip(examples, samples, strict=True):
        if isinstance(sample, MmvizError):
            yield example, None if stop() else sample
            continue
        request, record = next(pairs)
        if isinstance(record, Exception) and not isinstance(record, MmvizError):
            raise record
        yield example, ExampleRun(sample, request, record) if isinstance(record, AttentionRecord) else record
