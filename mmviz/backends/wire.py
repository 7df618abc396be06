"""What clients and servers send each other: npz and JSON, never pickle. Everything is checked on arrival."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.backends.change_codec import MAX_NAME, MAX_SEED, decode_changes, decode_indices, encode_change
from mmviz.inputs import make_sample
from mmviz.inputs.mel import SAMPLE_RATE
from mmviz.io.npz import open_npz, pack_npz
from mmviz.io.run_file import from_bytes, to_bytes
from mmviz.io.sample_parts import sample_from_parts, sample_to_parts
from mmviz.io.validation import check_index
from mmviz.types import (
    AttentionRecord,
    Card,
    Columns,
    MapRef,
    MmvizError,
    ModalitySums,
    Request,
    Rows,
    Sample,
    View,
    Zoom,
)

PROTOCOL = 8
"""Version of the protocol. A client and a server must speak the same one."""
HEADER = "mmviz-protocol"
"""The HTTP header of requests and responses that holds the version of the protocol."""
MAX_INFLATED = 64_000_000
"""Bytes that a request or a response may hold once inflated."""
MAX_SWEEP = 256
"""Variants in one request. A larger sweep is sent in several requests, so that each ends within its deadline."""
_DEFLATE_LEVEL = 1
"""Attention weights hardly deflate, so little time is spent on them."""
_MAX_PAIRS = 1_000
_MAX_ANSWER = 10_000
_MAX_OPTIONS = 100
_MAX_RECORDS = 10_000
_OPTIONS = ("relevance", "maps", "norms", "integrated", "depends_on", "steps", "towers", "lens")
"""Fields of `Request` that are True or False."""
_UNREADABLE = "wire-unreadable"


def request_to_bytes(request: Request) -> bytes:
    """Returns ``request`` as ``.npz``."""
    sample_header, arrays = sample_to_parts(request.sample)
    header = {
        "protocol": PROTOCOL, "model": request.model, "changes": [encode_change(change) for change in request.changes],
        "seed": request.seed, **{name: getattr(request, name) for name in _OPTIONS},
        "sweep": [[encode_change(change) for change in variant] for variant in request.sweep],
        "pairs": [list(pair) for pair in request.pairs], "answer": list(request.answer),
        "answer_part": list(request.answer_part), "options": [list(option) for option in request.options],
    }  # fmt: skip
    return pack_npz(header | sample_header, arrays, _DEFLATE_LEVEL)


def request_from_bytes(data: bytes) -> Request:
    """Returns the request that `request_to_bytes` encoded, checked as if a person had entered it.

    Raises ``MmvizError`` (``wire-unreadable``, ``npz-large``), and ``InputError`` for inputs that mmviz does not take.
    """
    with open_npz(io.BytesIO(data), _UNREADABLE, MAX_INFLATED) as (header, arrays):
        if header["protocol"] != PROTOCOL:
            raise ValueError
        sample = sample_from_parts(header, arrays)
        _check_sample(sample)
        options = {name: header[name] for name in _OPTIONS}
        if not isinstance(header["model"], str) or not all(isinstance(option, bool) for option in options.values()):
            raise ValueError
        if len(header["sweep"]) > MAX_SWEEP:
            raise ValueError
        sweep = tuple(decode_changes(variant) for variant in header["sweep"])
        seed = check_index(header["seed"], MAX_SEED)
        changes, pairs = decode_changes(header["changes"]), _decode_pairs(header["pairs"])
        answer = tuple(check_index(token, MAX_SEED) for token in _list_of(header["answer"], _MAX_ANSWER))
        part = tuple(check_index(token, _MAX_ANSWER) for token in _list_of(header["answer_part"], _MAX_ANSWER))
        settings = tuple(map(_decode_option, _list_of(header["options"], _MAX_OPTIONS)))
        return Request(
            header["model"], sample, changes, seed, **options, sweep=sweep, pairs=pairs, answer=answer,
            answer_part=part, options=settings,
        )  # fmt: skip


def record_to_bytes(record: AttentionRecord) -> bytes:
    """Returns ``record`` as ``.npz``, without its sample."""
    return to_bytes(Sample(), record, _DEFLATE_LEVEL)


def record_from_bytes(data: bytes) -> AttentionRecord:
    """Returns the record that `record_to_bytes` encoded. Raises ``MmvizError`` (``wire-unreadable``, ``npz-large``)."""
    return from_bytes(data, _UNREADABLE, MAX_INFLATED)[1]


def view_to_bytes(view: View) -> bytes:
    """Returns ``view`` as JSON."""
    fields = {name: str(value) if isinstance(value, MapRef) else value for name, value in vars(view).items()}
    return json.dumps({"kind": type(view).__name__, **fields}).encode()


def view_from_bytes(data: bytes) -> View:
    """Returns the view that `view_to_bytes` encoded. Raises ``MmvizError`` (``wire-unreadable``)."""
    try:
        fields = json.loads(data)
        kind = fields["kind"]
        if kind not in ("Rows", "Columns", "Zoom", "ModalitySums") or len(fields["map"]) > MAX_NAME:
            raise ValueError
        ref = MapRef.parse(fields["map"])
        if kind == "ModalitySums":
            if fields["direction"] not in ("from", "to"):
                raise ValueError
            return ModalitySums(ref, fields["direction"])
        if kind == "Zoom":
            return Zoom(ref, decode_indices(fields["query_edges"]), decode_indices(fields["key_edges"]))
        return (Rows if kind == "Rows" else Columns)(ref, decode_indices(fields["tokens"]))
    except (ValueError, LookupError, TypeError, RecursionError) as problem:
        raise MmvizError(_UNREADABLE) from problem


def record_ids_to_bytes(record_ids: Sequence[str]) -> bytes:
    """Returns the ids of records as JSON."""
    return json.dumps(list(record_ids)).encode()


def record_ids_from_bytes(data: bytes) -> tuple[str, ...]:
    """Returns the ids that `record_ids_to_bytes` encoded. Raises ``MmvizError`` (``wire-unreadable``)."""
    try:
        record_ids = _list_of(json.loads(data), _MAX_RECORDS)
    except (ValueError, RecursionError) as problem:
        raise MmvizError(_UNREADABLE) from problem
    if not all(isinstance(record_id, str) and len(record_id) <= MAX_NAME for record_id in record_ids):
        raise MmvizError(_UNREADABLE)
    return tuple(record_ids)


def array_to_bytes(array: NDArray[np.float32]) -> bytes:
    """Returns the array of a view as ``.npz``."""
    return pack_npz({}, {"view": array}, _DEFLATE_LEVEL)


def array_from_bytes(data: bytes) -> NDArray[np.float32]:
    """Returns the array that `array_to_bytes` encoded. Raises ``MmvizError`` (``wire-unreadable``, ``npz-large``)."""
    with open_npz(io.BytesIO(data), _UNREADABLE, MAX_INFLATED) as (_, arrays):
        return np.asarray(arrays["view"], np.float32)


def cards_to_bytes(cards: tuple[Card, ...]) -> bytes:
    """Returns ``cards`` as JSON."""
    return json.dumps([{**vars(card), "details": dict(card.details)} for card in cards]).encode()


def cards_from_bytes(data: bytes) -> tuple[Card, ...]:
    """Returns the cards that `cards_to_bytes` encoded. Raises ``MmvizError`` (``wire-unreadable``)."""
    try:
        return tuple(Card(**{**fields, "answers": tuple(fields["answers"])}) for fields in json.loads(data))
    except (ValueError, LookupError, TypeError, RecursionError) as problem:
        raise MmvizError(_UNREADABLE) from problem


def _check_sample(sample: Sample) -> None:
    """Checks that `make_sample` could have made ``sample``."""
    image, audio = sample.image, sample.audio
    if audio and audio.rate != SAMPLE_RATE:
        raise ValueError
    make_sample(image.pixels if image else None, sample.text, (audio.wave, audio.rate) if audio else None)


def _list_of(values: Any, most: int) -> list[Any]:
    if not isinstance(values, list) or len(values) > most:
        raise ValueError
    return values


def _decode_option(value: Any) -> tuple[str, str | int]:
    name, setting = value
    if not isinstance(name, str) or isinstance(setting, bool) or not isinstance(setting, str | int):
        raise ValueError
    return name, setting


def _decode_pairs(values: Any) -> tuple[tuple[str, str, str], ...]:
    for value in _list_of(values, _MAX_PAIRS):
        if not isinstance(value, list) or len(value) != 3 or not all(isinstance(name, str) and name for name in value):
            raise ValueError
    return tuple((pattern, queries, keys) for pattern, queries, keys in values)
