"""Which maps and flows a record has, and the streams that they run between."""

from __future__ import annotations

from mmviz.analysis.map_weights import Streams
from mmviz.i18n.errors_and_notices import sentence
from mmviz.types import AttentionRecord, MapRef


def has_map(record: AttentionRecord, ref: MapRef) -> bool:
    """Returns whether the record has the map, head or flow that ``ref`` names."""
    try:
        streams_of(record, ref)
    except LookupError:
        return False
    return True


def parse_map_ref(record: AttentionRecord, text: str) -> MapRef:
    """Returns the reference that ``text`` stands for. Raises ``LookupError`` where the record has no such map."""
    try:
        ref = MapRef.parse(text)
    except ValueError as problem:
        raise LookupError(str(problem)) from problem
    streams_of(record, ref)
    return ref


def map_words(ref: MapRef) -> str:
    """Returns the reference in words for people, who count layers and heads from 1, such as "layer 5, head 3"."""
    if ref.method != "attention":
        return sentence(f"map-{ref.method}")
    assert ref.layer is not None  # MapRef refuses raw attention without a layer
    head = "map-mean" if ref.head is None else "map-head"
    words = sentence(head, layer=ref.layer + 1, head=(ref.head or 0) + 1)
    return sentence("map-of-layer", map=words, number=ref.index + 1) if ref.index else words


def streams_of(record: AttentionRecord, ref: MapRef) -> Streams:
    """Returns the names of the query stream and the key stream. Raises ``LookupError`` where there is no such map."""
    if ref.method != "attention":
        all_flows = flows(record)
        if ref not in all_flows:
            raise LookupError(f"the record has no {ref.method}")
        return all_flows[ref]
    attn_map = record.maps[record.map_number(ref)]
    return attn_map.queries, attn_map.keys


def map_refs(record: AttentionRecord) -> list[MapRef]:
    """Returns every head, mean over heads and flow of the record, in order of execution, the flows last."""
    refs = [
        record.map_ref(number, head)
        for number, attn_map in enumerate(record.maps)
        for head in [*range(attn_map.heads), None]
    ]
    return [*refs, *flows(record)]


def default_map_ref(record: AttentionRecord) -> MapRef:
    """Returns the method chosen for the model; the mean over heads of the last map where none was chosen.

    Raises ``LookupError`` where the record does not have what was chosen.
    """
    chosen = record.made_by.get("map_ref")
    return parse_map_ref(record, chosen) if chosen else record.map_ref(len(record.maps) - 1)


def flows(record: AttentionRecord) -> dict[MapRef, Streams]:
    """Returns the flows through all layers, and the streams that they run between.

    Rollout needs maps of one stream that attends to itself, with all their weights. Relevance is there where the
    record holds it, and belongs to the last map that it fits.
    """
    pairs = [(attn_map.queries, attn_map.keys) for attn_map in record.maps]
    streams: dict[MapRef, Streams] = {}
    if len(set(pairs)) == 1 and pairs[0][0] == pairs[0][1] and not record.is_long:
        streams[MapRef("rollout")] = pairs[0]
    if record.relevance is not None:
        for queries, keys in reversed(pairs):
            if record.relevance.shape == (len(record.streams[queries]), len(record.streams[keys])):
                streams[MapRef("relevance")] = (queries, keys)
                break
    return streams
