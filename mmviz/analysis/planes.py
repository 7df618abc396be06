"""Planes: matrices ``[query, key]`` of a record that can be looked at, by name.

``"M:H"`` is head H of map M of the record (both from 0), ``"M:mean"`` the mean over its heads; ``"rollout"`` and
``"relevance"`` go through all layers.
"""

from __future__ import annotations

from mmviz.analysis.select import Streams, Way, map_number
from mmviz.types import AttentionRecord


def plane_of(record: AttentionRecord, way: Way) -> str:
    """The plane that ``way`` shows. Raises ``LookupError`` where the record has none."""
    plane: str = way.method
    if way.layer is not None:
        plane = f"{map_number(record, way)}:{'mean' if way.head is None else way.head}"
    streams_of(record, plane)
    return plane


def way_of(record: AttentionRecord, plane: str) -> Way:
    """The way of looking that ``plane`` shows. Raises ``LookupError`` where the record has no such plane."""
    streams_of(record, plane)
    if ":" not in plane:
        return Way("rollout" if plane == "rollout" else "relevance")
    number, head = split(plane)
    layer = record.maps[number].layer
    nth = sum(found.layer == layer for found in record.maps[:number])
    return Way("mean", layer, nth=nth) if head is None else Way("head", layer, head, nth)


def split(plane: str) -> tuple[int, int | None]:
    """The number of the map, and of the head (None: the mean)."""
    number, _, head = plane.partition(":")
    return int(number), None if head == "mean" else int(head)


def streams_of(record: AttentionRecord, plane: str) -> Streams:
    """The streams of the queries and of the keys. Raises ``LookupError`` where the record has no such plane."""
    there = flows(record)
    if plane in there:
        return there[plane]
    number, _, head = plane.partition(":")
    for k, one in enumerate(record.maps):
        if number == str(k) and (head == "mean" or head in map(str, range(one.heads))):
            return one.queries, one.keys
    raise LookupError(f"the record has no plane {plane!r}")


def planes(record: AttentionRecord) -> list[str]:
    """The names of all planes."""
    heads = [f"{k}:{head}" for k, one in enumerate(record.maps) for head in [*range(one.heads), "mean"]]
    return [*heads, *flows(record)]


def flows(record: AttentionRecord) -> dict[str, Streams]:
    """The planes that go through all layers, and their streams.

    Rollout needs maps of one stream that attends to itself, with all their weights; relevance is where the record holds
    it, of the last map that it fits.
    """
    found = {}
    pairs = [(one.queries, one.keys) for one in record.maps]
    if len(set(pairs)) == 1 and pairs[0][0] == pairs[0][1] and not record.is_long:
        found["rollout"] = pairs[0]
    if record.relevance is not None:
        for queries, keys in reversed(pairs):
            if record.relevance.shape == (len(record.streams[queries]), len(record.streams[keys])):
                found["relevance"] = (queries, keys)
                break
    return found
