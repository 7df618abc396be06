"""The steps of a run's attention for the viewer: sections of float32 ``[head, token, number]``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.types import AttentionMap, AttentionRecord
from mmviz.viewer.container import Section, room

_OF_ALL = ("projection", "bias", "output", "state", "context", "to_query", "query_bias", "to_key", "key_bias",
           "to_value", "value_bias")  # fmt: skip
"""What heads share: one head in its section, and of a bias one token."""


def steps_header(record: AttentionRecord) -> list[dict[str, Any]] | None:
    """What is not an array, for each map; None where the record has no steps."""
    return [{"scale": float(one.scale), "off": list(one.ablated_heads)} for one in record.steps] or None


def steps_number(written: str) -> int:
    """The number of a map, as a viewer writes it. Raises ``LookupError`` for anything else."""
    if not (written.isascii() and written.isdecimal() and len(written) < 6):
        raise LookupError(f"there is no steps/{written}")
    return int(written)


def steps_sections(record: AttentionRecord, number: int) -> dict[str, Section]:
    """The sections of map ``number``: its vectors, and the model's own weights to compare with. The tokens that are
    asked are left out where they are those that ask. Raises ``LookupError`` where the record has none."""
    if not 0 <= number < len(record.steps):
        raise LookupError(f"there is no steps/{number}")
    found, steps = record.maps[number], record.steps[number]
    assert isinstance(found, AttentionMap)
    parts: dict[str, NDArray[np.float32]] = {"weights": found.weights, **dict(steps.arrays())}
    if steps.state is not None and steps.context is not None and np.array_equal(steps.state, steps.context):
        del parts["context"]
    return {
        f"steps/{number}/{name}": Section(part.reshape(1, -1, part.shape[-1]) if name in _OF_ALL else part)
        for name, part in parts.items()
    }


def steps_room(sections: dict[str, Section]) -> int:
    """About how many bytes these take; never fewer."""
    return sum(room(section.values.nbytes) for section in sections.values())
