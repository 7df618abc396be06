"""A run as one ``.npz`` file and back: arrays beside a JSON header, never pickle. Written only when the user saves.

There are two kinds of file: a run, whole and exact, and a recording, which is a record alone in 16 bits a value.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.io.npz import LARGEST, Arrays, open_npz, pack_npz
from mmviz.io.validation import check_record, check_sample
from mmviz.types import (
    Answer,
    AttentionMap,
    AttentionRecord,
    AttentionSteps,
    AudioInput,
    Chars,
    ImageInput,
    Location,
    MmvizError,
    Modality,
    Notice,
    PixelBox,
    PooledMap,
    Sample,
    Seconds,
    Token,
)  # fmt: skip
from mmviz.types.attention_steps import ARRAYS

FORMAT = 1
RECORDING = "recording-1"
"""What the header calls the format of a run, and of a recording."""
STEP = 1e-5
"""The largest error of a weight in a recording, and the distance of two that it can tell apart."""
_PLACES = {"box": PixelBox, "seconds": Seconds, "chars": Chars}
_LARGEST = 65_535
_PARTS = ("overview", "row_modality_sums", "column_modality_sums", "largest")
"""The arrays of a map without all its weights."""
_EXTRAS = ("relevance", "integrated", "sweep")
"""Arrays that a record may hold beside its maps."""


def to_bytes(sample: Sample, record: AttentionRecord, level: int = 6) -> bytes:
    """The whole run, deflated; ``level`` as in `mmviz.io.npz.packed`."""
    arrays: dict[str, NDArray[Any]] = {}
    for k, found in enumerate(record.maps):
        if isinstance(found, PooledMap):
            arrays |= {f"map{k}-{part}": getattr(found, part) for part in _PARTS}
        else:
            arrays[f"map{k}"] = found.weights
    arrays |= {name: found for name in _EXTRAS if (found := getattr(record, name)) is not None}
    arrays |= {f"norms{k}": found for k, found in enumerate(record.norms)}
    for k, steps in enumerate(record.steps):
        arrays |= {f"steps{k}-{name}": found for name, found in steps.arrays()}
    about, given = sample_parts(sample)
    about["steps"] = [{"scale": steps.scale, "ablated_heads": steps.ablated_heads} for steps in record.steps]
    return pack_npz({"format": FORMAT} | about | _header(record), arrays | given, level)


def from_bytes(data: bytes, code: str = "run-unreadable", largest: int = LARGEST) -> tuple[Sample, AttentionRecord]:
    """What `to_bytes` wrote. Raises ``MmvizError`` for anything else, see `mmviz.io.npz.opened`."""
    with open_npz(io.BytesIO(data), code, largest) as (header, arrays):
        if header["format"] == RECORDING:
            raise MmvizError("run-recording")
        if header["format"] != FORMAT:
            raise MmvizError("run-format", found=header["format"], known=FORMAT)
        maps = [_read_map(k, about, arrays) for k, about in enumerate(header["maps"])]
        norms = [arrays[f"norms{k}"] for k in range(len(maps)) if f"norms{k}" in arrays]
        extras: dict[str, Any] = {name: arrays.get(name) for name in _EXTRAS}
        steps = [_read_steps(k, about, arrays) for k, about in enumerate(header.get("steps", ()))]
        record = replace(_record(header, maps), norms=tuple(norms), steps=tuple(steps), **extras)
        check_record(record)
        return sample_of(header, arrays), record


def sample_parts(sample: Sample) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """A sample as plain values and arrays."""
    arrays: dict[str, NDArray[Any]] = {}
    if sample.image:
        arrays["image"] = sample.image.pixels
    if sample.audio:
        arrays["audio"] = sample.audio.wave
    return {
        "text": sample.text,
        "image": {"width": sample.image.width, "height": sample.image.height} if sample.image else None,
        "audio": {"rate": sample.audio.rate, "seconds": sample.audio.seconds} if sample.audio else None,
        "sample_notices": [_notice(notice) for notice in sample.notices],
    }, arrays


def sample_of(header: Mapping[str, Any], arrays: Arrays) -> Sample:
    """What `sample_parts` took apart. Raises as `mmviz.io.npz.opened` expects where it is not what inputs become."""
    image, audio = header["image"], header["audio"]
    sample = Sample(
        image=ImageInput(arrays["image"], image["width"], image["height"]) if image else None,
        text=header["text"],
        audio=AudioInput(arrays["audio"], audio["rate"], audio["seconds"]) if audio else None,
        notices=tuple(Notice(code, values) for code, values in header["sample_notices"]),
    )
    check_sample(sample)
    return sample


def to_recording(record: AttentionRecord) -> bytes:
    """The record without its inputs, deflated; the same bytes for the same record.

    The largest weight of each row is kept as it is, the others to ``STEP``. Relevance, which is never negative, is
    kept to 1 / 131,070 of the largest value of its row.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for k, found in enumerate(record.maps):
        arrays[f"map{k}"], arrays[f"map{k}-largest"] = _in_steps(found.weights)
    if record.relevance is not None:
        largest = record.relevance.max(-1)
        parts = record.relevance.astype(np.float64) / np.where(largest > 0, largest, 1)[:, None]
        arrays["relevance"], arrays["relevance-largest"] = _planes(np.rint(parts * _LARGEST)), largest
    return pack_npz({"format": RECORDING} | _header(record), arrays)


