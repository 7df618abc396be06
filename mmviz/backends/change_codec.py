"""Changes of a request as plain values and back, for the wire and for files; what arrives is checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, get_args

from mmviz.io.sample_parts import location_from_dict, location_to_dict
from mmviz.io.validation import check_index
from mmviz.types import (
    ANSWER,
    AblateHead,
    Change,
    Chars,
    ChosenTokens,
    CutRoute,
    DropModality,
    DropTokens,
    InputBaseline,
    Modality,
    PixelBox,
    ReplaceInput,
    Seconds,
    ShuffleWeights,
    TokenGroup,
    UniformAttention,
    location_numbers,
)

MAX_SEED = 2**31
"""A seed is smaller."""
MAX_NAME = 1_000
"""Characters of a name."""
MAX_TOKENS = 100_000
"""Indices in a list; an index is smaller, too."""
_MAX_CHANGES = 10_000


def encode_change(change: Change) -> dict[str, Any]:
    """Returns the change as plain values: its class as ``kind``, and a key for each of its fields."""
    if isinstance(change, DropModality):
        fields: dict[str, Any] = {"modality": str(change.modality)}
    elif isinstance(change, DropTokens):
        fields = {"tokens": list(change.tokens)}
    elif isinstance(change, ReplaceInput):
        locations = [location_to_dict(location) for location in change.locations]
        fields = {"modality": str(change.modality), "baseline": change.baseline, "locations": locations}
    elif isinstance(change, AblateHead):
        fields = {"map": change.map, "head": change.head}
    elif isinstance(change, CutRoute):
        layers, heads = (None if chosen is None else list(chosen) for chosen in (change.layers, change.heads))
        groups = {name: encode_group(getattr(change, name)) for name in ("queries", "keys")}
        fields = {**groups, "stack": change.stack, "layers": layers, "heads": heads}
    elif isinstance(change, ShuffleWeights):
        fields = {"seed": change.seed}
    else:
        fields = {}
    return {"kind": type(change).__name__, **fields}


def decode_changes(values: Any) -> tuple[Change, ...]:
    """Returns the changes that `encode_change` encoded. Raises ``ValueError``, ``TypeError`` or ``LookupError``."""
    if not isinstance(values, list) or len(values) > _MAX_CHANGES:
        raise ValueError
    return tuple(_decode_change(fields) for fields in values)


def _decode_change(fields: Mapping[str, Any]) -> Change:
    kind = fields["kind"]
    if kind == "DropModality":
        return DropModality(Modality(fields["modality"]))
    if kind == "DropTokens":
        return DropTokens(decode_indices(fields["tokens"]))
    if kind == "ReplaceInput":
        if fields["baseline"] not in get_args(InputBaseline) or len(fields["locations"]) > MAX_TOKENS:
            raise ValueError
        locations = tuple(_decode_location(location) for location in fields["locations"])
        return ReplaceInput(Modality(fields["modality"]), fields["baseline"], locations)
    if kind == "AblateHead":
        return AblateHead(check_index(fields["map"], MAX_TOKENS), check_index(fields["head"], MAX_TOKENS))
    if kind == "CutRoute":
        layers, heads = (None if fields[name] is None else decode_indices(fields[name]) for name in ("layers", "heads"))
        if not isinstance(fields["stack"], str) or len(fields["stack"]) > MAX_NAME:
            raise ValueError
        queries, keys = decode_group(fields["queries"]), decode_group(fields["keys"])
        return CutRoute(queries, keys, fields["stack"], layers, heads)
    if kind == "ShuffleWeights":
        return ShuffleWeights(check_index(fields["seed"], MAX_SEED))
    if kind == "UniformAttention":
        return UniformAttention()
    raise ValueError(kind)


def encode_group(group: TokenGroup) -> str | dict[str, Any]:
    """Returns a modality or the answer as text, chosen tokens as their indices and stream."""
    return {"tokens": list(group.tokens), "stream": group.stream} if isinstance(group, ChosenTokens) else str(group)


def decode_group(value: Any) -> TokenGroup:
    """Returns what `encode_group` encoded. Raises ``ValueError``, ``TypeError`` or ``LookupError``."""
    if isinstance(value, str):
        return ANSWER if value == ANSWER else Modality(value)
    if not isinstance(value["stream"], str) or len(value["stream"]) > MAX_NAME:
        raise ValueError
    return ChosenTokens(decode_indices(value["tokens"]), value["stream"])


def _decode_location(value: Any) -> PixelBox | Seconds | Chars:
    location = location_from_dict(value)
    if location is None or not all(math.isfinite(edge) for edge in location_numbers(location)):
        raise ValueError
    return location


def decode_indices(values: Any) -> tuple[int, ...]:
    """Returns indices of tokens, layers or heads. Raises ``ValueError`` for anything else."""
    if not isinstance(values, list) or len(values) > MAX_TOKENS:
        raise ValueError
    return tuple(check_index(value, MAX_TOKENS) for value in values)
