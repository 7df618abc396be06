"""The protocol that every backend implements, with its callbacks."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mmviz.types import AttentionRecord, Card, Request, View
from mmviz.types.exact_attention import ExactAttention

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Host names of this machine that no other machine can reach."""
Progress = Callable[[int, int], None]
"""Receives the number of requests that are done, and their total.

Requests that share a call of a model end together: it is called for each of them once their call has ended.
"""
Stop = Callable[[], bool]
"""Returns whether to stop. It is called before each request; True ends the batch.

Of requests that share a call of a model, it is called before the call, and before each record is handed out; what the
call made of the rest is dropped.
"""


def ignore_progress(done: int, total: int) -> None:
    """A `Progress` callback that does nothing."""


def never_stop() -> bool:
    """A `Stop` callback that always returns False."""
    return False


def run_each(
    requests: Sequence[Request], run: Callable[[Request], AttentionRecord | None], progress: Progress, stop: Stop
) -> tuple[AttentionRecord, ...]:
    """Returns the records of ``requests``, run one after another.

    The batch ends early where ``stop`` returns True, or where ``run`` returns None.
    """
    records: list[AttentionRecord] = []
    for request in requests:
        record = None if stop() else run(request)
        if record is None:
            break
        records.append(record)
        progress(len(records), len(requests))
    return tuple(records)


class Backend(Protocol):
    """Runs models and returns records. Everything that crosses this line is numpy and plain values."""

    def models(self) -> tuple[Card, ...]:
        """Returns the cards of the models that this backend can run."""
        ...

    def run(
        self, requests: Sequence[Request], progress: Progress = ignore_progress, stop: Stop = never_stop
    ) -> tuple[AttentionRecord, ...]:
        """Returns one record for each request, in order; fewer where ``stop`` ended the batch.

        Raises ``MmvizError`` where a request cannot be run.
        """
        ...

    def view(self, record_id: str, view: View) -> NDArray[np.float32]:
        """Returns a part of the attention of a record that is too long to hold all its weights.

        The record must come from this backend. Raises ``MmvizError`` (``view-gone``) where it is no longer kept.
        """
        ...

    def forget_inputs(self, record_ids: Sequence[str]) -> None:
        """Drops what is kept of inputs: the tensors behind the records named, and every cache of the latest inputs.

        Several people may share a backend. Nobody loses the long run of another, since ids are random: they are known
        to those alone who were given the record. Caches only save time, and do not tell whose inputs they hold, so
        they are emptied for all. Ids that are not known are ignored. A run in progress is not waited for.
        """
        ...


@runtime_checkable
class SharesCalls(Protocol):
    """A backend that runs several requests in one call of a model, each as it would run alone, to rounding."""

    @property
    def most_samples(self) -> int:
        """Requests in one call at most."""
        ...

    def call_settings(self, request: Request) -> Hashable | None:
        """Returns what requests must have in common to share a call; None for one that runs by itself."""
        ...

    def outcomes(
        self, requests: Sequence[Request], stops: Sequence[Stop]
    ) -> Iterator[AttentionRecord | Exception | None]:
        """Yields for each request, in order, its record, the error that it alone raises, or None where it was stopped.

        ``requests`` have the same settings, and are no more than ``most_samples``. One that fails does not fail the
        others. ``stops``: one for each request; a call in progress ends early only where all of them return True.
        """
        ...


@runtime_checkable
class KeepsExact(Protocol):
    """A backend that also hands out the tensors behind a long record, to be saved with it.

    Both methods raise ``MmvizError`` (``view-gone``) where the record is no longer kept.
    """

    def exact(self, record_id: str) -> ExactAttention:
        """Returns the queries, keys and log-sum-exp of every map, and gradients where the run has relevance."""
        ...

    def exact_nbytes(self, record_id: str) -> int:
        """Returns the bytes of `exact`."""
        ...
