"""Runs as ``.npz`` files: arrays and a JSON header, no pickle.

There are two kinds of file. A run holds the sample and the exact record. A recording holds the record alone, with 16
bits per value; the gallery's recorded runs are recordings.
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
    AttentionTensors,
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
    SpectrogramPatch,
    StreamLink,
    Token,
)  # fmt: skip
from mmviz.types.attention_tensors import ARRAYS

FORMAT = 4
RECORDING = "recording-2"
"""Value of ``format`` in the header of a run and of a recording."""
_OPTIONAL = ("stack", "call", "absorbed_by", "windows")
"""Fields of a map that its header has where they are not those of a plain model."""
STEP = 1e-5
"""Quantization step of the weights in a recording, which is also their largest error."""
_LOCATION_TYPES = {"box": PixelBox, "spectrogram": SpectrogramPatch, "seconds": Seconds, "chars": Chars}
"""The types by their names in a file; a special kind of one stands before it."""
_MAX_CODE = 65_535
"""Code of the largest weight of a row, and of the largest relevance."""
_PARTS = ("overview", "row_modality_sums", "column_modality_sums", "largest")
"""Arrays of a `PooledMap`."""
_EXTRAS = ("relevance", "integrated", "sweep")
"""Optional arrays of a record."""
_BY_STREAM = ("relevance_to", "integrated_of")
"""Arrays of a record by the name of a stream."""
_LINK = ("tokens", "source_tokens", "shares")
"""Arrays of a `StreamLink`."""


def to_bytes(sample: Sample, record: AttentionRecord, level: int = 6) -> bytes:
    """Returns the whole run as bytes; ``level`` as in `mmviz.io.npz.pack_npz`."""
    arrays: dict[str, NDArray[Any]] = {}
    for k, attn_map in enumerate(record.maps):
        if isinstance(attn_map, PooledMap):
            arrays |= {f"map{k}-{part}": getattr(attn_map, part) for part in _PARTS}
        else:
            arrays[f"map{k}"] = attn_map.weights
    arrays |= {name: array for name in _EXTRAS if (array := getattr(record, name)) is not None}
    arrays |= {f"norms{k}": norms for k, norms in enumerate(record.norms)}
    for name in _BY_STREAM:
        arrays |= {f"{name}{k}": array for k, array in enumerate(getattr(record, name).values())}
    for k, steps in enumerate(record.steps):
        arrays |= {f"steps{k}-{name}": array for name, array in steps.arrays()}
    for k, link in enumerate(record.links or ()):
        arrays |= {f"link{k}-{name}": getattr(link, name) for name in _LINK}
    header, sample_arrays = sample_to_parts(sample)
    header["steps"] = [{"scale": steps.scale, "ablated_heads": steps.ablated_heads} for steps in record.steps]
    header |= {name: list(getattr(record, name)) for name in _BY_STREAM}
    if record.links is not None:
        header["links"] = [[link.stream, link.source, link.source_state] for link in record.links]
    return pack_npz({"format": FORMAT} | header | _header(record), arrays | sample_arrays, level)


def from_bytes(data: bytes, code: str = "run-unreadable", largest: int = LARGEST) -> tuple[Sample, AttentionRecord]:
    """Returns the sample and the record that `to_bytes` wrote.

    Raises ``MmvizError``: ``run-recording`` for a recording, ``run-format`` for another format, ``code`` or
    ``npz-large`` as `mmviz.io.npz.open_npz` does.
    """
    with open_npz(io.BytesIO(data), code, largest) as (header, arrays):
        if header["format"] == RECORDING:
            raise MmvizError("run-recording")
        if header["format"] != FORMAT:
            raise MmvizError("run-format", format=header["format"], known=FORMAT)
        maps = [_read_map(k, fields, arrays) for k, fields in enumerate(header["maps"])]
        norms = [arrays[f"norms{k}"] for k in range(len(maps)) if f"norms{k}" in arrays]
        extras: dict[str, Any] = {name: arrays.get(name) for name in _EXTRAS}
        steps = [_read_steps(k, fields, arrays) for k, fields in enumerate(header.get("steps", ()))]
        extras |= {name: {stream: arrays[f"{name}{k}"] for k, stream in enumerate(header[name])} for name in _BY_STREAM}
        extras["links"] = _read_links(header, arrays)
        record = replace(_record(header, maps), norms=tuple(norms), steps=tuple(steps), **extras)
        check_record(record)
        return sample_from_parts(header, arrays), record


def from_file(path: Path) -> tuple[Sample, AttentionRecord]:
    """Returns what `from_bytes` does of a file. Raises ``MmvizError`` (``file-missing``, ``file-unreadable``) too."""
    try:
        data = path.read_bytes()
    except OSError as problem:
        code = "file-missing" if isinstance(problem, FileNotFoundError) else "file-unreadable"
        raise MmvizError(code, name=path.name) from problem
    return from_bytes(data)


def sample_to_parts(sample: Sample) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Returns a sample as plain values and arrays."""
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


