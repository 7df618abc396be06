"""What came from a file or from another machine, checked as types cannot: every value is of the kind that is shown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmviz.types import AttentionRecord, Chars, Notice, PixelBox, Sample, Seconds, Token

_WORDS = ("model", "title", "device", "device_name", "backend", "map_ref", "dtype", "weights", "replica")
_LONGEST = 100_000
"""Characters of one word; a text has at most 10,000, and a title far fewer."""
_LARGEST_SIDE = 1_000_000


def check_sample(sample: Sample) -> None:
    """Raises ``ValueError``, ``TypeError`` or ``LookupError`` where a sample holds what no input becomes."""
    if sample.text is not None:
        _word(sample.text)
    if sample.image is not None:
        for side in (sample.image.width, sample.image.height):
            whole(side - 1, _LARGEST_SIDE)
    if sample.audio is not None:
        whole(sample.audio.rate - 1, _LARGEST_SIDE)
        _number(sample.audio.seconds, 1e-6, 1e6)
    _check_notices(sample.notices)


def check_record(record: AttentionRecord) -> None:
    """Raises ``ValueError``, ``TypeError`` or ``LookupError`` where a record holds what no run leaves."""
    _word(record.id)
    if not all(record.streams[found.queries] and record.streams[found.keys] for found in record.maps):
        raise ValueError("no tokens")
    for found in record.maps:
        whole(found.layer, _LARGEST_SIDE)
        _word(found.name)
    for name, tokens in record.streams.items():
        _word(name)
        for token in tokens:
            _check_token(token)
    for answer in record.answers:
        _word(answer.label)
        _number(answer.probability, 0, 1 + 1e-6)
    _check_extras(record)
    _check_notices(record.notices)
    _check_made_by(record.made_by)


def whole(value: Any, below: int) -> int:
    """A whole number from 0 on. Raises ``ValueError`` for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < below:
        raise ValueError(value)
    return value


def _check_extras(record: AttentionRecord) -> None:
    sides = [(len(record.streams[found.queries]), len(record.streams[found.keys])) for found in record.maps]
    expected: dict[str, list[tuple[int, ...]]] = {
        "relevance": [*sides], "integrated": [side[1:] for side in sides[-1:]],
    }  # fmt: skip
    for name, shapes in expected.items():
        found = getattr(record, name)
        if found is not None and (found.shape not in shapes or not np.isfinite(found).all()):
            raise ValueError(name)
    if record.norms and [found.shape for found in record.norms] != sides:
        raise ValueError("norms")
    if any(not np.isfinite(found).all() or (found < 0).any() for found in record.norms):
        raise ValueError("norms")
    for one in record.steps:
        _number(one.scale, -1e6, 1e6)
        for head in one.ablated_heads:
            whole(head, one.heads)
    swept = record.sweep
    if swept is not None and (swept.ndim != 2 or swept.shape[1] != len(record.answers) or not (swept <= 1e-6).all()):
        raise ValueError("sweep")


def _check_token(token: Token) -> None:
    _word(token.label)
    if isinstance(token.location, Chars):
        whole(token.location.end, _LONGEST)
        whole(token.location.start, _LONGEST)
    elif isinstance(token.location, PixelBox | Seconds):
        for value in vars(token.location).values():
            _number(value, -_LARGEST_SIDE, _LARGEST_SIDE)


def _check_notices(notices: tuple[Notice, ...]) -> None:
    for notice in notices:
        _word(str(notice))  # there is a sentence, and the parameters fit


def _check_made_by(made: Any) -> None:
    if not isinstance(made, Mapping):
        raise TypeError(made)
    for name in _WORDS:
        _word(made.get(name) or "")
    for milliseconds in dict(made.get("milliseconds", {})).values():
        _number(milliseconds, 0, 1e12)
    _number(made.get("parity") or 0.0, 0, 1e12)
    for change in list(made.get("changes", ())):
        _word(change)


def _word(value: Any) -> None:
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise TypeError(value)


def _number(value: Any, low: float, high: float) -> None:
    if not isinstance(value, int | float) or not math.isfinite(value) or not low <= value <= high:
        raise ValueError(value)
