"""Runs as ``.npz`` files: arrays and a JSON header, no pickle.

There are two kinds of file. A run holds the sample and the exact record, and of a long record, if that is wanted, the
tensors from which its weights are computed. A recording holds the record alone, with 16 bits per value; the gallery's
recorded runs are recordings.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.io.exact_arrays import exact_from_parts, exact_to_parts
from mmviz.io.lens_arrays import lens_from_parts, lens_to_parts
from mmviz.io.npz import LARGEST, Arrays, open_npz, pack_npz
from mmviz.io.sample_parts import (
    location_from_dict,
    location_to_dict,
    notice_to_list,
    sample_from_parts,
    sample_to_parts,
)
from mmviz.io.validation import check_record
from mmviz.types import (
    Answer,
    AttentionMap,
    AttentionRecord,
    AttentionTensors,
    MmvizError,
    Modality,
    Notice,
    PooledMap,
    Sample,
    StreamLink,
    Token,
)  # fmt: skip
from mmviz.types.attention_tensors import ARRAYS
from mmviz.types.exact_attention import ExactAttention

FORMAT = 5
RECORDING = "recording-2"
"""Value of ``format`` in the header of a run and of a recording."""
_OPTIONAL = ("stack", "call", "absorbed_by", "windows")
"""Fields of a map that its header has where they are not those of a plain model."""
STEP = 5e-5
"""Quantization step of the weights in a recording, which is also their largest error."""
_MAX_REST = 100_000_000
"""Bytes that are left for the inputs, the header, which has every token, and the names of the arrays."""
_MAX_CODE = 65_535
"""Code of the largest weight of a row, and of the largest relevance."""
_PARTS = ("overview", "row_modality_sums", "column_modality_sums", "largest")
"""Arrays of a `PooledMap`."""
_EXTRAS = ("relevance", "integrated", "sweep", "answer_log_probabilities")
"""Optional arrays of a record."""
_BY_STREAM = ("relevance_to", "integrated_of")
"""Arrays of a record by the name of a stream."""
_LINK = ("tokens", "source_tokens", "shares")
"""Arrays of a `StreamLink`."""


def to_bytes(
    sample: Sample, record: AttentionRecord, level: int = 6, exact: ExactAttention | None = None
) -> bytes:  # fmt: skip
    """Returns the whole run as bytes; ``level`` as in `mmviz.io.npz.pack_npz`.

    ``exact``: the tensors behind a long record. Raises ``MmvizError`` (``keep-large``) where `from_file` would refuse
    to read that much.
    """
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
    header["lens"], lens_arrays = lens_to_parts(record.lens)
    arrays |= lens_arrays
    header["steps"] = [{"scale": steps.scale, "ablated_heads": steps.ablated_heads} for steps in record.steps]
    header |= {name: list(getattr(record, name)) for name in _BY_STREAM}
    header["relevance_on_request"] = record.relevance_on_request
    if record.links is not None:
        header["links"] = [[link.stream, link.source, link.source_state] for link in record.links]
    header, arrays = {"format": FORMAT} | header | _header(record), arrays | sample_arrays
    if exact is None:
        return pack_npz(header, arrays, level)
    check_exact_size(record, exact.nbytes + sum(mask.size for mask in exact.masks))
    header["exact"], exact_arrays = exact_to_parts(exact)
    return pack_npz(header, arrays | exact_arrays, level, exact_arrays)


def check_exact_size(record: AttentionRecord, nbytes: int) -> None:
    """Raises ``MmvizError`` (``keep-large``) where a record and ``nbytes`` of tensors are more than a file may hold."""
    maps = (attn_map for attn_map in record.maps)
    parts = [m.weights if isinstance(m, AttentionMap) else getattr(m, part) for m in maps for part in _PARTS]
    size = nbytes + sum(array.nbytes for array in {id(array): array for array in parts}.values())
    if size > LARGEST - _MAX_REST:
        raise MmvizError("keep-large", size=size / 1e6, limit=LARGEST / 1e6)


def from_bytes(data: bytes, code: str = "run-unreadable", largest: int = LARGEST) -> tuple[Sample, AttentionRecord]:
    """Returns the sample and the record that `to_bytes` wrote.

    Raises ``MmvizError``: ``run-recording`` for a recording, ``run-format`` for another format, ``code`` or
    ``npz-large`` as `mmviz.io.npz.open_npz` does.
    """
    with open_npz(io.BytesIO(data), code, largest) as (header, arrays):
        return _read_run(header, arrays)


def from_file(path: Path) -> tuple[Sample, AttentionRecord, ExactAttention | None]:
    """Returns what `from_bytes` does of a file, and the tensors behind a long record where it holds them.

    Raises ``MmvizError`` (``file-missing``, ``file-unreadable``) too.
    """
    try:
        file = path.open("rb")
    except OSError as problem:
        code = "file-missing" if isinstance(problem, FileNotFoundError) else "file-unreadable"
        raise MmvizError(code, name=path.name) from problem
    with file, open_npz(file) as (header, arrays):
        sample, record = _read_run(header, arrays)
        return sample, record, exact_from_parts(header["exact"], arrays, record) if "exact" in header else None


def _read_run(header: dict[str, Any], arrays: Arrays) -> tuple[Sample, AttentionRecord]:
    """Returns the sample and the record of an open file."""
    if header["format"] == RECORDING:
        raise MmvizError("run-recording")
    if header["format"] != FORMAT:
        raise MmvizError("run-format", format=header["format"], known=FORMAT)
    maps = [_read_map(k, fields, arrays) for k, fields in enumerate(header["maps"])]
    extras: dict[str, Any] = {name: arrays.get(name) for name in _EXTRAS}
    steps = [_read_steps(k, fields, arrays) for k, fields in enumerate(header.get("steps", ()))]
    extras |= {name: {stream: arrays[f"{name}{k}"] for k, stream in enumerate(header[name])} for name in _BY_STREAM}
    extras["lens"] = lens_from_parts(header.get("lens"), arrays)
    extras["links"] = _read_links(header, arrays)
    extras["relevance_on_request"] = header["relevance_on_request"] is True
    record = replace(_record(header, maps), norms=_read_norms(arrays, len(maps)), steps=tuple(steps), **extras)
    check_record(record)
    return sample_from_parts(header, arrays), record


def to_recording(record: AttentionRecord) -> bytes:
    """Returns the record as the bytes of a recording, which are the same for the same record.

    The largest weight of each row is exact; the others are rounded to multiples of ``STEP``. Relevance, which is never
    negative, is kept to 1 / 131,070 of the largest value of its row. Norms and integrated gradients are exact. Steps,
    sweep, links and lens are left out, and what else there is for each stream.
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
    arrays |= {"integrated": record.integrated} if record.integrated is not None else {}
    arrays |= {f"norms{k}": norms for k, norms in enumerate(record.norms)}
    plain = replace(record, maps=tuple(replace(attn_map, keys_state=None) for attn_map in record.maps))
    return pack_npz({"format": RECORDING} | _header(plain), arrays, method=zipfile.ZIP_LZMA)  # they are in the tree


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
        norms = _read_norms(arrays, len(maps))
        record = replace(_record(header, maps), relevance=relevance, norms=norms, integrated=arrays.get("integrated"))
        check_record(record)
        return record


def read_made_by(path: Path) -> dict[str, Any]:
    """Returns ``made_by`` of the record in a file without reading its arrays. Raises as `from_recording` does."""
    with open_npz(path) as (header, _):
        return dict(header["made_by"])


def _read_norms(arrays: Arrays, count: int) -> tuple[NDArray[np.float32], ...]:
    """Returns the norms of ``count`` maps; nothing where they were not kept."""
    return tuple(arrays[f"norms{k}"] for k in range(count) if f"norms{k}" in arrays)


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
        "record_notices": [notice_to_list(notice) for notice in record.notices],
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


def _token_to_dict(token: Token) -> dict[str, Any]:
    return {"modality": str(token.modality), "label": token.label, **location_to_dict(token.location)}


def _token_from_dict(fields: dict[str, Any]) -> Token:
    return Token(Modality(fields["modality"]), fields["label"], location_from_dict(fields))
