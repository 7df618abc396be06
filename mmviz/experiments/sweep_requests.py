"""The requests of an experiment that runs one sample in many variants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mmviz.types import Change, Request


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
