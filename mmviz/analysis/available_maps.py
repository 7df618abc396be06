"""Which maps and flows a record has, and the streams that they run between."""

from __future__ import annotations

from typing import get_args

from mmviz.analysis.joint_rollout import Streams, reachable_streams
from mmviz.analysis.map_weights import rollout_streams
from mmviz.analysis.stack_words import stack_words
from mmviz.i18n.errors_and_notices import sentence
from mmviz.types import AttentionRecord, MapRef, Token
from mmviz.types.map_ref import Method


def has_map(record: AttentionRecord, ref: MapRef) -> bool:
    """Returns whether the record has the map, head or flow that ``ref`` names."""
    try:
        streams_of(record, ref)
    except LookupError:
        return False
    return True


def parse_map_ref(record: AttentionRecord, text: str) -> MapRef:
    """Returns the reference that ``text`` stands for, as `AttentionRecord.map_ref` writes it.

    Raises ``LookupError`` where the record has no such map.
    """
    try:
        return same_ref(record, MapRef.parse(text))
    except ValueError as problem:
        raise LookupError(str(problem)) from problem


def same_ref(record: AttentionRecord, ref: MapRef) -> MapRef:
    """Returns ``ref`` as `AttentionRecord.map_ref` writes it: with its stack only where the record has several.

    Raises ``LookupError`` where the record has no such map.
    """
    streams_of(record, ref)
    return ref if ref.method != "attention" else record.map_ref(record.map_number(ref), ref.head)


def map_words(ref: MapRef, record: AttentionRecord | None = None) -> str:
    """Returns the reference in words for people, who count layers and heads from 1, such as "layer 5, head 3".

    The stack stands before them where ``ref`` names one: as people call it in ``record``, else by its path.
    """
    if ref.method != "attention":
        words = sentence(f"map-{ref.method}")
        return sentence("map-to", map=words, stream=ref.keys) if ref.keys else words
    assert ref.layer is not None  # MapRef refuses raw attention without a layer
    head = "map-mean" if ref.head is None else "map-head"
    words = sentence(head, layer=ref.layer + 1, head=(ref.head or 0) + 1)
    if ref.index:
        words = sentence("map-of-layer", map=words, number=ref.index + 1)
    if not ref.stack:
        return words
    stack = ref.stack if record is None else stack_words(record, ref.stack)
    return sentence("map-of-stack", map=words, stack=stack)


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
    """Returns the method chosen for the model; the mean over heads of the `last_map` where none was chosen.

    A long record holds no flow, which takes a while to compute, so the `last_map` stands for one there as well. Raises
    ``LookupError`` where the record does not have what was chosen.
    """
    chosen = record.made_by.get("map_ref")
    if not chosen or (record.is_long and chosen in get_args(Method)):
        return record.map_ref(last_map(record))
    return parse_map_ref(record, chosen)


def last_map(record: AttentionRecord) -> int:
    """Returns the position in ``record.maps`` of the last map of the default stack."""
    return max(k for k, attn_map in enumerate(record.maps) if attn_map.stack == record.default_stack)


def last_keys(record: AttentionRecord) -> tuple[Token, ...]:
    """Returns the key tokens of the `last_map`, the tokens that attributions and experiments are about."""
    return record.streams[record.maps[last_map(record)].keys]


def flows(record: AttentionRecord) -> dict[MapRef, Streams]:
    """Returns the flows through all layers, and the streams that they run between.

    Each method has the flow to its own stream of keys first, then one to each other stream that can be followed. For
    rollout see `rollout_streams`. Relevance is there where the record holds it; that without a stream of keys belongs
    to the last map that it fits, one of the default stack before all others. A long record holds neither: its backend
    computes parts of both while it keeps the run, relevance as far as `AttentionRecord.relevance_on_request` says.
    """
    streams: dict[MapRef, Streams] = {}
    own = rollout_streams(record)
    if own:
        others = [] if record.links is None else reachable_streams(record, own[0])
        for method in ("rollout", *(("relevance",) if record.is_long and record.relevance_on_request else ())):
            streams[MapRef(method)] = own
            streams |= {MapRef(method, keys=keys): (own[0], keys) for keys in others if keys != own[1]}
    default = record.default_stack
    by_stack = sorted(record.maps, key=lambda attn_map: attn_map.stack == default)
    pairs = [(attn_map.queries, attn_map.keys) for attn_map in reversed(by_stack)]
    if record.relevance is not None:
        for queries, keys in pairs:
            if record.relevance.shape == (len(record.streams[queries]), len(record.streams[keys])):
                streams[MapRef("relevance")] = (queries, keys)
                break
    streams |= {MapRef("relevance", keys=keys): (pairs[0][0], keys) for keys in record.relevance_to}
    return streams
