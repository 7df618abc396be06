"""Progress within one run: how many of the model's layers have run, for those who wait for a slow model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from mmviz.backends.protocol import Progress

_listener: ContextVar[Progress | None] = ContextVar("mmviz-layer-progress", default=None)


@contextmanager
def report_layers(progress: Progress) -> Iterator[None]:
    """Calls ``progress`` after each layer of a model that runs in this thread meanwhile.

    It receives the number of layers that are done, and their total. Models on other machines do not report.
    """
    token = _listener.set(progress)
    try:
        yield
    finally:
        _listener.reset(token)


def layer_listener() -> Progress | None:
    """Returns the callback of `report_layers`; None where nobody listens."""
    return _listener.get()
