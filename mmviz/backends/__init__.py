"""Where models run: the protocol every backend keeps. What comes back is numpy and plain values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from mmviz.types import AttentionRecord, Card, Request

Progress = Callable[[int, int], None]
"""Called with how many requests are done, and how many there are."""
Stop = Callable[[], bool]
"""Asked between requests; True ends the batch."""


def quiet(done: int, of: int) -> None:
    """Progress that nobody watches."""


def never() -> bool:
    """A run that is not to be stopped."""
    return False


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
