"""Long runs whose exact weights can be viewed: who has the tensors behind them, how large they are, and their files."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmviz.backends.protocol import Backend, KeepsExact
from mmviz.io.run_file import check_exact_size, from_file
from mmviz.types import AttentionRecord, MmvizError, PooledMap, Rows, Sample, View
from mmviz.types.exact_attention import ExactAttention

_SIZE = "exact_nbytes"
"""The entry of ``made_by`` that holds the size on its way from one machine to another."""
_MAX_SIZES = 1_000
Keep = Literal["overview", "exact"]
"""What a file keeps of a run too long to hold all its weights: means and sums, or also queries, keys and log-sum-exp,
and gradients where it has relevance."""


def can_view_exact(record: AttentionRecord, view: Callable[[View], NDArray[np.float32]]) -> bool:
    """Returns whether ``view`` answers from the exact weights of a record, as it always does for a short one."""
    number = next((k for k, attn_map in enumerate(record.maps) if isinstance(attn_map, PooledMap)), None)
    try:
        if number is not None:
            view(Rows(record.map_ref(number, 0), (0,)))
    except MmvizError:
        return False
    return True


def exact_nbytes(record: AttentionRecord, backend: Backend | None) -> int:
    """Returns the bytes of the tensors behind a record; 0 for a short one, which is exact by itself.

    Raises ``MmvizError``: ``view-gone`` where the run is no longer kept, ``keep-elsewhere`` where that is on another
    machine, ``keep-large`` where a file would not be read with them.
    """
    if not record.is_long:
        return 0
    nbytes = _keeper(backend).exact_nbytes(record.id)
    check_exact_size(record, nbytes)
    return nbytes


def kept_tensors(record: AttentionRecord, backend: Backend | None, keep: Keep) -> ExactAttention | None:
    """Returns what a file keeps beside the record; None for nothing.

    Raises ``MmvizError`` as `exact_nbytes` does, and ``wire-unreadable`` where another machine sent what does not fit.
    """
    if keep != "exact" or not record.is_long:
        return None
    exact = _keeper(backend).exact(record.id)
    try:
        exact.check_fit(record)
    except (ValueError, TypeError, LookupError) as problem:
        raise MmvizError("wire-unreadable") from problem
    return exact


class ExactSizes:
    """How large the tensors behind the latest long records are, as the machine that keeps them tells with each."""

    def __init__(self) -> None:
        self._sizes: OrderedDict[str, int | None] = OrderedDict()
        self._lock = threading.Lock()

    def without_size(self, record: AttentionRecord) -> AttentionRecord:
        """Returns a record that has arrived, without the size, which is remembered."""
        if not record.is_long:
            return record
        made_by = dict(record.made_by)
        size = made_by.pop(_SIZE, None)
        with self._lock:
            self._sizes[record.id] = size if isinstance(size, int) and size >= 0 else None
            while len(self._sizes) > _MAX_SIZES:
                self._sizes.popitem(last=False)
        return replace(record, made_by=made_by)

    def of(self, record_id: str) -> int:
        """Returns the size in bytes. Raises ``MmvizError``: ``view-gone``, ``keep-elsewhere`` where none was told."""
        with self._lock:
            if record_id not in self._sizes:
                raise MmvizError("view-gone")
            size = self._sizes[record_id]
        if size is None:
            raise MmvizError("keep-elsewhere")
        return size


def with_exact_size(record: AttentionRecord, backend: Backend) -> AttentionRecord:
    """Returns a long record with the size of the tensors behind it, for `ExactSizes` on another machine."""
    if not record.is_long or not isinstance(backend, KeepsExact):
        return record
    try:
        size = backend.exact_nbytes(record.id)
    except MmvizError:
        return record
    return replace(record, made_by={**record.made_by, _SIZE: size})


def read_run(path: Path) -> tuple[Sample, AttentionRecord, Backend | None]:
    """Returns the sample and the record of a file, and a backend for its views where it holds what they need.

    Raises ``MmvizError`` as `from_file` does, and ``run-unreadable`` where the tensors are not those of the record.
    """
    sample, record, exact = from_file(path)
    if exact is None:
        return sample, record, None
    from mmviz.backends.local.saved_run_backend import SavedRunBackend

    return sample, record, SavedRunBackend(record, exact)


def _keeper(backend: Backend | None) -> KeepsExact:
    if backend is None:
        raise MmvizError("view-gone")
    if not isinstance(backend, KeepsExact):
        raise MmvizError("keep-elsewhere")
    return backend
