"""Checks of samples and records from a file or another machine, beyond what their types check themselves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from mmviz.types import (
    MAX_PICTURES,
    AttentionMap,
    AttentionRecord,
    Chars,
    Notice,
    PixelBox,
    PooledMap,
    Sample,
    Seconds,
    Token,
    VideoPatch,
    location_numbers,
)

_STRINGS = (
    "model", "title", "device", "device_name", "backend", "map_ref", "depends_on", "dtype", "weights", "replica",
)  # fmt: skip
"""Entries of ``made_by`` that are strings."""
_MAX_CHARS = 100_000
"""Characters of one string; a text has at most 10,000, and a title far fewer."""
_MAX_ANSWERS = 10_000_000
"""Answers of a model; the largest vocabularies have a million."""
_MAX_SIDE = 1_000_000


def check_sample(sample: Sample) -> None:
    """Raises ``ValueError``, ``TypeError`` or ``LookupError`` where a sample holds what checked inputs never hold."""
    if sample.text is not None:
        _check_string(sample.text)
    if sample.image is not None:
        for side in (sample.image.width, sample.image.height):
            check_index(side - 1, _MAX_SIDE)
        _check_pictures(sample.image.parts)
    if sample.audio is not None:
        check_index(sample.audio.rate - 1, _MAX_SIDE)
        _check_number(sample.audio.seconds, 1e-6, 1e6)
    _check_notices(sample.notices)


def _check_pictures(parts: Sequence[PixelBox]) -> None:
    """Checks that there are no more pictures on a sheet than mmviz takes, and that each lies beside the others."""
    if len(parts) > MAX_PICTURES:
        raise ValueError("parts")
    for a, b in combinations(parts, 2):
        if a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1:
            raise ValueError("parts")
    ends = [part.end for part in parts if isinstance(part, VideoPatch)]
    if ends:
        _check_number(max(ends), 1e-3, 1e6)  # the clock of video processors counts milliseconds


def check_record(record: AttentionRecord) -> None:
    """Raises ``ValueError``, ``TypeError`` or ``LookupError`` where a record holds what no run leaves behind."""
    _check_string(record.id)
    if not all(record.streams[attn_map.queries] and record.streams[attn_map.keys] for attn_map in record.maps):
        raise ValueError("no tokens")
    for attn_map in record.maps:
        _check_map(attn_map)
    for name, tokens in record.streams.items():
        _check_string(name)
        for token in tokens:
            _check_token(token)
    _check_links(record)
    for answer in record.answers:
        _check_string(answer.label)
        _check_number(answer.probability, 0, 1 + 1e-6)
        if answer.index is not None:
            check_index(answer.index, _MAX_ANSWERS)
    _check_made_by(record.made_by)
    _check_extras(record)
    _check_notices(record.notices)
    if record.made_by.get("answer_token"):
        stream, index = record.made_by["answer_token"]
        check_index(index, len(record.streams[stream]))
    if record.made_by.get("answer_token") is not None:
        stream, index = record.made_by["answer_token"]
        check_index(index, len(record.streams[stream]))


def _check_map(attn_map: AttentionMap | PooledMap) -> None:
    check_index(attn_map.layer, _MAX_SIDE)
    check_index(attn_map.call, _MAX_SIDE)
    _check_string(attn_map.name)
    _check_string(attn_map.stack)
    if attn_map.absorbed_by not in ("", "sink", "mask", "padding"):
        raise ValueError("absorbed_by")
    if not attn_map.windows:
        return
    if attn_map.shape != (len(attn_map.windows), len(attn_map.windows)):
        raise ValueError("windows")
    windows = np.array([check_index(window, _MAX_SIDE) for window in attn_map.windows])
    if isinstance(attn_map, AttentionMap):
        weights = attn_map.weights.reshape(-1, *attn_map.shape).max(axis=0)
        if weights[windows[:, None] != windows].any():
            raise ValueError("windows")


def _check_links(record: AttentionRecord) -> None:
    """Checks that links join tokens that there are, and that no token is made of more than the whole of others."""
    totals = {name: np.zeros(len(tokens)) for name, tokens in record.streams.items()}
    for number, attn_map in enumerate(record.maps):
        if attn_map.keys_state is not None:
            check_index(attn_map.keys_state, number + 1)
    for link in record.links or ():
        check_index(link.source_state, len(record.maps) + 1)
        for tokens, name in ((link.tokens, link.stream), (link.source_tokens, link.source)):
            if len(tokens) and not (tokens.min() >= 0 and tokens.max() < len(record.streams[name])):
                raise ValueError("links")
        if not np.isfinite(link.shares).all() or (link.shares < 0).any() or link.stream == link.source:
            raise ValueError("links")
        np.add.at(totals[link.stream], link.tokens, link.shares)
    if any(len(total) and total.max() > 1 + 1e-4 for total in totals.values()):
        raise ValueError("links")
    _check_order(record)


def _check_order(record: AttentionRecord) -> None:
    """Checks that no stream is made of itself in the end."""
    sources = {name: {link.source for link in record.links or () if link.stream == name} for name in record.streams}
    left = set(sources)
    while left:
        free = {name for name in left if not sources[name] & left}
        if not free:
            raise ValueError("links")
        left -= free


def check_index(value: Any, count: int) -> int:
    """Returns ``value`` where it is an integer from 0 to ``count - 1``. Raises ``ValueError`` for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < count:
        raise ValueError(value)
    return value


