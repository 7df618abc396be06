"""The requests of an experiment that runs one sample in many variants."""

from __future__ import annotations

from collections.abc import Sequence

from mmviz.types import Change, Request, Sample


def sweep_requests(
    model: str, sample: Sample, changes: tuple[Change, ...], seed: int, sweep: Sequence[tuple[Change, ...]], chunk: int
) -> tuple[Request, ...]:
    """Returns requests without maps for all variants of ``sweep`` in order, at most ``chunk`` of them in each."""
    return tuple(
        Request(model, sample, changes, seed, maps=False, sweep=tuple(sweep[first : first + chunk]))
        for first in range(0, len(sweep), chunk)
    )
