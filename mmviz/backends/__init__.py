"""Where models run: the protocol every backend keeps. What comes back is numpy and plain values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mmviz.types import AttentionRecord, Card, Request, View

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Names of this machine that no other can reach."""
Progress = Callable[[int, int], None]
"""Called with how many requests are done, and how many there are."""
Stop = Callable[[], bool]
"""Asked between requests; True ends the batch."""


def quiet(done: int, of: int) -> None:
    """Progress that nobody watches."""


def never() -> bool:
    """A run that is not to be stopped."""
    return False


def one_by_one(
    requests: Sequence[Request], run: Callable[[Request], AttentionRecord | None], progress: Progress, stop: Stop
) -> tuple[AttentionRecord, ...]:
    """The records of a batch, one ``run`` after another; it ends where ``stop`` says so, or a run gives None."""
    records: list[AttentionRecord] = []
    for request in requests:
        record = None if stop() else run(request)
        if record is None:
            break
        records.append(record)
        progress(len(records), len(requests))
    return tuple(records)


class Backend(Protocol):
    """What mmviz asks of a backend."""

    def models(self) -> tuple[Card, ...]:
        """The cards of the models that can be run here."""
        ...

    def run(
        self, requests: Sequence[Request], progress: Progress = quiet, stop: Stop = never
    ) -> tuple[AttentionRecord, ...]:
        """One record a request, in order; fewer where ``stop`` said so. Raises ``MmvizError``."""
        ...

    def view(self, record_id: str, view: View) -> NDArray[np.float32]:
        """A part of the attention of a record that was made here and is too long to hold all its weights.

        Raises ``MmvizError``: ``view-gone`` where it is no longer kept.
        """
        ...
