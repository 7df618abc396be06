"""What backends and those who ask them send each other: npz and JSON, never pickle; everything checked on arrival."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.arrived import whole
from mmviz.inputs import make_sample
from mmviz.inputs.mel import SAMPLE_RATE
from mmviz.io import from_bytes, sample_of, sample_parts, to_bytes
from mmviz.npz import opened, packed
from mmviz.types import (
    AttentionRecord,
    Card,
    Change,
    Columns,
    Drop,
    MmvizError,
    Modality,
    Randomise,
    Request,
    Rollout,
    Rows,
    Sample,
    Uniform,
    View,
    Zoom,
)

PROTOCOL = 1
HEADER = "mmviz-protocol"
"""The HTTP header, in requests and answers, that holds the version of the protocol."""
INFLATED = 64_000_000
"""Bytes that a request or an answer may hold once inflated."""
_QUICK = 1
"""Weights hardly deflate, so little time is spent on it."""
_LARGEST_SEED = 2**31
_MOST_TOKENS = 100_000
_UNREADABLE = "wire-unreadable"


def request_to_bytes(request: Request) -> bytes:
    """A request as ``.npz``."""
    about, arrays = sample_parts(request.sample)
    asked = {
        "protocol": PROTOCOL, "model": request.model, "changes": [_change(one) for one in request.changes],
        "seed": request.seed, "relevance": request.relevance,
    }  # fmt: skip
    return packed(asked | about, arrays, _QUICK)


def request_from_bytes(data: bytes) -> Request:
    """What `request_to_bytes` wrote, checked as if a person had given it.

    Raises ``MmvizError`` (``wire-unreadable``, ``npz-large``), ``InputError`` for inputs that mmviz does not take.
    """
    with opened(io.BytesIO(data), _UNREADABLE, INFLATED) as (header, arrays):
        sample = sample_of(header, arrays)
        _check(sample)
        if not isinstance(header["model"], str) or not isinstance(header["relevance"], bool):
            raise ValueError
        changes = tuple(_read_change(one) for one in header["changes"])
        return Request(header["model"], sample, changes, whole(header["seed"], _LARGEST_SEED), header["relevance"])


def record_to_bytes(record: AttentionRecord) -> bytes:
    """A record as ``.npz``, without its sample."""
    return to_bytes(Sample(), record, _QUICK)


def record_from_bytes(data: bytes) -> AttentionRecord:
    """What `record_to_bytes` wrote. Raises ``MmvizError`` (``wire-unreadable``, ``npz-large``) for anything else."""
    return from_bytes(data, _UNREADABLE, INFLATED)[1]


def view_to_bytes(view: View) -> bytes:
    """A view as JSON."""
    return json.dumps({"kind": type(view).__name__, **vars(view)}).encode()


def view_from_bytes(data: bytes) -> View:
    """What `view_to_bytes` wrote. Raises ``MmvizError`` (``wire-unreadable``) for anything else."""
    try:
        found = json.loads(data)
        kind = found["kind"]
        if kind not in ("Rows", "Columns", "Zoom", "Rollout"):
            raise ValueError
        if kind == "Rollout":
            if found["direction"] not in ("from", "to"):
                raise ValueError
            return Rollout(_wholes(found["tokens"]), found["direction"])
        number = whole(found["map"], _MOST_TOKENS)
        head = None if found["head"] is None else whole(found["head"], _MOST_TOKENS)
        if kind == "Zoom":
            return Zoom(number, head, _wholes(found["query_edges"]), _wholes(found["key_edges"]))
        return (Rows if kind == "Rows" else Columns)(number, head, _wholes(found["tokens"]))
    except (ValueError, LookupError, TypeError, RecursionError) as problem:
        raise MmvizError(_UNREADABLE) from problem


def array_to_bytes(array: NDArray[np.float32]) -> bytes:
    """What a view gave, as ``.npz``."""
    return packed({}, {"view": array}, _QUICK)


def array_from_bytes(data: bytes) -> NDArray[np.float32]:
    """What `array_to_bytes` wrote. Raises ``MmvizError`` (``wire-unreadable``, ``npz-large``) for anything else."""
    with opened(io.BytesIO(data), _UNREADABLE, INFLATED) as (_, arrays):
        return np.asarray(arrays["view"], np.float32)


def cards_to_bytes(cards: tuple[Card, ...]) -> bytes:
    """Cards as JSON."""
    return json.dumps([{**vars(card), "details": dict(card.details)} for card in cards]).encode()


def cards_from_bytes(data: bytes) -> tuple[Card, ...]:
    """What `cards_to_bytes` wrote. Raises ``MmvizError`` (``wire-unreadable``) for anything else."""
    try:
        return tuple(Card(**{**one, "answers": tuple(one["answers"])}) for one in json.loads(data))
    except (ValueError, LookupError, TypeError, RecursionError) as problem:
        raise MmvizError(_UNREADABLE) from problem


def _check(sample: Sample) -> None:
    """That a sample is one that `make_sample` could have made."""
    image, audio = sample.image, sample.audio
    if audio and audio.rate != SAMPLE_RATE:
        raise ValueError
    make_sample(image.pixels if image else None, sample.text, (audio.wave, audio.rate) if audio else None)


def _change(change: Change) -> dict[str, Any]:
    return {"kind": type(change).__name__, **vars(change)}


def _read_change(value: Mapping[str, Any]) -> Change:
    if value["kind"] == "Drop":
        return Drop(Modality(value["modality"]))
    if value["kind"] == "Randomise":
        return Randomise(whole(value["seed"], _LARGEST_SEED))
    if value["kind"] == "Uniform":
        return Uniform()
    raise ValueError(value["kind"])


def _wholes(values: Any) -> tuple[int, ...]:
    if not isinstance(values, list) or len(values) > _MOST_TOKENS:
        raise ValueError
    return tuple(whole(value, _MOST_TOKENS) for value in values)
