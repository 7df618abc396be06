"""Many examples, each run by itself: its record, or why it is skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mmviz.backends import Backend, Stop
from mmviz.backends.run_queue import outcomes
from mmviz.inputs.examples import Example
from mmviz.types import AttentionRecord, MmvizError, Request, Sample

TOGETHER = 16
"""Examples that are requested at once, so that they share calls of the model."""


@dataclass(frozen=True, eq=False)
class ExampleRecord:
    """The run of one example."""

    request: Request
    """What was requested, with the checked inputs."""
    record: AttentionRecord
    """What was recorded."""


def example_records(
    backend: Backend, examples: Sequence[Example], request_of: Callable[[Sample], Request], stop: Stop
) -> Iterator[tuple[Example, ExampleRecord | MmvizError | None]]:
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
