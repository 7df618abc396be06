"""JSON files of what was measured of recorded runs, a line for each, so that it is shown without running the model."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from mmviz.types import AttentionRecord, MmvizError

FORMAT = 1
MAX_BYTES = 1_000_000
"""Bytes of a file; what is measured of a run takes about a thousand."""
DIGITS = 6
"""Decimal places of effects, log-probabilities and probabilities."""
_MAX_NAME = 1_000


class Measured(Protocol):
    """What was measured of the answer of a run."""

    @property
    def answer(self) -> str:
        """The label of the answer."""


T = TypeVar("T")
M = TypeVar("M", bound=Measured)


def entries_to_json(kind: str, entries: Mapping[str, T], encode: Callable[[T], Any]) -> str:
    """Returns entries of a ``kind``, by the id of the record that each is of, as JSON with a line for each."""
    lines = (f"{json.dumps(name)}: {json.dumps(encode(entry))}" for name, entry in entries.items())
    return f'{{"format": {FORMAT}, "{kind}": {{\n' + ",\n".join(lines) + "\n}}\n"


def read_entries(path: Path, kind: str, decode: Callable[[Mapping[str, Any]], T]) -> dict[str, T]:
    """Returns the entries of a file that `entries_to_json` wrote, by the id of their record.

    ``decode`` raises ``ValueError``, ``LookupError``, ``TypeError`` or ``AttributeError`` for fields that it cannot
    read. Raises ``MmvizError`` (``stories-unreadable``) for any other file, and where there is none.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError
        content = json.loads(data)
        if content["format"] != FORMAT:
            raise ValueError
        return {checked_text(name): decode(fields) for name, fields in content[kind].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as problem:
        raise MmvizError("stories-unreadable", name=path.name) from problem


def entry_of_record(entries: Mapping[str, M], record: AttentionRecord) -> M | None:
    """Returns the entry of ``record`` itself; None where there is none. A run with changes is another record."""
    entry = entries.get(record.id)
    if entry is None or record.made_by.get("changes") or not record.answers:
        return None
    return entry if record.answers[0].label == entry.answer else None


def checked_text(value: Any) -> str:
    """Returns a text. Raises ``ValueError`` for anything else, and for one that is too long."""
    if not isinstance(value, str) or len(value) > _MAX_NAME:
        raise ValueError
    return value


def checked_number(value: Any, most: float) -> float:
    """Returns a finite number of at most ``most``. Raises ``ValueError`` or ``TypeError`` for anything else."""
    if isinstance(value, bool) or not math.isfinite(value) or value > most:
        raise ValueError
    return float(value)


def checked_probability(value: Any) -> float:
    """Returns a number from 0 to 1. Raises ``ValueError`` or ``TypeError`` for anything else."""
    if isinstance(value, bool) or not 0 <= value <= 1:
        raise ValueError
    return float(value)