def from_recording(path: Path) -> AttentionRecord:
    """What `to_recording` wrote, rows summing to 1 again. Raises ``MmvizError`` (``run-unreadable``) for others."""
    with open_npz(path) as (header, arrays):
        if header["format"] != RECORDING:
            raise MmvizError("run-format", found=header["format"], known=RECORDING)
        maps: list[AttentionMap | PooledMap] = [
            AttentionMap(weights=_from_steps(arrays[f"map{k}"], arrays[f"map{k}-largest"]), **about)
            for k, about in enumerate(header["maps"])
        ]
        relevance = None
        if "relevance" in arrays:
            largest = arrays["relevance-largest"][:, None]
            relevance = (_whole(arrays["relevance"]) / _LARGEST * largest).astype(np.float32)
        return replace(_record(header, maps), relevance=relevance)


def made_by(path: Path) -> dict[str, Any]:
    """How the record in a file was made; its arrays are not read. Raises ``MmvizError`` (``run-unreadable``)."""
    with open_npz(path) as (header, _):
        return dict(header["made_by"])


def _in_steps(weights: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Rows that sum to 1 as planes of `_LARGEST` (the largest of its row), 0 (none) or 1 + the steps of ``STEP``, and
    the largest of each row. Only one weight of a row can be above a half, so all the others fit."""
    exact = weights.astype(np.float64)
    steps = np.where(exact > 0, 1 + np.rint(exact / STEP), 0)
    np.put_along_axis(steps, exact.argmax(-1, keepdims=True), _LARGEST, -1)
    return _planes(steps), weights.max(-1)


def _from_steps(planes: NDArray[np.uint8], largest: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows as `_in_steps` found them. What rounding took from a row, at most half a step a weight, is given back to all
    that were rounded alike; what it added is taken from those that stay above 0."""
    steps = _whole(planes)
    rounded = (steps > 0) & (steps < _LARGEST)
    weights = np.where(rounded, (steps - 1) * STEP, 0) + np.where(steps == _LARGEST, largest[..., None], 0)
    missing = 1 - weights.sum(-1, keepdims=True)
    sharing = rounded & ((missing > 0) | (steps > 1))
    share = missing / np.maximum(sharing.sum(-1, keepdims=True), 1)
    return np.asarray(np.maximum(weights + share * sharing, 0), np.float32)


def _planes(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """16-bit values as uint8 ``[2, ...]``, high bytes and low bytes: deflates to 4/5 of the pairs side by side."""
    whole = values.astype(np.uint16)
    return np.stack([whole >> 8, whole & 255]).astype(np.uint8)


def _whole(planes: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray(planes[0] * 256.0 + planes[1])


def _header(record: AttentionRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "record_notices": [_notice(notice) for notice in record.notices],
        "streams": {name: [_token(token) for token in tokens] for name, tokens in record.streams.items()},
        "maps": [
            {"name": m.name, "layer": m.layer, "queries": m.queries, "keys": m.keys, "dtype": m.dtype}
            | ({"edges": [m.query_edges, m.key_edges]} if isinstance(m, PooledMap) else {})
            for m in record.maps
        ],
        "answers": [[answer.label, answer.probability] for answer in record.answers],
        "made_by": dict(record.made_by),
    }


def _read_map(k: int, about: dict[str, Any], arrays: Arrays) -> AttentionMap | PooledMap:
    """Map ``k``, with all its weights or, where it has edges, without."""
    if "edges" not in about:
        return AttentionMap(weights=arrays[f"map{k}"], **about)
    rest = {name: value for name, value in about.items() if name != "edges"}
    query_edges, key_edges = (tuple(edges) for edges in about["edges"])
    parts: dict[str, Any] = {part: arrays[f"map{k}-{part}"] for part in _PARTS}
    return PooledMap(query_edges=query_edges, key_edges=key_edges, **rest, **parts)


def _read_steps(k: int, about: dict[str, Any], arrays: Arrays) -> AttentionSteps:
    """The steps of map ``k``."""
    found: dict[str, Any] = {name: arrays.get(f"steps{k}-{name}") for name in ARRAYS}
    return AttentionSteps(**found, scale=about["scale"], ablated_heads=tuple(about["ablated_heads"]))


def _record(header: dict[str, Any], maps: list[AttentionMap | PooledMap]) -> AttentionRecord:
    return AttentionRecord(
        id=header["id"],
        streams={name: tuple(map(_read_token, tokens)) for name, tokens in header["streams"].items()},
        maps=tuple(maps),
        answers=tuple(Answer(label, probability) for label, probability in header["answers"]),
        made_by=header["made_by"],
        notices=tuple(Notice(code, values) for code, values in header["record_notices"]),
    )


def _notice(notice: Notice) -> list[Any]:
    return [notice.code, dict(notice.parameters)]


def place(where: Location) -> dict[str, list[float]]:
    """A place as plain values: ``{"box": [x0, y0, x1, y1]}``, ``{"seconds": [a, b]}``, ``{"chars": [a, b]}``, or ``{}``
    for no place."""
    for name, kind in _PLACES.items():
        if isinstance(where, kind):
            return {name: list(vars(where).values())}
    return {}


def _token(token: Token) -> dict[str, Any]:
    return {"modality": str(token.modality), "label": token.label, **place(token.location)}


def read_place(value: Mapping[str, Any]) -> Location:
    """What `place` wrote, maybe among other things."""
    return next((kind(*value[name]) for name, kind in _PLACES.items() if name in value), None)


def _read_token(value: dict[str, Any]) -> Token:
    return Token(Modality(value["modality"]), value["label"], read_place(value))
