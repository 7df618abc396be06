"""Progress of a command on standard error, in a line that is printed over."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from mmviz.i18n.errors_and_notices import sentence

if TYPE_CHECKING:
    from mmviz.types import AttentionRecord


def print_over(text: str, is_last: bool) -> None:
    """Prints ``text`` over the line that was printed before; the last one ends the line."""
    clear = "\x1b[K" if sys.stderr.isatty() else ""
    print(f"\r{text}{clear}", end="\n" if is_last else "", file=sys.stderr, flush=True)


def examples_progress(of: int) -> Callable[[int], None]:
    """Returns a function that prints how many of ``of`` runs are done, and about how long the rest takes."""
    started = time.monotonic()

    def report(done: int) -> None:
        print_over(remaining_text("examples", done, of, time.monotonic() - started), is_last=done >= of)

    return report


def remaining_text(work: Literal["examples", "explain"], done: int, of: int, seconds: float) -> str:
    """Returns how many of ``of`` parts of a ``work`` are done, and about how long the rest takes after ``seconds``."""
    from mmviz.experiments.time_estimates import seconds_left
    from mmviz.report.duration_words import duration_words

    left = seconds_left(done, of, seconds) or 0.0
    code = f"{work}-remaining" if done < of else f"{work}-progress"
    return sentence(code, done=done, of=of, left=duration_words(left))


class RunLine:
    """Prints to standard error how far one run of a model is, and about how much longer it takes.

    A `mmviz.backends.Progress` for `mmviz.backends.layer_progress.report_layers`; ``what`` is counted.
    """

    def __init__(self, what: Literal["layers", "words"]):
        self._what = what
        self._first: tuple[float, int] | None = None
        """When the first report of a run came, and of how many: what was before it is the loading of the model."""
        self._last = 0

    def __call__(self, done: int, of: int) -> None:
        """Prints the progress over the line that was printed before."""
        from mmviz.experiments.time_estimates import seconds_left
        from mmviz.report.duration_words import duration_words

        now = time.monotonic()
        if self._first is None or done < self._last:  # another run has begun
            self._first = now, done
        self._last, (start, before) = done, self._first
        left = seconds_left(done - before, of - before, now - start)
        text = sentence(f"run-{self._what}", done=done, of=of)
        if left:
            text += sentence("run-left", left=duration_words(left))
        print_over(text, is_last=False)

    def end(self) -> None:
        """Ends the line, where there is one."""
        if self._first is not None:
            print(file=sys.stderr, flush=True)


@contextmanager
def reported_run() -> Iterator[None]:
    """Prints how far a run is that is made meanwhile: its layers, and the words that its model writes."""
    from mmviz.backends.layer_progress import report_layers

    lines = RunLine("layers"), RunLine("words")
    try:
        with report_layers(*lines):
            yield
    finally:
        for line in lines:
            line.end()


class ProgressLine:
    """Prints to standard error how far an experiment is, and how much longer it takes; a `mmviz.backends.Progress`."""

    def __init__(self, record: AttentionRecord, variants: int):
        """Says first how long ``variants`` of the run of ``record`` take at most, where that is known."""
        from mmviz.experiments.time_estimates import most_seconds
        from mmviz.report.duration_words import duration_words

        self._started = time.monotonic()
        most = most_seconds(record, variants)
        if most is not None:
            text = sentence("measure-most", variants=variants, most=duration_words(most))
            print(text, file=sys.stderr, flush=True)

    def __call__(self, done: int, of: int) -> None:
        """Prints the progress over the line that was printed before."""
        from mmviz.experiments.time_estimates import seconds_left
        from mmviz.report.duration_words import duration_words

        seconds = time.monotonic() - self._started
        left = seconds_left(done, of, seconds)
        is_done = done == of or left is None
        text = (
            sentence("measure-done", done=done, of=of, seconds=seconds)
            if is_done
            else sentence("measure-progress", done=done, of=of, left=duration_words(left or 0.0))
        )
        print_over(text, is_last=done == of)