def sample_from_parts(header: Mapping[str, Any], arrays: Arrays) -> Sample:
    """Returns the sample that `sample_to_parts` took apart.

    Raises ``ValueError``, ``TypeError`` or ``LookupError`` where it is not what checked inputs are.
    """
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
    """Returns the record as the bytes of a recording, which are the same for the same record.

    The largest weight of each row is exact; the others are rounded to multiples of ``STEP``. Relevance, which is never
    negative, is kept to 1 / 131,070 of the largest value of its row. Norms, integrated gradients, steps, sweep and
    links are left out, and what else there is for each stream.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for k, attn_map in enumerate(record.maps):
        arrays[f"map{k}"], arrays[f"map{k}-largest"] = _quantize(attn_map.weights)
        if attn_map.absorbed_by:
            arrays[f"map{k}-sums"] = attn_map.weights.sum(-1)
    if record.relevance is not None:
        largest = record.relevance.max(-1)
        shares = record.relevance.astype(np.float64) / np.where(largest > 0, largest, 1)[:, None]
        arrays["relevance"], arrays["relevance-largest"] = _byte_planes(np.rint(shares * _MAX_CODE)), largest
    plain = replace(record, maps=tuple(replace(attn_map, keys_state=None) for attn_map in record.maps))
    return pack_npz({"format": RECORDING} | _header(plain), arrays)


def from_recording(path: Path) -> AttentionRecord:
    """Returns the record that `to_recording` wrote, with rows that have their sums again.

    Raises ``MmvizError``: ``run-format`` for another format, ``run-unreadable`` for any other file.
    """
    with open_npz(path) as (header, arrays):
        if header["format"] != RECORDING:
            raise MmvizError("run-format", format=header["format"], known=RECORDING)
        maps: list[AttentionMap | PooledMap] = [
            AttentionMap(
                weights=_dequantize(arrays[f"map{k}"], arrays[f"map{k}-largest"], arrays.get(f"map{k}-sums")),
                **_map_fields(fields),
            )
            for k, fields in enumerate(header["maps"])
        ]
        relevance = None
        if "relevance" in arrays:
            largest = arrays["relevance-largest"][:, None]
            relevance = (_codes(arrays["relevance"]) / _MAX_CODE * largest).astype(np.float32)
        record = replace(_record(header, maps), relevance=relevance)
        check_record(record)
        return record


def read_made_by(path: Path) -> dict[str, Any]:
    """Returns ``made_by`` of the record in a file without reading its arrays. Raises as `from_recording` does."""
    with open_npz(path) as (header, _):
        return dict(header["made_by"])


def _quantize(weights: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Returns 16-bit codes of the weights as byte planes, and the largest weight of each row.

    The code is 0 for a weight of 0, `_MAX_CODE` for the largest of its row, else 1 + the rounded multiple of ``STEP``.
    Codes fit, since a row sums to 1 and only its largest weight can be above 0.5.
    """
    exact = weights.astype(np.float64)
    codes = np.where(exact > 0, 1 + np.rint(exact / STEP), 0)
    np.put_along_axis(codes, exact.argmax(-1, keepdims=True), _MAX_CODE, -1)
    return _byte_planes(codes), weights.max(-1)


