"""Cells of a grid of patches whose fields overlap, as those of strided convolutions do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_LEAST_OVERLAP = 0.1
"""Share of the step from one patch to the next by which fields overlap; less is what resampling blurs."""
_LEAST_EDGES = 2
"""Edges between cells that tell where the others are."""


def covers_all(low: Array, high: Array) -> NDArray[np.bool_]:
    """Returns which of several boxes, whose ends are ``[axis, box]``, hold all others; none where all do."""
    is_whole: NDArray[np.bool_] = ((low <= low.min(1, keepdims=True)) & (high >= high.max(1, keepdims=True))).all(0)
    return is_whole & ~is_whole.all()


def columns_and_rows(middles: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Returns the column and the row of each patch, by the middle of its box."""
    columns, rows = (np.unique(np.round(axis), return_inverse=True)[1] for axis in middles)
    return columns, rows


def fills_grid(middles: Array) -> bool:
    """Returns whether patches are all cells of rows and columns."""
    columns, rows = columns_and_rows(middles)
    return int(columns.max() + 1) * int(rows.max() + 1) == len(columns)


def grid_cells(low: Array, high: Array, places: NDArray[np.intp]) -> tuple[Array, Array]:
    """Returns both ends of the patches of a grid along one axis, of which neighbours that overlap meet.

    They meet in the middle of their overlap, so that the cell of a patch is around the middle of its field. Where the
    picture's end cuts fields short, edges are as far from each other as elsewhere; where it cuts all, ends stay.

    Args:
        low, high: float64 ``[patch]``: both ends of each field, in pixels.
        places: int64 ``[patch]``: the row or column of each.
    """
    count = int(places.max()) + 1
    firsts = np.array([np.flatnonzero(places == place)[0] for place in range(count)])
    starts, ends = low[firsts], high[firsts]
    if count < 2 or np.abs(starts[places] - low).max() > 1 or np.abs(ends[places] - high).max() > 1:
        return low, high  # rows that differ in their columns are no grid of cells
    steps = np.diff(starts + ends) / 2
    if not (ends[:-1] - starts[1:] > _LEAST_OVERLAP * steps).all():
        return low, high
    edges = (starts[1:] + ends[:-1]) / 2
    is_cut = (starts[1:] <= starts[0]) | (ends[:-1] >= ends[-1])
    if is_cut.any():
        known = np.flatnonzero(~is_cut)
        if len(known) < _LEAST_EDGES:
            return low, high
        slope, start = np.polyfit(known, edges[known], 1)
        edges = np.where(is_cut, (slope * np.arange(count - 1) + start).clip(starts[0], ends[-1]), edges)
    meeting = np.concatenate([starts[:1], edges, ends[-1:]])
    return meeting[places], meeting[places + 1]
