"""Progress within one run: how many layers have run, or words are written, for those who wait for a slow model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from mmviz.backends.protocol import Progress

_listener: ContextVar[Progress | None] = ContextVar("mmviz-layer-progress", default=None)
_word_listener: ContextVar[Progress | None] = ContextVar("mmviz-word-progress", default=None)


@contextmanager
def report_layers(progress: Progress, words: Progress | None = None) -> Iterator[None]:
    """Calls ``progress`` after each layer of a model that runs in this thread meanwhile, and ``words`` after each word
    that it writes.

    They receive the number of layers or words that are done, and their total, of words the most that there may be.
    Models on other machines do not report.
    """
    token, word_token = _listener.set(progress), _word_listener.set(words)
    try:
        yield
    finally:
        _listener.reset(token)
        _word_listener.reset(word_token)


def layer_listener() -> Progress | None:
    """Returns the callback of `report_layers`; None where nobody listens."""
    return _listener.get()


def word_listener() -> Progress | None:
    """Returns the callback of `report_layers` for words; None where nobody listens."""
    return _word_listener.get()
