"""What a viewer may ask for of a map without all its weights, by the names of sections."""

from __future__ import annotations

from mmviz.analysis.map_refs import parse_map_ref, streams_of
from mmviz.types import AttentionMap, AttentionRecord, Columns, MapRef, PooledMap, Rows, Zoom
from mmviz.viewer.container import description


def asked_for(record: AttentionRecord, kind: str, rest: str) -> Rows | Columns | Zoom:
    """The view that a viewer asks for by the name of a section. Raises ``LookupError`` where there is none such."""
    parts = rest.split("/")
    ref = parse_map_ref(record, parts[0])
    if len(parts) != 3 or not is_pooled(record, ref):
        raise LookupError(f"there is no {kind}/{rest}")
    sizes = [len(record.streams[stream]) for stream in streams_of(record, ref)]
    if kind == "row" and parts[1] in ("from", "to"):
        asked, size = (Rows, sizes[0]) if parts[1] == "from" else (Columns, sizes[1])
        if _is_number(parts[2]) and int(parts[2]) < size:
            return asked(ref, (int(parts[2]),))
    if kind == "window":
        edges = [_window(part, size) for part, size in zip(parts[1:], sizes, strict=True)]
        if edges[0] and edges[1]:
            return Zoom(ref, edges[0], edges[1])
    raise LookupError(f"there is no {kind}/{rest}")


def _window(written: str, size: int) -> tuple[int, ...] | None:
    """Edges of the bins of a window ``FIRST-LAST``, as many as the description allows; None where it is none."""
    ends = written.split("-")
    if len(ends) != 2 or not all(map(_is_number, ends)):
        return None
    first, last = (int(end) for end in ends)
    if not first < last <= size:
        return None
    bins = min(description()["window"], last - first)
    return tuple(first + (last - first) * k // bins for k in range(bins + 1))


def _is_number(written: str) -> bool:
    return written.isascii() and written.isdecimal() and len(written) < 10


def is_pooled(record: AttentionRecord, ref: MapRef) -> bool:
    """Returns whether ``ref`` names a map without all its weights. Raises ``LookupError`` where there is no such map."""
    streams_of(record, ref)
    return ref.method == "attention" and isinstance(record.maps[record.map_number(ref)], PooledMap)


def edges_of(found: AttentionMap | PooledMap) -> dict[str, list[int]] | None:
    """The bins of a map without all its weights."""
    if not isinstance(found, PooledMap):
        return None
    return {"queries": list(found.query_edges), "keys": list(found.key_edges)}
