"""Requests of the viewer for parts of a map or a flow without all its weights, by the names of sections."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.available_maps import parse_map_ref, streams_of
from mmviz.analysis.map_views import pooled_row_of
from mmviz.analysis.map_weights import attention_row
from mmviz.report.run_interface import Run
from mmviz.types import AttentionMap, AttentionRecord, Columns, MapRef, MmvizError, PooledMap, Rows, Zoom
from mmviz.viewer.binary_format import description


def requested_view(record: AttentionRecord, kind: str, rest: str) -> Rows | Columns | Zoom:
    """Returns the view behind the name of a section, ``row/REF/DIRECTION/TOKEN`` or ``window/REF/QUERIES/KEYS``.

    ``kind`` and ``rest`` are the name before and after its first slash; slashes in the stack of REF belong to it.
    Raises ``LookupError`` where the record has no such section.
    """
    parts = rest.rsplit("/", 2)
    ref = parse_map_ref(record, parts[0])
    if len(parts) != 3 or not is_pooled(record, ref):
        raise LookupError(f"there is no {kind}/{rest}")
    sizes = [len(record.streams[stream]) for stream in streams_of(record, ref)]
    if kind == "row" and parts[1] in ("from", "to"):
        view, size = (Rows, sizes[0]) if parts[1] == "from" else (Columns, sizes[1])
        if _is_number(parts[2]) and int(parts[2]) < size:
            return view(ref, (int(parts[2]),))
    if kind == "window":
        edges = [_window_edges(part, size) for part, size in zip(parts[1:], sizes, strict=True)]
        if edges[0] and edges[1]:
            return Zoom(ref, edges[0], edges[1])
    raise LookupError(f"there is no {kind}/{rest}")


def _window_edges(text: str, size: int) -> tuple[int, ...] | None:
    """Returns the edges of the bins of a window ``FIRST-LAST``; None for any other text."""
    ends = text.split("-")
    if len(ends) != 2 or not all(map(_is_number, ends)):
        return None
    first, last = (int(end) for end in ends)
    if not first < last <= size:
        return None
    bins = min(description()["window_bins"], last - first)
    return tuple(first + (last - first) * k // bins for k in range(bins + 1))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def is_pooled(record: AttentionRecord, ref: MapRef) -> bool:
    """Returns whether ``ref`` names a map without all its weights, or a flow through such maps.

    Raises ``LookupError`` for a map that is missing.
    """
    streams_of(record, ref)
    if ref.layer is None:
        return record.is_long
    return isinstance(record.maps[record.map_number(ref)], PooledMap)


def stream_edges(record: AttentionRecord, stream: str) -> tuple[int, ...]:
    """Returns the edges of the bins in which an overview shows the tokens of a stream; of each token for a short one.

    They are those of the maps over it without all their weights, so that a flow has the bins of a map.
    """
    for attn_map in record.maps:
        if isinstance(attn_map, PooledMap) and stream in (attn_map.queries, attn_map.keys):
            return attn_map.query_edges if attn_map.queries == stream else attn_map.key_edges
    return tuple(range(len(record.streams[stream]) + 1))


def bin_edges_of(attn_map: AttentionMap | PooledMap) -> dict[str, list[int]] | None:
    """Returns the edges of the bins of a map without all its weights; None for a map that has them."""
    if not isinstance(attn_map, PooledMap):
        return None
    return {"queries": list(attn_map.query_edges), "keys": list(attn_map.key_edges)}


def row_from(run: Run, ref: MapRef, query: int) -> tuple[NDArray[np.float64], bool]:
    """Returns the amounts from ``query`` to all keys ``[key]``, and whether they are exact or means over bins."""
    record = run.record
    if not is_pooled(record, ref):
        return attention_row(record, ref, query, "from", record.relevance), True
    try:
        return np.asarray(run.view(Rows(ref, (query,)))[0], np.float64), True
    except MmvizError:  # the backend no longer keeps the run
        return pooled_row_of(record, ref, query, "from"), False
