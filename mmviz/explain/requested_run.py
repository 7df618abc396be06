"""A request to a backend, answered by a run."""

from __future__ import annotations

from dataclasses import replace

from mmviz.backends.protocol import Backend, Stop, never_stop
from mmviz.explain.run import Run
from mmviz.types import MmvizError, Request


def run_request(request: Request, backend: Backend, stop: Stop = never_stop) -> Run:
    """Returns the run of a request, with the answer that the model wrote. Raises ``MmvizError`` (``run-stopped``)."""
    records = backend.run([request], stop=stop)
    if not records:
        raise MmvizError("run-stopped")
    answer = tuple(records[0].made_by.get("answer", ()))
    return Run(request.sample, records[0], backend, replace(request, answer=answer))
