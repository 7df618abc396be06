"""What backends and those who ask them send each other: npz and JSON, never pickle; everything checked on arrival."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from mmviz.inputs import make_sample
from mmviz.inputs.mel import SAMPLE_RATE
from mmviz.io.npz import open_npz, pack_npz
from mmviz.io.run_file import from_bytes, place, read_place, sample_of, sample_parts, to_bytes
from mmviz.io.validation import whole
from mmviz.types import (
    AblateHead,
    AttentionRecord,
    Card,
    Change,
    Chars,
    Columns,
    DropModality,
    DropTokens,
    InputBaseline,
    MapRef,
    MmvizError,
    Modality,
    PixelBox,
    ReplaceInput,
    Request,
    Rollout,
    Rows,
    Sample,
    Seconds,
    ShuffleWeights,
    UniformAttention,
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
_MOST_CHANGES = 10_000
LARGEST_SWEEP = 256
"""Variants of one request: more are asked for in several, so that each ends within its time."""
_WANTED = ("relevance", "maps", "norms", "integrated", "steps")
_UNREADABLE = "wire-unreadable"


def request_to_bytes(request: Request) -> bytes:
    """A request as ``.npz``."""
    about, arrays = sample_parts(request.sample)
    asked = {
        "protocol": PROTOCOL, "model": request.model, "changes": [_change(one) for one in request.changes],
        "seed": request.seed, **{name: getattr(request, name) for name in _WANTED},
        "sweep": [[_change(one) for one in variant] for variant in request.sweep],
    }  # fmt: skip
    return pack_npz(asked | about, arrays, _QUICK)


def request_from_bytes(data: bytes) -> Request:
    """What `request_to_bytes` wrote, checked as if a person had given it.

    Raises ``MmvizError`` (``wire-unreadable``, ``npz-large``), ``InputError`` for inputs that mmviz does not take.
    """
    with open_npz(io.BytesIO(data), _UNREADABLE, INFLATED) as (header, arrays):
        sample = sample_of(header, arrays)
        _check(sample)
        wanted = {name: header[name] for name in _WANTED}
        if not isinstance(header["model"], str) or not all(isinstance(value, bool) for value in wanted.values()):
            raise ValueError
        if len(header["sweep"]) > LARGEST_SWEEP:
            raise ValueError
        sweep = tuple(_read_changes(variant) for variant in header["sweep"])
        seed = whole(header["seed"], _LARGEST_SEED)
        return Request(header["model"], sample, _read_changes(header["changes"]), seed, **wanted, sweep=sweep)


def record_to_bytes(record: AttentionRecord) -> bytes:
    """A record as ``.npz``, without its sample."""
    return to_bytes(Sample(), record, _QUICK)


def record_from_bytes(data: bytes) -> AttentionRecord:
    """What `record_to_bytes` wrote. Raises ``MmvizError`` (``wire-unreadable``, ``npz-large``) for anything else."""
    return from_bytes(data, _UNREADABLE, INFLATED)[1]


def view_to_bytes(view: View) -> bytes:
    """A view as JSON."""
    values = {name: str(value) if isinstance(value, MapRef) else value for name, value in vars(view).items()}
    return json.dumps({"kind": type(view).__name__, **values}).encode()


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
        ref = MapRef.parse(found["map"])
        if kind == "Zoom":
            return Zoom(ref, _wholes(found["query_edges"]), _wholes(found["key_edges"]))
        return (Rows if kind == "Rows" else Columns)(ref, _wholes(found["tokens"]))
    except (ValueError, LookupError, TypeError, RecursionError) as problem:
        raise MmvizError(_UNREADABLE) from problem


def array_to_bytes(array: NDArray[np.float32]) -> bytes:
    """What a view gave, as ``.npz``."""
    return pack_npz({}, {"view": array}, _QUICK)


def array_from_bytes(data: bytes) -> NDArray[np.float32]:
    """What `array_to_bytes` wrote. Raises ``MmvizError`` (``wire-unreadable``, ``npz-large``) for anything else."""
    with open_npz(io.BytesIO(data), _UNREADABLE, INFLATED) as (_, arrays):
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
    rest = dict(vars(change))
    if isinstance(change, ReplaceInput):
        rest["locations"] = [place(one) for one in change.locations]
    return {"kind": type(change).__name__, **rest}


def _read_changes(values: Any) -> tuple[Change, ...]:
    if not isinstance(values, list) or len(values) > _MOST_CHANGES:
        raise ValueError
    return tuple(_read_change(one) for one in values)


def _read_change(value: Mapping[str, Any]) -> Change:
    kind = value["kind"]
    if kind == "Drop":
        return DropModality(Modality(value["modality"]))
    if kind == "Hide":
        return DropTokens(_wholes(value["tokens"]))
    if kind == "Replace":
        if value["fill"] not in get_args(InputBaseline) or len(value["locations"]) > _MOST_TOKENS:
            raise ValueError
        return ReplaceInput(
            Modality(value["modality"]), value["fill"], tuple(_read_place(one) for one in value["locations"])
        )
    if kind == "HeadOff":
        return AblateHead(whole(value["map"], _MOST_TOKENS), whole(value["head"], _MOST_TOKENS))
    if kind == "Randomise":
        return ShuffleWeights(whole(value["seed"], _LARGEST_SEED))
    if kind == "Uniform":
        return UniformAttention()
    raise ValueError(kind)


def _read_place(value: Any) -> PixelBox | Seconds | Chars:
    found = read_place(value)
    if found is None or not all(math.isfinite(edge) for edge in vars(found).values()):
        raise ValueError
    return found


def _wholes(values: Any) -> tuple[int, ...]:
    if not isinstance(values, list) or len(values) > _MOST_TOKENS:
        raise ValueError
    return tuple(whole(value, _MOST_TOKENS) for value in values)
