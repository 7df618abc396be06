"""Where a map of a record is, as columns of a table: a number stands under the module and the streams it belongs to."""

from __future__ import annotations

from typing import Any

from mmviz.types import AttentionRecord, MapRef

PLACE_COLUMNS = ("stack", "layer", "head", "module", "call", "query_stream", "key_stream")
"""The columns of `map_place`."""


def map_place(record: AttentionRecord, number: int, head: int | None = None) -> dict[str, Any]:
    """Returns `PLACE_COLUMNS` of the map at this position in ``record.maps``; ``head`` None: the mean over heads.

    Layers, heads and calls count from 0, as in `MapRef`; ``module`` is the path of the attention module.
    """
    attn_map = record.maps[number]
    return {
        "stack": attn_map.stack,
        "layer": attn_map.layer,
        "head": head,
        "module": attn_map.name,
        "call": attn_map.call,
        "query_stream": attn_map.queries,
        "key_stream": attn_map.keys,
    }


def ref_place(record: AttentionRecord, map_ref: MapRef, streams: tuple[str, str]) -> dict[str, Any]:
    """Returns `PLACE_COLUMNS` of the map that ``map_ref`` names, which runs between ``streams``.

    A flow has no layer, head, module or call: all None, and its stack "".
    """
    if map_ref.layer is not None:
        return map_place(record, record.map_number(map_ref), map_ref.head)
    queries, keys = streams
    place = dict.fromkeys(PLACE_COLUMNS)
    return {**place, "stack": "", "query_stream": queries, "key_stream": keys}
