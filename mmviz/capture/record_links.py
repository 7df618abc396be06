"""What a record needs to know of a call, so that rollout through several streams can be computed from its maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmviz.capture.call_groups import Stream
from mmviz.capture.call_maps import CallMap
from mmviz.capture.call_rollout_relevance import CallFlows
from mmviz.types import Notice, StreamLink


@dataclass(frozen=True)
class RecordLinks:
    """The links of a record, and what is lost."""

    links: tuple[StreamLink, ...] | None
    """None where not every way between its streams is known, or lost by name."""
    keys_states: tuple[int | None, ...]
    """`AttentionMap.keys_state` of each map."""
    notices: tuple[Notice, ...] = ()
    """What cannot be followed, and why."""


def record_links(
    maps: Sequence[CallMap], streams: Sequence[Stream], names: Sequence[tuple[str, str]], batch: int | None
) -> RecordLinks:
    """Returns the links between the streams of a record that holds all ``maps``.

    Args:
        maps: All maps of the call.
        streams: Their streams.
        names: The names of the streams of queries and keys of each map.
        batch: The sample.
    """

    def unknown(*notices: Notice) -> RecordLinks:
        return RecordLinks(None, (None,) * len(maps), notices)

    by_stream = _names_of(maps, names)
    if len(streams) < 2:
        return unknown()
    if by_stream is None:
        return unknown(Notice("flow-parts"))
    flows = CallFlows(maps, streams, batch)
    if flows.has_earlier_calls:
        return unknown()  # keys of earlier steps of an answer, whose maps are not in the record
    if not flows.is_of_one_sample:
        counts = ", ".join(f"{by_stream[id(stream)]} {stream.samples}" for stream in streams)
        return unknown(Notice("flow-rows", {"counts": counts}))
    of_streams = [by_stream[id(stream)] for stream in streams]
    notices = [
        Notice(
            "flow-lost",
            {"source": of_streams[lost.source], "stream": of_streams[lost.stream], "function": lost.function},
        )
        for lost in flows.lost
    ]
    links = [
        StreamLink(
            of_streams[link.stream], of_streams[link.source], flows.system.time_of(link), link.tokens.numpy(),
            link.source_tokens.numpy(), link.shares.numpy(),
        )
        for link in flows.system.links
    ]  # fmt: skip
    states = [
        flow_map.keys_state if flow_map.keys_state < number else None
        for number, flow_map in enumerate(flows.system.maps)
    ]
    return RecordLinks(tuple(links), tuple(states), tuple(notices))


def _names_of(maps: Sequence[CallMap], names: Sequence[tuple[str, str]]) -> Mapping[int, str] | None:
    """Returns the name of each stream by ``id``; None where a stream has several, or a part of it takes part alone."""
    by_stream: dict[int, str] = {}
    for call_map, pair in zip(maps, names, strict=True):
        group = call_map.group
        if group.query_part is not None or group.key_part is not None:
            return None
        for stream, name in zip((group.queries, group.keys), pair, strict=True):
            if by_stream.setdefault(id(stream), name) != name:
                return None
    return by_stream if len({*by_stream.values()}) == len(by_stream) else None
