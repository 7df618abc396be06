"""The attention steps of a run for the viewer: sections of float32 ``[head, token, number]``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.types import AttentionMap, AttentionRecord
from mmviz.viewer.binary_format import Section, max_section_bytes

_SHARED_BY_HEADS = (
    "projection", "bias", "output", "state", "context", "to_query", "query_bias", "to_key", "key_bias", "to_value",
    "value_bias",
)  # fmt: skip
"""Arrays that heads share: their sections have one head, and those of a bias one token."""


def steps_header(record: AttentionRecord) -> list[dict[str, Any]] | None:
    """Returns what is not an array, for each map; None where the record has no steps."""
    return [{"scale": float(steps.scale), "ablated_heads": list(steps.ablated_heads)} for steps in record.steps] or None


def parse_map_number(text: str) -> int:
    """Returns the number of a map, as the viewer writes it. Raises ``LookupError`` for anything else."""
    if not (text.isascii() and text.isdecimal() and len(text) < 6):
        raise LookupError(f"there is no steps/{text}")
    return int(text)


def steps_sections(record: AttentionRecord, number: int) -> dict[str, Section]:
    """Returns the sections of map ``number``: its steps, and the model's own weights to compare with.

    ``context`` is left out where it equals ``state``, in self-attention. Raises ``LookupError`` where the record has no
    such steps.
    """
    if not 0 <= number < len(record.steps):
        raise LookupError(f"there is no steps/{number}")
    attn_map, steps = record.maps[number], record.steps[number]
    assert isinstance(attn_map, AttentionMap)
    arrays: dict[str, NDArray[np.float32]] = {"weights": attn_map.weights, **dict(steps.arrays())}
    if steps.state is not None and steps.context is not None and np.array_equal(steps.state, steps.context):
        del arrays["context"]
    return {
        f"steps/{number}/{name}": Section(array.reshape(1, -1, array.shape[-1]) if name in _SHARED_BY_HEADS else array)
        for name, array in arrays.items()
    }


def max_encoded_bytes(sections: dict[str, Section]) -> int:
    """Returns an upper bound of the bytes that the encoded sections take."""
    return sum(max_section_bytes(section.values.nbytes) for section in sections.values())
