"""The header of a record in a file: its streams, maps, answers and notices as JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.io.npz import Arrays
from mmviz.io.sample_parts import location_from_dict, location_to_dict, notice_to_list
from mmviz.types import Answer, AttentionMap, AttentionRecord, Modality, Notice, PooledMap, Token

_OPTIONAL = ("stack", "call", "absorbed_by", "windows")
"""Fields of a map that its header has where they are not those of a plain model."""


def header_of(record: AttentionRecord) -> dict[str, Any]:
    """Returns the header of ``record``, from which `record_of` makes it again, given its maps."""
    return {
        "id": record.id,
        "record_notices": [notice_to_list(notice) for notice in record.notices],
        "streams": {name: [_token_to_dict(token) for token in tokens] for name, tokens in record.streams.items()},
        "maps": [
            {"name": m.name, "layer": m.layer, "queries": m.queries, "keys": m.keys, "dtype": m.dtype}
            | {name: value for name in _OPTIONAL if (value := getattr(m, name))}
            | ({} if m.keys_state is None else {"keys_state": m.keys_state})
            | ({"edges": [m.query_edges, m.key_edges]} if isinstance(m, PooledMap) else {})
            for m in record.maps
        ],
        "answers": [[answer.label, answer.probability, answer.index] for answer in record.answers],
        "made_by": dict(record.made_by),
    }


def record_of(header: dict[str, Any], maps: list[AttentionMap | PooledMap]) -> AttentionRecord:
    """Returns the record of a header with its ``maps``, without what other arrays of the file hold."""
    return AttentionRecord(
        id=header["id"],
        streams={name: tuple(map(_token_from_dict, tokens)) for name, tokens in header["streams"].items()},
        maps=tuple(maps),
        answers=tuple(Answer(*answer) for answer in header["answers"]),
        made_by=header["made_by"],
        notices=tuple(Notice(code, values) for code, values in header["record_notices"]),
    )


def map_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Returns the fields of a map; those that its header leaves out have their defaults."""
    return fields | ({"windows": tuple(fields["windows"])} if "windows" in fields else {})


def read_norms(arrays: Arrays, count: int) -> tuple[NDArray[np.float32], ...]:
    """Returns the norms of ``count`` maps; nothing where they were not kept."""
    return tuple(arrays[f"norms{k}"] for k in range(count) if f"norms{k}" in arrays)


def _token_to_dict(token: Token) -> dict[str, Any]:
    return {"modality": str(token.modality), "label": token.label, **location_to_dict(token.location)}


def _token_from_dict(fields: dict[str, Any]) -> Token:
    return Token(Modality(fields["modality"]), fields["label"], location_from_dict(fields))
