"""The maps of a record: those of a call that pass their checks, and what is known of the ways between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mmviz.capture.call_groups import Stream
from mmviz.capture.call_maps import CallMap
from mmviz.capture.map_check import MapCheck
from mmviz.capture.record_links import RecordLinks, record_links
from mmviz.capture.streams import NamedStreams
from mmviz.types import AttentionMap, CaptureError, Notice, PooledMap

_OF_THE_CALLER = {"capture-tokens", "capture-batch", "capture-batch-choose", "capture-changed"}
"""Errors that no other choice of maps would mend."""


def checked_maps(
    maps: Sequence[CallMap], named: NamedStreams, samples: int, batch: int | None
) -> tuple[dict[int, tuple[AttentionMap | PooledMap, MapCheck]], list[Notice]]:
    """Returns the maps that pass their checks, by their numbers among ``maps``, and a notice for each other map.

    Args:
        maps: All maps of the call.
        named: Their streams.
        samples: The number of samples of the call.
        batch: The sample of the record.

    Raises ``CaptureError`` where none passes, with the reason of the first, and for wrong arguments of the caller.
    """
    kept: dict[int, tuple[AttentionMap | PooledMap, MapCheck]] = {}
    problems: list[CaptureError] = []
    for number, call_map in enumerate(maps):
        try:
            if call_map.samples not in (1, samples):
                raise CaptureError("axes-samples", name=call_map.group.module)
            names = named.pair(call_map.group)
            if call_map.shape != tuple(len(named.tokens[name]) for name in names):
                raise CaptureError("axes-tokens", name=call_map.group.module)
            kept[number] = call_map.check(names, named.tokens, batch)
        except CaptureError as problem:
            if problem.code in _OF_THE_CALLER:
                raise
            problems.append(problem)
    if not kept:
        raise problems[0]
    return kept, [Notice(problem.code, problem.parameters) for problem in problems]


def linked_maps(
    maps: Sequence[CallMap], streams: Sequence[Stream], attn_maps: list[AttentionMap | PooledMap], batch: int | None,
    samples: int,
) -> tuple[list[AttentionMap | PooledMap], RecordLinks]:  # fmt: skip
    """Returns the maps of a record with the states that their keys are read in, and its links.

    Nothing is known of a record that has several samples, or lacks a map. ``maps`` are all of the call,
    ``attn_maps`` those of the record.
    """
    if len(attn_maps) < len(maps) or (batch is None and samples > 1):
        return attn_maps, RecordLinks(None, (None,) * len(maps))
    names = [(attn_map.queries, attn_map.keys) for attn_map in attn_maps]
    linked = record_links(maps, streams, names, batch)
    states = zip(attn_maps, linked.keys_states, strict=True)
    return [replace(attn_map, keys_state=state) for attn_map, state in states], linked