def _check_extras(record: AttentionRecord) -> None:
    shapes = [(len(record.streams[attn_map.queries]), len(record.streams[attn_map.keys])) for attn_map in record.maps]
    expected: dict[str, list[tuple[int, ...]]] = {
        "relevance": [*shapes], "integrated": [shape[1:] for shape in shapes],
    }  # fmt: skip
    for name, possible in expected.items():
        array = getattr(record, name)
        if array is not None and (array.shape not in possible or not np.isfinite(array).all()):
            raise ValueError(name)
    for name, array in record.relevance_to.items():
        if array.ndim != 2 or array.shape[1] != len(record.streams[name]) or not np.isfinite(array).all():
            raise ValueError("relevance_to")
        if array.shape[0] not in {shape[0] for shape in shapes}:
            raise ValueError("relevance_to")
    for name, array in record.integrated_of.items():
        if array.shape != (len(record.streams[name]),) or not np.isfinite(array).all():
            raise ValueError("integrated_of")
    if record.norms and [norms.shape for norms in record.norms] != shapes:
        raise ValueError("norms")
    if any(not np.isfinite(norms).all() or (norms < 0).any() for norms in record.norms):
        raise ValueError("norms")
    for steps in record.steps:
        _check_number(steps.scale, -1e6, 1e6)
        for head in steps.ablated_heads:
            check_index(head, steps.heads)
    written = record.answer_log_probabilities
    if written is not None:
        expected_columns = len(record.made_by.get("answer", ()))
        if written.ndim != 2 or written.shape[1] != expected_columns or not (written <= 1e-6).all():
            raise ValueError("answer_log_probabilities")
    sweep = record.sweep
    if sweep is not None and (sweep.ndim != 2 or sweep.shape[1] != len(record.answers) or not (sweep <= 1e-6).all()):
        raise ValueError("sweep")


def _check_token(token: Token) -> None:
    _check_string(token.label)
    if isinstance(token.location, Chars):
        check_index(token.location.end, _MAX_CHARS)
        check_index(token.location.start, _MAX_CHARS)
    elif isinstance(token.location, PixelBox | Seconds):
        for edge in location_numbers(token.location):
            _check_number(edge, -_MAX_SIDE, _MAX_SIDE)


def _check_notices(notices: tuple[Notice, ...]) -> None:
    for notice in notices:
        _check_string(str(notice))  # the code has a sentence, and the parameters fit it


def _check_made_by(made_by: Any) -> None:
    if not isinstance(made_by, Mapping):
        raise TypeError(made_by)
    for name in _STRINGS:
        _check_string(made_by.get(name) or "")
    for milliseconds in dict(made_by.get("milliseconds", {})).values():
        _check_number(milliseconds, 0, 1e12)
    _check_number(made_by.get("parity") or 0.0, 0, 1e12)
    if made_by.get("receptive_field"):
        for part in ("patch", "around"):
            _check_number(made_by["receptive_field"][part], 0, 1)
    for text in (*list(made_by.get("changes", ())), *list(made_by.get("towers", ()))):
        _check_string(text)
    for name in ("answer", "answer_part"):
        if not isinstance(made_by.get(name, []), list | tuple):
            raise TypeError(name)
        for number in made_by.get(name, ()):
            check_index(number, _MAX_ANSWERS)
    for pattern, queries, keys in made_by.get("pairs", ()):
        for text in (pattern, queries, keys):
            _check_string(text)
    for name, value in made_by.get("options", ()):
        _check_string(name)
        if not isinstance(value, int):
            _check_string(value)


def _check_string(value: Any) -> None:
    if not isinstance(value, str) or len(value) > _MAX_CHARS:
        raise TypeError(value)


def _check_number(value: Any, low: float, high: float) -> None:
    if not isinstance(value, int | float) or not math.isfinite(value) or not low <= value <= high:
        raise ValueError(value)