def _dequantize(
    byte_pairs: NDArray[np.uint8], largest: NDArray[np.float32], sums: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """Returns the weights that `_quantize` encoded, with rows of these sums, of 1 for None.

    What rounding took from a row, at most half a step per weight, is shared out equally among its rounded weights; what
    it added is taken from those that stay above 0.
    """
    codes = _codes(byte_pairs)
    rounded = (codes > 0) & (codes < _MAX_CODE)
    weights = np.where(rounded, (codes - 1) * STEP, 0) + np.where(codes == _MAX_CODE, largest[..., None], 0)
    missing = (1 if sums is None else sums[..., None]) - weights.sum(-1, keepdims=True)
    adjusted = rounded & ((missing > 0) | (codes > 1))
    correction = missing / np.maximum(adjusted.sum(-1, keepdims=True), 1)
    return np.asarray(np.maximum(weights + correction * adjusted, 0), np.float32)


def _byte_planes(codes: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Returns 16-bit codes as uint8 ``[2, ...]``, high bytes then low bytes, which deflates better than pairs (4/5)."""
    values = codes.astype(np.uint16)
    return np.stack([values >> 8, values & 255]).astype(np.uint8)


def _codes(byte_pairs: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Returns the codes that `_byte_planes` took apart."""
    return np.asarray(byte_pairs[0] * 256.0 + byte_pairs[1])


def _header(record: AttentionRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "record_notices": [_notice(notice) for notice in record.notices],
        "streams": {name: [_token_to_dict(token) for token in tokens] for name, tokens in record.streams.items()},
        "maps": [
            {"name": m.name, "layer": m.layer, "queries": m.queries, "keys": m.keys, "dtype": m.dtype}
            | {name: value for name in _OPTIONAL if (value := getattr(m, name))}
            | ({} if m.keys_state is None else {"keys_state": m.keys_state})
            | ({"edges": [m.query_edges, m.key_edges]} if isinstance(m, PooledMap) else {})
            for m in record.maps
        ],
        "answers": [[answer.label, answer.probability, answer.index] for answer in record.answers],
        "made_by": dict(record.made_by),
    }


def _read_map(k: int, fields: dict[str, Any], arrays: Arrays) -> AttentionMap | PooledMap:
    """Returns map ``k``; a `PooledMap` where it has bin edges."""
    if "edges" not in fields:
        return AttentionMap(weights=arrays[f"map{k}"], **_map_fields(fields))
    rest = {name: value for name, value in _map_fields(fields).items() if name != "edges"}
    query_edges, key_edges = (tuple(edges) for edges in fields["edges"])
    parts: dict[str, Any] = {part: arrays[f"map{k}-{part}"] for part in _PARTS}
    return PooledMap(query_edges=query_edges, key_edges=key_edges, **rest, **parts)


def _map_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Returns the fields of a map; those that its header leaves out have their defaults."""
    return fields | ({"windows": tuple(fields["windows"])} if "windows" in fields else {})


def _read_links(header: dict[str, Any], arrays: Arrays) -> tuple[StreamLink, ...] | None:
    """Returns the links of a record; None where it has none."""
    if "links" not in header:
        return None
    return tuple(
        StreamLink(*fields, *(arrays[f"link{k}-{name}"] for name in _LINK)) for k, fields in enumerate(header["links"])
    )


def _read_steps(k: int, fields: dict[str, Any], arrays: Arrays) -> AttentionTensors:
    """Returns the steps of map ``k``."""
    parts: dict[str, Any] = {name: arrays.get(f"steps{k}-{name}") for name in ARRAYS}
    return AttentionTensors(**parts, scale=fields["scale"], ablated_heads=tuple(fields["ablated_heads"]))


def _record(header: dict[str, Any], maps: list[AttentionMap | PooledMap]) -> AttentionRecord:
    return AttentionRecord(
        id=header["id"],
        streams={name: tuple(map(_token_from_dict, tokens)) for name, tokens in header["streams"].items()},
        maps=tuple(maps),
        answers=tuple(Answer(*answer) for answer in header["answers"]),
        made_by=header["made_by"],
        notices=tuple(Notice(code, values) for code, values in header["record_notices"]),
    )


def _notice(notice: Notice) -> list[Any]:
    return [notice.code, dict(notice.parameters)]


def location_to_dict(location: Location) -> dict[str, list[float]]:
    """Returns a location as plain values.

    It is ``{"box": [x0, y0, x1, y1]}`` in pixels, ``{"seconds": [start, end]}``, ``{"spectrogram": [start, end,
    low_hertz, high_hertz]}``, ``{"chars": [start, end]}``, or ``{}`` for no location.
    """
    for name, cls in _LOCATION_TYPES.items():
        if isinstance(location, cls):
            return {name: list(vars(location).values())}
    return {}


def location_from_dict(fields: Mapping[str, Any]) -> Location:
    """Returns the location that `location_to_dict` wrote; other fields may stand beside it."""
    return next((cls(*fields[name]) for name, cls in _LOCATION_TYPES.items() if name in fields), None)


def _token_to_dict(token: Token) -> dict[str, Any]:
    return {"modality": str(token.modality), "label": token.label, **location_to_dict(token.location)}


def _token_from_dict(fields: dict[str, Any]) -> Token:
    return Token(Modality(fields["modality"]), fields["label"], location_from_dict(fields))
