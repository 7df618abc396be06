"""Runs of visitors' own inputs, and inputs not run yet, kept in memory so that a reload and a link open them again."""

from __future__ import annotations

import pickle
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from mmviz.app.draft import Draft, Source, VideoFile
from mmviz.app.effect_and_story import Trace
from mmviz.explain import Run
from mmviz.inputs.examples import Example
from mmviz.io.change_text import Control
from mmviz.types import AblateHead, CutRoute

MAX_RUNS = 64
"""The number of runs of all visitors."""
MAX_RUNS_OF_VISITOR = 8
"""The number of runs of one visitor."""
MAX_BYTES = 1_000_000_000
"""Bytes of memory that all runs and their inputs may hold."""
MAX_AGE = 3_600.0
"""Seconds since a run was last shown."""
_ID_BYTES = 16
"""128 random bits, which nobody can guess."""


@dataclass(frozen=True)
class KeptRun:
    """A run with everything that the page needs to show it again."""

    run: Run
    """Its inputs, its record, and the backend that made it."""
    draft: Draft
    """The form's contents that ``run`` was made from."""
    example: Example | None
    """The example that stood in the form; some of its files may be part of ``draft``."""
    control: Control
    """The control that it is; ``trained`` for none."""
    ablated_heads: tuple[AblateHead, ...]
    """Heads that are ablated in it."""
    cut_routes: tuple[CutRoute, ...]
    """Routes that are cut in it."""
    visitor: str
    """Random id of the browser that made it."""
    traces: Mapping[int | None, Trace] = field(default_factory=dict)
    """See `State.traces`."""

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it holds, without what belongs to the backend."""
        arrays: list[pickle.PickleBuffer] = []  # beside the pickle, so that none of them is copied
        rest = pickle.dumps((self.run, self.draft, dict(self.traces)), protocol=5, buffer_callback=arrays.append)
        return len(rest) + sum(array.raw().nbytes for array in arrays)


@dataclass(frozen=True)
class KeptInputs:
    """The contents of a form."""

    draft: Draft
    """Image, text and audio that stand in the form."""
    example: Example | None
    """The example that stood in the form; some of its files may be part of ``draft``."""
    visitor: str
    """Random id of the browser that gave them."""

    @property
    def nbytes(self) -> int:
        """Bytes of memory that they hold."""
        return len(self.draft.text.encode()) + _nbytes(self.draft.image) + _nbytes(self.draft.audio)


def _nbytes(source: Source) -> int:
    match source:
        case bytes():
            return len(source)
        case tuple():
            return sum(map(len, source))
        case VideoFile():
            return len(source.content)
        case _:
            return 0


class _Kept(Protocol):
    @property
    def visitor(self) -> str: ...

    @property
    def nbytes(self) -> int: ...


T = TypeVar("T", bound=_Kept)


class KeptRuns(Generic[T]):
    """Keeps the latest runs, or inputs, of visitors under random ids. It is safe to use from several threads.

    Beyond ``max_runs``, ``max_runs_of_visitor`` or ``max_bytes`` those shown the longest ago are dropped. A run that
    was not shown for ``max_age`` seconds is dropped, whether anyone visits the page or not.
    """

    def __init__(
        self,
        max_runs: int = MAX_RUNS,
        max_runs_of_visitor: int = MAX_RUNS_OF_VISITOR,
        max_bytes: int = MAX_BYTES,
        max_age: float = MAX_AGE,
    ):
        self._max_runs, self._max_runs_of_visitor = max_runs, max_runs_of_visitor
        self._max_bytes, self._max_age = max_bytes, max_age
        self._runs: dict[str, tuple[T, int, float]] = {}  # with its size and its last use, the oldest use first
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that all runs hold."""
        with self._lock:
            return self._total()

    def update(self, kept: T, run_id: str) -> None:
        """Puts ``kept`` in the place of the run ``run_id``, unless that was dropped or there is no room for more."""
        size = kept.nbytes
        with self._lock:
            if run_id in self._runs and self._total() - self._runs[run_id][1] + size <= self._max_bytes:
                self._runs.pop(run_id)
                self._runs[run_id] = (kept, size, time.monotonic())

    def add(self, kept: T, run_id: str = "") -> str:
        """Keeps a run and returns its id, in the place of the run ``run_id`` where there is one; returns "" for a run
        that alone is larger than all may be."""
        size = kept.nbytes
        if size > self._max_bytes:
            return ""
        run_id = run_id or secrets.token_urlsafe(_ID_BYTES)
        with self._lock:
            self._runs.pop(run_id, None)
            self._runs[run_id] = (kept, size, time.monotonic())
            own = [name for name, (other, _, _) in self._runs.items() if other.visitor == kept.visitor]
            for name in own[: -self._max_runs_of_visitor]:
                del self._runs[name]
            while len(self._runs) > self._max_runs or self._total() > self._max_bytes:
                del self._runs[next(iter(self._runs))]
        self._drop_expired()
        return run_id

    def get(self, run_id: str) -> T | None:
        """Returns a run, whose time begins anew; None where it is not kept, or no longer."""
        self._drop_expired()
        with self._lock:
            if run_id not in self._runs:
                return None
            kept, size, _ = self._runs.pop(run_id)
            self._runs[run_id] = (kept, size, time.monotonic())
            return kept

    def holds(self, visitor: str) -> bool:
        """Returns whether a run of a visitor is kept."""
        with self._lock:
            return any(kept.visitor == visitor for kept, _, _ in self._runs.values())

    def forget(self, run_id: str, visitor: str) -> tuple[T, ...]:
        """Drops a run, and all runs of a visitor; returns what was dropped."""
        with self._lock:
            names = [name for name, entry in self._runs.items() if name == run_id or entry[0].visitor == visitor]
            return tuple(self._runs.pop(name)[0] for name in names)

    def _total(self) -> int:
        return sum(size for _, size, _ in self._runs.values())

    def _drop_expired(self) -> None:
        """Drops what nobody has used for too long, and sees to it that this happens again in time."""
        with self._lock:
            now = time.monotonic()
            self._runs = {name: entry for name, entry in self._runs.items() if now - entry[2] < self._max_age}
            if self._runs and self._timer is None:
                oldest = min(used for _, _, used in self._runs.values())
                self._timer = threading.Timer(oldest + self._max_age - now, self._on_timer)
                self._timer.daemon = True
                self._timer.start()

    def _on_timer(self) -> None:
        """Drops what has expired; a run that was shown since the timer began has a later end, so it begins again."""
        with self._lock:
            self._timer = None
        self._drop_expired()
